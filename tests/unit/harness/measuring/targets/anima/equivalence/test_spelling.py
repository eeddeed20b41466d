"""What a text spells, and how near two texts are."""

import pytest

from harness.measuring.targets.anima.equivalence.spelling import SpelledEmbeddings, components, cosine_similarity
from harness.measuring.targets.anima.equivalence.texts import (
    APART,
    AROUND_DUPLICATE,
    CENTRE,
    DIRECTIONS,
    LABELS,
    TOPICS,
    Nearness,
    centre,
    variant,
)


def test_a_text_spells_its_first_components() -> None:
    assert components("19 -6 1 | whatever 7") == (19, -6, 1)


@pytest.mark.parametrize("text", ["", "| nothing", "zero", "0 0", "1.5", "4096 1"])
def test_a_text_that_spells_no_exact_vector_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"spells no vector|invalid literal"):
        components(text)


async def test_its_vector_is_what_it_spells() -> None:
    embedded = await SpelledEmbeddings().embed("0 3 | label")
    assert embedded.vector.shape == (768,)
    assert embedded.vector.tolist() == [0.0, 3.0, *[0.0] * 766]


@pytest.mark.parametrize(
    ("text", "similarity"),
    [("1", 1.0), ("7", 1.0), ("19 6 1 1 1", 0.95), ("49 9 4 1 1", 0.98), ("1 1 1 1", 0.5), ("0 1", 0.0), ("-1", -1.0)],
)
def test_similarities_are_exact(text: str, similarity: float) -> None:
    assert cosine_similarity(text, "1") == similarity


@pytest.mark.parametrize("topic", range(TOPICS))
@pytest.mark.parametrize("direction", range(DIRECTIONS))
@pytest.mark.parametrize("nearness", [CENTRE, *AROUND_DUPLICATE, *APART], ids=repr)
def test_a_variant_is_as_near_to_its_centre_as_it_says(topic: int, direction: int, nearness: Nearness) -> None:
    text = variant(topic, nearness, direction, LABELS[-1])
    assert cosine_similarity(text, centre(topic)) == pytest.approx(nearness.similarity, abs=1e-15)
