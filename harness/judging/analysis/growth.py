"""Tells what grows steadily from warm-up, a cache that fills, and the garbage that a collector has not come to."""

from collections.abc import Sequence
from itertools import pairwise
from operator import itemgetter
from statistics import median
from typing import Final

PARTS: Final = 6
"""The first of which is left out: what is loaded and cached at first is no growth."""
STEADY: Final = 0.5
"""How small a step from one part to the next may be, beside the others."""


def steady_growth(at: Sequence[float], values: Sequence[float]) -> float | None:
    """Says it from the first reading to the last, at the pace at which every part goes on; None of too few readings.

    `at` is when each was read, in time or in requests.
    The least reading of a part counts, since a collector brings it down now and then. One jump is no growth, nor is
    what becomes slower and slower: then it is 0.
    """
    least = [min(part, key=itemgetter(1)) for part in _parts(at, values)[1:]]
    if len(least) < PARTS - 1:
        return None
    steps = [(after - before) / (later - sooner) for (sooner, before), (later, after) in pairwise(least)]
    typical = median(steps)
    return (at[-1] - at[0]) * typical if typical > 0 and min(steps) >= STEADY * typical else 0.0


def _parts(at: Sequence[float], values: Sequence[float]) -> list[list[tuple[float, float]]]:
    """Of equal length, those without a reading left out."""
    parts: list[list[tuple[float, float]]] = [[] for _ in range(PARTS)]
    for now, value in zip(at, values, strict=True):
        share = (now - at[0]) / (at[-1] - at[0]) if at[-1] > at[0] else 0.0
        parts[min(int(share * PARTS), PARTS - 1)].append((now, value))
    return [part for part in parts if part]
