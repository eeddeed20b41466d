import math

import numpy as np
import pytest

from anima.embeddings.protocol import DIMENSIONS
from anima.embeddings.vectors import validated
from anima.errors import InvalidEmbedding

HUGE_INTEGER = 10**400


def components(first: object) -> list[object]:
    return [first, *[0.5] * (DIMENSIONS - 1)]


def test_numbers_become_a_read_only_single_precision_vector() -> None:
    vector = validated(components(2), provider="p")
    assert vector.dtype == np.float32
    assert vector.shape == (DIMENSIONS,)
    assert vector[0] == 2.0
    with pytest.raises(ValueError, match="read-only"):
        vector[0] = 1.0


def test_an_array_is_copied_so_that_its_owner_cannot_change_the_vector() -> None:
    array = np.ones(DIMENSIONS)
    vector = validated(array, provider="p")
    array[0] = 7.0
    assert vector[0] == 1.0


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param([0.5] * (DIMENSIONS - 1), "767 components where 768", id="one too few"),
        pytest.param([0.5] * (DIMENSIONS + 1), "769 components where 768", id="one too many"),
        pytest.param([], "0 components", id="empty"),
        pytest.param(components(math.nan), "not a finite number", id="NaN"),
        pytest.param(components(-math.inf), "not a finite number", id="infinite"),
        pytest.param(components(1e39), "not a finite number", id="infinite in single precision"),
        pytest.param(components(HUGE_INTEGER), "not a finite number", id="an integer past every float"),
        pytest.param([0.0] * DIMENSIONS, "norm is zero", id="zero"),
        pytest.param([1e-30] * DIMENSIONS, "norm is zero", id="zero norm in single precision"),
        pytest.param([1e25] * DIMENSIONS, "too large", id="infinite norm in single precision"),
        pytest.param(components("0.5"), "not every item is a number", id="a string of digits"),
        pytest.param(components(None), "not every item is a number", id="null"),
        pytest.param(components(True), "not every item is a number", id="a boolean"),
        pytest.param(components([0.5]), "not every item is a number", id="nested"),
        pytest.param("0.5", "not a list of numbers", id="a string"),
        pytest.param(None, "not a list of numbers", id="nothing"),
        pytest.param(np.ones((1, DIMENSIONS)), "not every item is a number", id="a matrix"),
    ],
)
def test_anything_else_is_refused_in_a_sentence_that_says_who_and_what(answer: object, said: str) -> None:
    with pytest.raises(InvalidEmbedding, match=f"provider p answered with .*{said}.*Check"):
        validated(answer, provider="p")
