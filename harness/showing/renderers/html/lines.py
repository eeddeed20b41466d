"""Tells what the page says in its own form: the budgets, each with a bar up to its limit."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from harness.judging.budget_metrics import METRICS
from harness.judging.budgets import parse
from harness.judging.verdict import BudgetVerdict, Verdict
from harness.quantities import ABSENT, interval, quantity
from harness.showing.tables import OUTCOME_TONES, Tone, printable

GLYPHS: Final[dict[Tone, str]] = {"good": "✓", "bad": "✕", "doubt": "?", "plain": "", "muted": ""}

GAUGE_LIMIT_PERCENT: Final = 62.5
"""Where on a gauge the limit is drawn; the style sheet has the same figure."""


@dataclass(frozen=True, slots=True)
class BudgetLine:
    """One budget as a row of the table of budgets."""

    outcome: str
    """PASS, or what else it came to."""
    tone: Tone
    """How it is coloured."""
    budget: str
    """The budget as it is written."""
    sentence: str
    """How it stands."""
    meaning: str
    """What its metric means."""
    measured: str
    """The measured value."""
    bounds: str
    """Its 95% bounds; empty of what is counted."""
    limit: str
    """What it is held to, with the sign that it should have."""
    margin: str
    """How far the two are apart."""
    fill_percent: float | None
    """How much of its bar the measured value takes; None without a value."""


def budget_lines(verdict: Verdict) -> Iterable[BudgetLine]:
    """Lists what failed first."""
    for each in verdict.worst_first:
        yield BudgetLine(
            outcome=each.outcome.value,
            tone=OUTCOME_TONES[each.outcome],
            budget=printable(each.budget),
            sentence=printable(each.sentence),
            meaning=METRICS[each.metric].meaning,
            measured=quantity(each.measured, each.unit),
            bounds=interval(each.lower, each.upper, each.unit),
            limit=_limit(each),
            margin=each.margin,
            fill_percent=_fill_percent(each),
        )


def _limit(budget: BudgetVerdict) -> str:
    sign = "≤" if parse(budget.budget).limit.comparator == "<=" else "≥"
    return ABSENT if budget.limit is None else f"{sign} {quantity(budget.limit, budget.unit)}"


def _fill_percent(budget: BudgetVerdict) -> float | None:
    if budget.measured is None or not budget.limit or math.isinf(budget.measured):
        return None
    return min(budget.measured / budget.limit * GAUGE_LIMIT_PERCENT, 100.0)
