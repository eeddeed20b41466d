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


def steady_growth(at_s: Sequence[float], values: Sequence[float]) -> float | None:
    """From the first reading to the last, at the pace at which every part goes on; None of too few readings.

    The least reading of a part counts, since a collector brings it down now and then. One jump is no growth, nor is
    what becomes slower and slower: then it is 0.
    """
    least = [min(part, key=itemgetter(1)) for part in _parts(at_s, values)[1:]]
    if len(least) < PARTS - 1:
        return None
    steps = [(after - before) / (later_s - sooner_s) for (sooner_s, before), (later_s, after) in pairwise(least)]
    typical = median(steps)
    return (at_s[-1] - at_s[0]) * typical if typical > 0 and min(steps) >= STEADY * typical else 0.0


def _parts(at_s: Sequence[float], values: Sequence[float]) -> list[list[tuple[float, float]]]:
    """Of equal length in time, those without a reading left out."""
    parts: list[list[tuple[float, float]]] = [[] for _ in range(PARTS)]
    for now_s, value in zip(at_s, values, strict=True):
        share = (now_s - at_s[0]) / (at_s[-1] - at_s[0]) if at_s[-1] > at_s[0] else 0.0
        parts[min(int(share * PARTS), PARTS - 1)].append((now_s, value))
    return [part for part in parts if part]
