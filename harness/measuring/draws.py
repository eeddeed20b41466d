"""Seeded draws that come out the same on every machine and every Python version.

Of `random.Random`, Python promises only the sequence of `random()` for an integer seed, so nothing else is used.
"""

import hashlib
import random
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Self, TypeVar

T = TypeVar("T")


class Draws:
    """One stream of draws. Streams of one seed with different names are independent of each other."""

    def __init__(self, seed: int, stream: str) -> None:
        digest = hashlib.sha256(f"{seed}/{stream}".encode()).digest()
        self.fraction = random.Random(int.from_bytes(digest, "big")).random  # noqa: S311 -- nothing here is secret.

    def index(self, count: int) -> int:
        """One of 0 … count - 1, each as likely."""
        return int(self.fraction() * count)

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.index(len(choices))]

    def chance(self, probability: float) -> bool:
        return self.fraction() < probability


class Weights:
    """A discrete distribution, drawn from by its inverse cumulative distribution: one draw per value."""

    def __init__(self, weights: Sequence[float]) -> None:
        self._cumulative = tuple(accumulate(weights))

    @classmethod
    def zipf(cls, ranks: int, exponent: float) -> Self:
        """The rank r, counted from 1, weighs r ** -exponent; the index drawn is r - 1."""
        return cls([rank**-exponent for rank in range(1, ranks + 1)])

    def index(self, draws: Draws) -> int:
        """An index into the weights. One that weighs nothing is never drawn."""
        point = draws.fraction() * self._cumulative[-1]
        return bisect_right(self._cumulative, point, hi=len(self._cumulative) - 1)
