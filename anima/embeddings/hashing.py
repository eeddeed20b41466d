"""Offline embeddings: texts that share words, or parts of words, get near vectors; no model, no network.

The vectors know nothing of meaning, but thresholds, ranking and near-duplicates have something to work on.
They are the same on every machine: all sums are of integers, so neither the order of summation nor the linear
algebra library can change a bit.
"""

import hashlib
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from anima.embeddings.protocol import DIMENSIONS, Embedded, ProviderCalls, Vector

WORD: Final = re.compile(r"\w+")

# A token's squared length is divided in this way between the word itself and its trigrams.
WORD_SHARE: Final = 600_000
TRIGRAMS_SHARE: Final = 400_000

# Trigrams past this length would cost more than they tell: such a token is an address or an encoded blob.
TRIGRAM_TEXT_LENGTH_MAX: Final = 64

# Two unrelated sentences share these, so they count for less.
FUNCTION_WORDS: Final = frozenset(
    WORD.findall("""
        a about after all also am an and any are as at be because been before but by can could d did
        do does don for from had has have he her here him his how i if in into is it its just ll m
        me more my no not of on or our out re s she so some t than that the their them then there
        these they this to up us ve was we were what when where which who will with would you your
    """)
)

Projection = npt.NDArray[np.int16]


class HashingEmbeddings:
    name = "hashing"
    model = "words-and-trigrams-1"

    async def embed(self, text: str) -> Embedded:
        return Embedded(hashed_vector(text), self.name)

    async def embed_many(self, texts: Sequence[str]) -> Sequence[Embedded]:
        return [await self.embed(text) for text in texts]

    def server_calls(self) -> tuple[ProviderCalls, ...]:
        return ()

    async def aclose(self) -> None:
        """Holds nothing that has to be closed."""


def hashed_vector(text: str) -> Vector:
    """The text's unit vector, read-only."""
    counts = Counter(_tokens(text))
    weights = np.array([_weight(token, count) for token, count in counts.items()], dtype=np.int64)
    components = weights @ np.stack([_projection(token) for token in counts])
    vector = (components / math.sqrt(int(components @ components))).astype(np.float32)
    vector.setflags(write=False)
    return vector


def _tokens(text: str) -> list[str]:
    """The text's words, folded; a text without any is one token, so that no text is without a vector."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return WORD.findall(folded) or [folded]


def _weight(token: str, count: int) -> int:
    """Grows with the square root of the count, so that a repeated word does not drown the others."""
    return math.isqrt(count * (64 if token in FUNCTION_WORDS else 256))


@lru_cache(maxsize=16_384)
def _projection(token: str) -> Projection:
    """The token's direction: the weighted sum of the random directions of its features."""
    trigrams = _trigrams(token)
    word_part = _direction("word", {token}) * math.isqrt(WORD_SHARE)
    trigrams_part = _direction("trigram", trigrams) * math.isqrt(TRIGRAMS_SHARE // len(trigrams))
    return (word_part + trigrams_part).astype(np.int16)


def _trigrams(token: str) -> set[str]:
    marked = f"<{token[:TRIGRAM_TEXT_LENGTH_MAX]}>"
    return {marked[start : start + 3] for start in range(max(1, len(marked) - 2))}


def _direction(kind: str, features: set[str]) -> npt.NDArray[np.int32]:
    """The sum over the features of one -1 or 1 for each dimension, drawn by a hash of the feature."""
    digests = b"".join(_digest(f"{kind}:{feature}") for feature in features)
    bits = np.unpackbits(np.frombuffer(digests, dtype=np.uint8)).reshape(-1, DIMENSIONS)
    ones: npt.NDArray[np.int32] = bits.sum(axis=0, dtype=np.int32)
    return 2 * ones - len(features)


def _digest(feature: str) -> bytes:
    return hashlib.shake_128(feature.encode()).digest(DIMENSIONS // 8)
