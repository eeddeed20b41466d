"""What the cache is filled with at a start, and when it is not."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from anima.embeddings.cache import CachedEmbeddings
from anima.embeddings.hashing import HashingEmbeddings
from anima.embeddings.protocol import Embedded
from anima.errors import EmbeddingRefused, EmbeddingUnavailable, InvalidInput
from anima.http.warming import texts_in, warm


class Batches(HashingEmbeddings):
    """Keeps the sizes of the batches that it is asked for; fails after `good` of them."""

    def __init__(self, good: int = 100) -> None:
        self.sizes: list[int] = []
        self.good = good

    async def embed_many(self, texts: Sequence[str]) -> Sequence[Embedded]:
        if len(self.sizes) == self.good:
            raise EmbeddingUnavailable("Down.")
        self.sizes.append(len(texts))
        return await super().embed_many(texts)


async def test_texts_are_asked_for_in_batches_and_known_afterwards() -> None:
    provider = Batches()
    cache = CachedEmbeddings(provider)
    await warm(cache, [f"text {number}" for number in range(130)], asyncio.Event())
    assert provider.sizes == [64, 64, 2]
    assert (await cache.embed("text 129")).provider == "cache"


async def test_a_provider_that_fails_is_not_asked_on(caplog: pytest.LogCaptureFixture) -> None:
    provider = Batches(good=1)
    await warm(CachedEmbeddings(provider), [f"text {number}" for number in range(300)], asyncio.Event())
    assert provider.sizes == [64]
    assert caplog.messages == ["The cache was warmed with 64 of 300 texts: Down."]


class Particular(HashingEmbeddings):
    """Embeds every text but one."""

    async def embed(self, text: str) -> Embedded:
        if text == "refused":
            raise EmbeddingRefused("Too long.")
        return await super().embed(text)


async def test_a_refused_text_is_left_out_and_the_others_are_known() -> None:
    cache = CachedEmbeddings(Particular())
    await warm(cache, ["a", "refused", "b"], asyncio.Event())
    assert [(await cache.embed(text)).provider for text in "ab"] == ["cache", "cache"]


async def test_nothing_is_asked_for_after_the_end() -> None:
    provider = Batches()
    stop = asyncio.Event()
    stop.set()
    await warm(CachedEmbeddings(provider), ["a"], stop)
    assert provider.sizes == []


def test_each_line_that_holds_something_is_a_text(tmp_path: Path) -> None:
    path = tmp_path / "questions.txt"
    path.write_text("Who?\n\n  Where to? \r\n", encoding="utf-8")
    assert texts_in(path) == ["Who?", "Where to?"]


@pytest.mark.parametrize("inside", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
def test_only_a_line_feed_ends_a_text_and_the_mark_of_an_editor_is_part_of_none(tmp_path: Path, inside: str) -> None:
    path = tmp_path / "questions.txt"
    path.write_bytes(f"\ufeffWho{inside}is it?\r\nWhere to?".encode())
    assert texts_in(path) == [f"Who{inside}is it?", "Where to?"]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no\.txt"):
        texts_in(tmp_path / "no.txt")
    (tmp_path / "image").write_bytes(b"\xff\xfe\xfd")
    with pytest.raises(InvalidInput, match="image"):
        texts_in(tmp_path / "image")
