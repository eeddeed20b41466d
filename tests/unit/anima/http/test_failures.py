"""When a client is told to come back."""

import pytest

from anima.errors import (
    AnimaError,
    DatabaseUnavailable,
    EmbeddingMisconfigured,
    EmbeddingRefused,
    EmbeddingUnavailable,
    InvalidEmbedding,
)
from anima.http.failures import PUBLIC, retry_after


@pytest.mark.parametrize(
    ("error", "headers"),
    [
        (EmbeddingUnavailable("Down.", retry_after_s=7.2), {"Retry-After": "8"}),
        (EmbeddingUnavailable("Tried by another.", retry_after_s=0.0), {"Retry-After": "1"}),
        (EmbeddingUnavailable("Down."), {"Retry-After": "5"}),
        (DatabaseUnavailable("Down."), {"Retry-After": "1"}),
        (InvalidEmbedding("A page."), {}),
        (EmbeddingRefused("Too long."), {}),
        (EmbeddingMisconfigured("A wrong key."), {}),
    ],
    ids=["open circuit", "half-open circuit", "no answer", "database", "garbage", "refused text", "wrong key"],
)
def test_who_is_turned_away_is_told_for_how_many_seconds(error: AnimaError, headers: dict[str, str]) -> None:
    assert retry_after(PUBLIC[type(error)], error) == headers
