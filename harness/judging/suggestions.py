"""Tighter budgets, from what runs measured: what is counted exactly is held exactly, what varies has a fifth of room.

Pure. A limit is proposed in the unit that its author wrote, and its text is otherwise left as it is.
"""

import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import scipy

from harness.judging.budget_metrics import METRICS
from harness.judging.budgets import Budget, parse
from harness.judging.limits import UNITS
from harness.judging.verdict import judge
from harness.record import RunRecord

ROOM: Final = Fraction(1, 5)
"""Above what was measured, where it is not the same each time."""

DIGITS: Final = 2
LIMIT: Final = re.compile(
    r"(?P<before>.*(?:<=|>=)\s*)(?P<number>[\d.,]+)(?P<unit>\s*(?:%|/[^\W\d]+|[^\W\d]+)?)(?P<rest>.*)"
)


@dataclass(frozen=True, slots=True)
class BudgetSuggestion:
    """A budget as it stands, and as it could stand: the same text where `reason` says why nothing is proposed.

    `risk` is the chance that the next run of the same code fails the proposed one; None where one run does not tell.
    """

    stands: str
    proposed: str
    measured: tuple[float, ...]
    risk: float | None = None
    reason: str = ""
    is_tighter: bool = False

    @property
    def changes(self) -> bool:
        return self.proposed != self.stands


def suggestions(records: Sequence[RunRecord], texts: Sequence[str], *, timed: bool = False) -> list[BudgetSuggestion]:
    """For each budget; where `timed`, also for what is estimated, such as a p95. Raises `UsageError`."""
    return [_suggested(records, text, parse(text), timed=timed) for text in texts]


def _suggested(records: Sequence[RunRecord], text: str, budget: Budget, *, timed: bool) -> BudgetSuggestion:
    written = LIMIT.fullmatch(text)
    if budget.limit.comparator == "uses" or written is None or budget.limit.variables:
        return BudgetSuggestion(text, text, (), reason="no number: an index, or a law in what a request returns")
    measured = [verdict.measured for each in records for verdict in judge(each, [budget]).budgets]
    known = tuple(value for value in measured if value is not None)
    if len(known) < len(records):
        return BudgetSuggestion(text, text, known, reason="not measured in each of these runs")
    metric = METRICS[budget.metric]
    if metric.unit == "share":
        return BudgetSuggestion(text, text, known, reason="a share is what is wanted, and not what was measured")
    if metric.kind == "sampled" and not timed:
        return BudgetSuggestion(text, text, known, reason="an estimate of a time: --timed proposes for it as well")
    return _held(text, written, budget, known, exactly=metric.scope == "requests" and metric.kind == "exact")


def _held(
    text: str, written: "re.Match[str]", budget: Budget, measured: tuple[float, ...], *, exactly: bool
) -> BudgetSuggestion:
    most = budget.limit.comparator == "<="
    worst = Fraction(f"{max(measured) if most else min(measured):.9g}")  # Without what a float adds to it.
    wanted = worst if exactly else worst * (1 + ROOM if most else 1 - ROOM)
    unit = UNITS[written["unit"].strip()][1] if written["unit"].strip() in UNITS else Fraction(1)
    number = _rounded(wanted / unit, up=most, exactly=exactly)
    proposed = f"{written['before']}{number}{written['unit']}{written['rest']}"
    limit = float(Fraction(number) * unit)
    tighter = limit < budget.limit.value() if most else limit > budget.limit.value()
    if limit == budget.limit.value():
        return BudgetSuggestion(text, text, measured, _risk(measured, limit, most=most), "tight already")
    return BudgetSuggestion(text, proposed, measured, _risk(measured, limit, most=most), is_tighter=tighter)


def _rounded(value: Fraction, *, up: bool, exactly: bool) -> str:
    """To two digits, away from what was measured; a count to a whole number."""
    if not value:
        return "0"
    places = 0 if exactly else DIGITS - 1 - math.floor(math.log10(abs(value)))
    factor = Fraction(10) ** places
    rounded = Fraction((math.ceil if up else math.floor)(value * factor)) / factor
    return str(rounded.numerator) if rounded.denominator == 1 else f"{float(rounded):g}"


def _risk(measured: Sequence[float], limit: float, *, most: bool) -> float | None:
    """That the next value of these lies beyond the limit, by Student's t; 0 of what was the same each time."""
    if len(measured) == 1:
        return None
    spread = statistics.stdev(measured)
    if not spread:
        return 0.0
    distance = (limit - statistics.mean(measured)) * (1 if most else -1)
    freedom = len(measured) - 1
    return float(scipy.stats.t.sf(distance / (spread * math.sqrt(1 + 1 / len(measured))), freedom))
