"""Says whether a candidate needs more of what is counted, not timed: statements, round trips, rows, WAL bytes.

Where a count is the same whenever the same requests are sent again, any difference is a fact. Where it is not, because
requests that run side by side take turns as they come, a difference counts only when no round of one side reaches into
the range of the other, and that would happen by chance more rarely than the risk allows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

RISK: Final = 0.001
"""Of taking the chance order of counts that vary for a difference; low, since many counters are compared."""

Change = Literal["same", "grew", "shrank", "varies"]


@dataclass(frozen=True, slots=True)
class CountDifference:
    """Means over the rounds. `exact` says that either side had one count in all of its rounds."""

    change: Change
    baseline: float
    candidate: float
    exact: bool


def compare_counts(baseline: Sequence[float], candidate: Sequence[float]) -> CountDifference:
    """Of counts of the same requests, one per round and side; `varies` is a difference that may be chance."""
    means = math.fsum(baseline) / len(baseline), math.fsum(candidate) / len(candidate)
    exact = len(set(baseline)) == len(set(candidate)) == 1
    return CountDifference(_change(baseline, candidate, exact=exact), *means, exact)


def _change(baseline: Sequence[float], candidate: Sequence[float], *, exact: bool) -> Change:
    if sorted(baseline) == sorted(candidate) or (exact and baseline[0] == candidate[0]):
        return "same"
    # Of all orders in which that many rounds could come, two keep the sides apart.
    by_chance = 2 / math.comb(len(baseline) + len(candidate), len(baseline))
    if not exact and by_chance > RISK:
        return "varies"
    if min(candidate) > max(baseline):
        return "grew"
    return "shrank" if max(candidate) < min(baseline) else "varies"
