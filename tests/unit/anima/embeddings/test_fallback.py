import pytest

from anima.embeddings.fallback import FallbackEmbeddings
from anima.embeddings.hashing import hashed_vector
from anima.embeddings.protocol import Embedded
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
