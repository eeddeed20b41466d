"""Tells what the page says in its own form and not as a table: the headlines, and the budgets with their gauges."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from harness.judging.budget_metrics import METRICS
from harness.judging.verdict import BudgetVerdict, Verdict
from harness.quantities import count, share
from harness.showing.summary import OperationSummary, Summary, TextGroup
from harness.showing.tables import OUTCOME_TONES, Tone, printable, quantile_cell, selection

GLYPHS: Final[dict[Tone, str]] = {"good": "✓", "bad": "✕", "doubt": "?", "plain": "", "muted": ""}

GAUGE_LIMIT_PERCENT: Final = 62.5
"""Where on a gauge the limit is drawn; the style sheet has the same figure."""


@dataclass(frozen=True, slots=True)
class LineChange:
    """Two figures of one thing, before and after."""

    before: str
    after: str
    difference: str = ""


@dataclass(frozen=True, slots=True)
class Headline:
    """One operation from the baseline to the candidate; where texts matter, known and first-time ones apart."""

    title: str
    p50: LineChange
    first_time: LineChange | None
    statements: LineChange


@dataclass(frozen=True, slots=True)
class BudgetLine:
    """One budget; `fill_percent` is how much of its gauge the measured value takes, None without a value."""

    outcome: str
    tone: Tone
    budget: str
    sentence: str
    meaning: str
    fill_percent: float | None


def headlines(summary: Summary) -> Iterable[Headline]:
    for operation in summary.operation_names:
        pair = _pair(summary, operation, "known") or _pair(summary, operation, "all")
        if pair:
            first_time = _pair(summary, operation, "first")
            before, after = (each.statements.median if each.statements else None for each in pair)
            yield Headline(
                title=selection(operation, pair[0].texts),
                p50=_latency_change(*pair),
                first_time=_latency_change(*first_time) if first_time else None,
                statements=LineChange(count(before), count(after)),
            )


def _pair(summary: Summary, operation: str, texts: TextGroup) -> tuple[OperationSummary, OperationSummary] | None:
    declared = summary.declaration
    if declared.baseline is None or declared.candidate is None or declared.baseline == declared.candidate:
        return None
    before = summary.operation(declared.baseline, operation, texts)
    after = summary.operation(declared.candidate, operation, texts)
    return (before, after) if before and after else None


def _latency_change(before: OperationSummary, after: OperationSummary) -> LineChange:
    first_s, last_s = before.p50.value_s, after.p50.value_s
    is_finite = 0 < first_s < math.inf and last_s < math.inf
    first, last = (quantile_cell(each.p50, each.requests, "p50").text for each in (before, after))
    return LineChange(first, last, share((last_s - first_s) / first_s) if is_finite else "")


def budget_lines(verdict: Verdict) -> Iterable[BudgetLine]:
    """Lists what failed first."""
    for each in verdict.worst_first:
        yield BudgetLine(
            outcome=each.outcome.value,
            tone=OUTCOME_TONES[each.outcome],
            budget=printable(each.budget),
            sentence=printable(each.sentence),
            meaning=METRICS[each.metric].meaning,
            fill_percent=_fill_percent(each),
        )


def _fill_percent(budget: BudgetVerdict) -> float | None:
    if budget.measured is None or not budget.limit or math.isinf(budget.measured):
        return None
    return min(budget.measured / budget.limit * GAUGE_LIMIT_PERCENT, 100.0)
