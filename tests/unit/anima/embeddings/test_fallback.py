from collections.abc import Sequence

import pytest

from anima.embeddings.fallback import FallbackEmbeddings
from anima.embeddings.hashing import hashed_vector
from anima.embeddings.protocol import Embedded, ProviderCalls
from anima.errors import AnimaError, EmbeddingUnavailable, InvalidEmbedding


class Scripted:
    """Answers, or fails with `failure`."""

    def __init__(self, name: str, failure: Exception | None = None) -> None:
        self.name = name
        self.model = f"model of {name}"
        self.failure = failure
        self.asked = 0
        self.closed = False

    async def embed(self, text: str) -> Embedded:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return Embedded(hashed_vector(text), self.name)

    async def embed_many(self, texts: Sequence[str]) -> Sequence[Embedded]:
        return [await self.embed(text) for text in texts]

    def server_calls(self) -> tuple[ProviderCalls, ...]:
        return ()

    async def aclose(self) -> None:
        self.closed = True
        if self.failure is not None:
            raise self.failure


async def test_the_primary_answers_alone_while_it_can() -> None:
    primary, secondary = Scripted("primary"), Scripted("secondary")
    embeddings = FallbackEmbeddings(primary, secondary)
    assert (await embeddings.embed("text")).provider == "primary"
    assert (embeddings.name, embeddings.model) == ("primary", "model of primary")
    assert secondary.asked == 0


async def test_the_secondary_answers_and_is_named_when_the_primary_is_unavailable(
    caplog: pytest.LogCaptureFixture,
) -> None:
    embeddings = FallbackEmbeddings(Scripted("primary", EmbeddingUnavailable("Down.")), Scripted("secondary"))
    assert (await embeddings.embed("text")).provider == "secondary"
    assert "Down. Asking secondary instead." in caplog.text


async def test_an_invalid_answer_is_final() -> None:
    secondary = Scripted("secondary")
    embeddings = FallbackEmbeddings(Scripted("primary", InvalidEmbedding("Nonsense.")), secondary)
    with pytest.raises(InvalidEmbedding, match="Nonsense"):
        await embeddings.embed("text")
    assert secondary.asked == 0


async def test_both_reasons_are_told_when_nobody_answers() -> None:
    embeddings = FallbackEmbeddings(
        Scripted("primary", EmbeddingUnavailable("The first is down.")),
        Scripted("secondary", EmbeddingUnavailable("The second too.")),
    )
    with pytest.raises(EmbeddingUnavailable, match=r"The first is down\. The second too\."):
        await embeddings.embed("text")


async def test_closing_closes_both_even_if_one_fails() -> None:
    primary, secondary = Scripted("primary", AnimaError("Cannot close.")), Scripted("secondary")
    with pytest.raises(AnimaError, match="Cannot close"):
        await FallbackEmbeddings(primary, secondary).aclose()
    assert primary.closed
    assert secondary.closed


@pytest.mark.parametrize(
    ("first_s", "second_s", "either_s"), [(8.0, 3.0, 3.0), (8.0, None, None), (None, 3.0, None), (None, None, None)]
)
async def test_whoever_can_be_asked_again_first_decides_when_to_ask(
    first_s: float | None, second_s: float | None, either_s: float | None
) -> None:
    primary = Scripted("primary", EmbeddingUnavailable("Down.", retry_after_s=first_s))
    secondary = Scripted("secondary", EmbeddingUnavailable("Down too.", retry_after_s=second_s))
    with pytest.raises(EmbeddingUnavailable) as unavailable:
        await FallbackEmbeddings(primary, secondary).embed("text")
    assert unavailable.value.retry_after_s == either_s
