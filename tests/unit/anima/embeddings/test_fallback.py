import pytest

from anima.embeddings.fallback import FallbackEmbeddings
from anima.errors import AnimaError, EmbeddingUnavailable, InvalidEmbedding
from tests.providers import CountedProvider


async def test_the_primary_answers_alone_while_it_can() -> None:
    primary, secondary = CountedProvider("primary"), CountedProvider("secondary")
    embeddings = FallbackEmbeddings(primary, secondary)
    assert (await embeddings.embed("text")).provider == "primary"
    assert (embeddings.name, embeddings.model) == ("primary", "model of primary")
    assert len(secondary.texts) == 0


async def test_the_secondary_answers_and_is_named_when_the_primary_is_unavailable(
    caplog: pytest.LogCaptureFixture,
) -> None:
    embeddings = FallbackEmbeddings(
        CountedProvider("primary", EmbeddingUnavailable("Down.")), CountedProvider("secondary")
    )
    assert (await embeddings.embed("text")).provider == "secondary"
    assert "Down. Asking secondary instead." in caplog.text


async def test_an_invalid_answer_is_final() -> None:
    secondary = CountedProvider("secondary")
    embeddings = FallbackEmbeddings(CountedProvider("primary", InvalidEmbedding("Nonsense.")), secondary)
    with pytest.raises(InvalidEmbedding, match="Nonsense"):
        await embeddings.embed("text")
    assert len(secondary.texts) == 0


async def test_both_reasons_are_told_when_nobody_answers() -> None:
    embeddings = FallbackEmbeddings(
        CountedProvider("primary", EmbeddingUnavailable("The first is down.")),
        CountedProvider("secondary", EmbeddingUnavailable("The second too.")),
    )
    with pytest.raises(EmbeddingUnavailable, match=r"The first is down\. The second too\."):
        await embeddings.embed("text")


async def test_closing_closes_both_even_if_one_fails() -> None:
    primary, secondary = CountedProvider("primary", AnimaError("Cannot close.")), CountedProvider("secondary")
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
    primary = CountedProvider("primary", EmbeddingUnavailable("Down.", retry_after_s=first_s))
    secondary = CountedProvider("secondary", EmbeddingUnavailable("Down too.", retry_after_s=second_s))
    with pytest.raises(EmbeddingUnavailable) as unavailable:
        await FallbackEmbeddings(primary, secondary).embed("text")
    assert unavailable.value.retry_after_s == either_s
