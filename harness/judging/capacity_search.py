"""Says which rate is asked for next: double, bisect, confirm.

A search comes near to the capacity by rates that are judged once each, by what was measured: a wrong step there costs
time and nothing else. Then the highest rate that held and the lowest that broke are measured afresh, each until it is
sure, and where one of them is not what it seemed, the next rate beyond it. Only these decide; each is another look at
the capacity, so they share the risk of being wrong (`rates.py`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from harness.judging.rates import TriedRate
from harness.record import AskedFor

HALVINGS_MAX: Final = 8
RATE_MAX_PER_S: Final = 1_000_000
CONFIRMATIONS_MAX: Final = 8


@dataclass(frozen=True, slots=True)
class WantedRate:
    """A rate that is to be asked for, and what for."""

    rate_per_s: float
    purpose: AskedFor


@dataclass(frozen=True, slots=True)
class Bracket:
    """The highest rate that held, and the lowest above it that did not; None where there is none."""

    held_per_s: float | None
    other_per_s: float | None


def following(tried: Sequence[TriedRate], start_per_s: float, within: float) -> WantedRate | None:
    """The next rate of a search; None where it has come to its end."""
    if tried and not tried[-1].settled:
        return WantedRate(tried[-1].rate_per_s, tried[-1].purpose)
    searched = [each for each in tried if each.purpose == "search"]
    if not searched:
        return WantedRate(start_per_s, "search")
    bracket = bracketed(searched)
    if (rate_per_s := _nearer(bracket, searched, within)) is not None:
        return WantedRate(rate_per_s, "search")
    rate_per_s = _unsure(bracket, searched, [each for each in tried if each.purpose == "confirm"], within)
    return None if rate_per_s is None else WantedRate(rate_per_s, "confirm")


def bracketed(searched: Sequence[TriedRate]) -> Bracket:
    held = max((each.rate_per_s for each in searched if each.leans), default=None)
    others = [each.rate_per_s for each in searched if not each.leans and (held is None or each.rate_per_s > held)]
    return Bracket(held, min(others, default=None))


def _nearer(bracket: Bracket, searched: Sequence[TriedRate], within: float) -> float | None:
    """Twice as much while nothing breaks, half while nothing holds, and then between the two."""
    held, other = bracket.held_per_s, bracket.other_per_s
    if other is None:
        assert held is not None, "what was searched held or did not"
        return rounded(2 * held) if 2 * held <= RATE_MAX_PER_S else None
    if held is None:
        return rounded(other / 2) if len(searched) <= HALVINGS_MAX else None
    if other > held * (1 + within):
        between = rounded(math.sqrt(held * other))
        return between if held < between < other else None
    return None


def _unsure(
    bracket: Bracket, searched: Sequence[TriedRate], confirmed: Sequence[TriedRate], within: float
) -> float | None:
    """The next rate to be sure of: first that all budgets hold, and then that they do not."""
    if len(confirmed) >= CONFIRMATIONS_MAX:
        return None
    holding = [each.rate_per_s for each in confirmed if each.word == "holds"]
    breaking = [each.rate_per_s for each in confirmed if each.word == "breaks"]
    held, other = bracket.held_per_s, bracket.other_per_s
    if held is not None and not holding:
        missed = [each.rate_per_s for each in confirmed if each.rate_per_s <= held]
        return rounded(_beyond(held, len(missed), 1 / (1 + within)))
    if other is not None and not breaking and not is_generators(searched, other):
        missed = [each.rate_per_s for each in confirmed if each.rate_per_s >= other]
        return rounded(_beyond(other, len(missed), 1 + within))
    return None


def _beyond(rate_per_s: float, missed: int, factor: float) -> float:
    """Each that was missed takes the next one twice as far."""
    return rate_per_s * math.pow(factor, 2**missed - 1)


def is_generators(searched: Sequence[TriedRate], rate_per_s: float) -> bool:
    """Says whether this rate was beyond what could be sent or measured, so that it says nothing of the system."""
    return any(each.word == "invalid" for each in searched if each.rate_per_s == rate_per_s)


def rounded(rate_per_s: float) -> float:
    """Four digits are enough for any rate."""
    return float(f"{rate_per_s:.4g}")
