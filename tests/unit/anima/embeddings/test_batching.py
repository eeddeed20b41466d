"""Concurrent misses share a call of the provider: how many calls there are, and whose failure is whose."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from anima.assembly import embedding_chain
from anima.embeddings.batching import BatchingEmbeddings
from anima.embeddings.cache import CachedEmbeddings
from anima.embeddings.hashing import hashed_vector
from anima.embeddings.protocol import Embedded, ProviderCalls
from anima.errors import EmbeddingRefused, EmbeddingUnavailable
from anima.strategy import BATCHED, FRONTIER, Strategy
from tests.providers import CountedProvider

LONG_S = 3600.0
"""Nobody waits for this: what ends the wait is company, or the test fails by its own time limit."""


@dataclass
class ListProvider:
    """Takes lists, notes each call, and answers once `open` is set. Some texts it refuses, and so a list with one."""

    refused: frozenset[str] = frozenset()
    failure: Exception | None = None
    name: str = "list"
    model: str = "list"
    calls: list[list[str]] = field(default_factory=list[list[str]])
    open: asyncio.Event = field(default_factory=asyncio.Event)

    async def embed(self, text: str) -> Embedded:
        return (await self.embed_many([text]))[0]

    async def embed_many(self, texts: Sequence[str]) -> Sequence[Embedded]:
        self.calls.append(list(texts))
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        if self.refused.intersection(texts):
            raise EmbeddingRefused("one of these texts is none")
        return [Embedded(hashed_vector(text), self.name) for text in texts]

    def server_calls(self) -> tuple[ProviderCalls, ...]:
        return (ProviderCalls(self.name, "closed", 0, len(self.calls), 0, 0, 0),)

    async def aclose(self) -> None:
        self.open.set()


async def settled() -> None:
    """Everybody has come as far as it can without a timer."""
    for _ in range(10):
        await asyncio.sleep(0)


async def answered(provider: ListProvider, asked: list["asyncio.Task[Embedded]"]) -> list[Embedded | BaseException]:
    await settled()
    provider.open.set()
    return await asyncio.gather(*asked, return_exceptions=True)


async def test_who_asks_alone_is_asked_for_at_once() -> None:
    provider = ListProvider()
    batching = BatchingEmbeddings(provider, wait_s=LONG_S)
    provider.open.set()
    for text in ("a", "b"):
        assert (await batching.embed(text)).provider == "list"
    assert provider.calls == [["a"], ["b"]]


async def test_who_comes_while_a_call_is_under_way_shares_the_next() -> None:
    provider = ListProvider()
    batching = BatchingEmbeddings(provider, wait_s=LONG_S, texts_max=3)
    texts = list("abcdefg")
    found = await answered(provider, [asyncio.create_task(batching.embed(text)) for text in texts])
    assert provider.calls == [["a"], ["b", "c", "d"], ["e", "f", "g"]]
    vectors = [embedded.vector.tolist() for embedded in found if isinstance(embedded, Embedded)]
    assert vectors == [hashed_vector(text).tolist() for text in texts]


async def test_the_wait_for_company_ends_by_itself() -> None:
    provider = ListProvider()
    batching = BatchingEmbeddings(provider, wait_s=0.0)
    first = asyncio.create_task(batching.embed("a"))
    await settled()
    second = asyncio.create_task(batching.embed("b"))
    async with asyncio.timeout(60):
        while len(provider.calls) < 2:  # noqa: ASYNC110 -- the provider has no event for it
            await asyncio.sleep(0)
    provider.open.set()
    assert [(await each).provider for each in (first, second)] == ["list", "list"]
    assert provider.calls == [["a"], ["b"]]


async def test_a_refused_text_fails_for_its_own_caller_alone() -> None:
    provider = ListProvider(refused=frozenset({"bad"}))
    batching = BatchingEmbeddings(provider, wait_s=LONG_S, texts_max=3)
    found = await answered(provider, [asyncio.create_task(batching.embed(text)) for text in ("a", "b", "bad", "c")])
    assert [type(each) for each in found] == [Embedded, Embedded, EmbeddingRefused, Embedded]
    assert provider.calls == [["a"], ["b", "bad", "c"], ["b"], ["bad"], ["c"]]


async def test_a_server_that_is_away_is_told_to_all_and_asked_once() -> None:
    provider = ListProvider(failure=EmbeddingUnavailable("away"))
    batching = BatchingEmbeddings(provider, wait_s=LONG_S, texts_max=2)
    found = await answered(provider, [asyncio.create_task(batching.embed(text)) for text in ("a", "b", "c")])
    assert [type(each) for each in found] == [EmbeddingUnavailable] * 3
    assert provider.calls == [["a"], ["b", "c"]]


async def test_who_leaves_is_not_asked_for_and_takes_nobody_along() -> None:
    provider = ListProvider()
    batching = BatchingEmbeddings(provider, wait_s=LONG_S, texts_max=3)
    first, leaving = (asyncio.create_task(batching.embed(text)) for text in "ab")
    await settled()
    leaving.cancel()
    await settled()
    found = await answered(provider, [first, *(asyncio.create_task(batching.embed(text)) for text in "cd")])
    assert all(isinstance(each, Embedded) for each in found)
    assert provider.calls == [["a"], ["c", "d"]]


async def test_closing_ends_who_waits() -> None:
    provider = ListProvider()
    batching = BatchingEmbeddings(provider, wait_s=LONG_S, texts_max=2)
    asked = [asyncio.create_task(batching.embed(text)) for text in "abcd"]
    await settled()
    await batching.aclose()
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(each) for each in found] == [Embedded, *[asyncio.CancelledError] * 3]


async def test_a_text_is_asked_for_once_however_many_miss_it_together() -> None:
    """Behind the cache, which has them share a call for one text."""
    provider = ListProvider()
    cache = CachedEmbeddings(BatchingEmbeddings(provider, wait_s=LONG_S, texts_max=2))
    asked = [asyncio.create_task(cache.embed(text)) for text in ("a", "b", "b", "c", "a", "c")]
    found = await answered(provider, asked)
    assert all(isinstance(each, Embedded) for each in found)
    assert provider.calls == [["a"], ["b", "c"]]
    assert (cache.statistics().misses, cache.statistics().coalesced) == (3, 3)


@pytest.mark.parametrize(("strategy", "calls"), [(FRONTIER, 2), (BATCHED, 65)], ids=["frontier", "batched"])
async def test_frontier_has_its_misses_share_calls(strategy: Strategy, calls: int) -> None:
    provider = ListProvider()
    first = embedding_chain(provider, strategy, None).first
    await answered(provider, [asyncio.create_task(first.embed(f"text {number}")) for number in range(65)])
    assert len(provider.calls) == calls


async def test_where_vectors_are_made_here_nobody_waits() -> None:
    provider = CountedProvider()
    first = embedding_chain(provider, FRONTIER, None).first
    await asyncio.gather(*(first.embed(text) for text in "abc"))
    assert provider.texts == ["a", "b", "c"]
