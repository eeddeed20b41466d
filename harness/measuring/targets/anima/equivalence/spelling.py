"""Texts that spell their own vectors, so that a test chooses each similarity, exactly.

The leading integers of a text are its first components, the others are zero: `19 6 1 1 1 | first` is at a cosine
similarity of exactly 19/20 to `1`. Sums of small integers are exact in the single precision in which pgvector
multiplies, whatever their order, and the square root and the division that follow are rounded alike everywhere. So a
similarity has the same bits in PostgreSQL and in Python, and 0.95 means 0.95.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from anima.embeddings.protocol import DIMENSIONS, Embedded, ProviderCalls, Vector
from anima.embeddings.vectors import validated

SEPARATOR: Final = "|"
EXACT_MAX: Final = 2**24
"""Integers up to here are exact in single precision."""


@lru_cache(maxsize=4096)
def components(text: str) -> tuple[int, ...]:
    """Raises `ValueError` for a text that does not begin with integers, or with too large ones."""
    spelled = tuple(int(word) for word in text.partition(SEPARATOR)[0].split())
    if not 0 < squared_norm(spelled) <= EXACT_MAX:
        raise ValueError(f"{text!r} spells no vector: it must begin with integers whose squares add up to 1..2^24.")
    return spelled


def squared_norm(vector: tuple[int, ...]) -> int:
    return sum(component**2 for component in vector)


@lru_cache(maxsize=65536)
def cosine_similarity(text: str, other: str) -> float:
    """In the steps of pgvector and of the statements: 1 - (1 - cosine), the cosine kept in -1..1."""
    ours, theirs = components(text), components(other)
    product = sum(one * another for one, another in zip(ours, theirs, strict=False))
    cosine = product / math.sqrt(squared_norm(ours) * squared_norm(theirs))
    return 1 - (1 - max(-1.0, min(1.0, cosine)))


def vector_of(text: str) -> Vector:
    spelled = components(text)
    return validated([*spelled, *[0] * (DIMENSIONS - len(spelled))], provider=SpelledEmbeddings.name)


class SpelledEmbeddings:
    """An `EmbeddingProvider` for texts that spell their vectors."""

    name = "spelled"
    model = "integers"

    async def embed(self, text: str) -> Embedded:
        return Embedded(vector_of(text), self.name)

    async def embed_many(self, texts: Sequence[str]) -> Sequence[Embedded]:
        return [await self.embed(text) for text in texts]

    def server_calls(self) -> tuple[ProviderCalls, ...]:
        return ()

    async def aclose(self) -> None:
        """Holds nothing that has to be closed."""
