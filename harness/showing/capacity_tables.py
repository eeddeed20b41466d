"""A search for a capacity as tables of text, for every renderer: what was found, and the curve of latency over rate."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.capacity import Capacity, CapacityVerdict
from harness.judging.declaration import declaration_of
from harness.judging.rates import RateWord, TriedRate
from harness.quantities import ABSENT, count, duration, number_of, rate, share, significant
from harness.record import RunRecord
from harness.showing.tables import (
    OUTCOME_TONES,
    Cell,
    Column,
    Table,
    Tone,
    number_columns,
    printable,
    table_or_none,
    text_columns,
)

RATE_TONES: Final[Mapping[RateWord, Tone]] = {
    "holds": "good",
    "breaks": "bad",
    "undecided": "doubt",
    "invalid": "doubt",
}


def capacity_title(record: RunRecord) -> str:
    declared = declaration_of(record)
    return f"Capacity of {printable(declared.title or declared.name or record.run_id)}"


def capacity_tables(verdict: CapacityVerdict) -> Iterable[Table]:
    """In the order in which they are read; those that have nothing to show are left out."""
    tables = (
        found_table(verdict),
        capacity_budgets_table(verdict),
        compared_table(verdict),
        *(curve_table(each, alone=len(verdict.capacities) == 1) for each in verdict.capacities),
    )
    yield from (table for table in tables if table)


def found_table(verdict: CapacityVerdict) -> Table | None:
    columns = (
        *text_columns("Verdict", "Variant", "Phase"),
        *number_columns("Holds at", "Breaks at"),
        *text_columns("Breaks first", "At its end there"),
    )
    return table_or_none("Capacity", columns, tuple(map(_found_row, verdict.capacities)))


def _found_row(capacity: Capacity) -> tuple[Cell, ...]:
    return (
        Cell(capacity.outcome.value, OUTCOME_TONES[capacity.outcome]),
        Cell(printable(capacity.variant)),
        Cell(printable(capacity.phase)),
        Cell(rate(capacity.lower_per_s)),
        Cell(rate(capacity.upper_per_s)),
        Cell(printable(capacity.breaks_first or ABSENT)),
        Cell(printable("; ".join(capacity.saturated) or ABSENT)),
    )


def capacity_budgets_table(verdict: CapacityVerdict) -> Table | None:
    columns = (Column("Verdict"), Column("Budget", code=True), Column("Variant", wide=True), Column("How it stands"))
    rows = tuple(
        (
            Cell(each.outcome.value, OUTCOME_TONES[each.outcome]),
            Cell(printable(each.budget)),
            Cell(printable(each.variant)),
            Cell(printable(each.sentence)),
        )
        for each in verdict.budgets
    )
    return table_or_none("Budgets", columns, rows)


def compared_table(verdict: CapacityVerdict) -> Table | None:
    columns = (
        Column("Verdict"),
        *text_columns("Phase", "Baseline", "Candidate"),
        *number_columns("At least", "At most"),
        Column("Word"),
    )
    rows = tuple(
        (
            Cell(each.outcome.value, OUTCOME_TONES[each.outcome]),
            Cell(printable(each.phase)),
            Cell(printable(each.baseline)),
            Cell(printable(each.candidate)),
            Cell(_times(each.lower)),
            Cell(_times(each.upper)),
            Cell(each.word, OUTCOME_TONES[each.outcome]),
        )
        for each in verdict.comparisons
    )
    return table_or_none("Candidate's capacity over the baseline's", columns, rows)


def _times(ratio: float | None) -> str:
    return ABSENT if ratio is None else f"{significant(ratio)} x"


def curve_table(capacity: Capacity, *, alone: bool) -> Table | None:
    """Latency over rate, also where it breaks."""
    columns = (
        *number_columns("Rate"),
        Column("Word"),
        *number_columns("p50", "p95", "p99", "Errors"),
        *number_columns("Answered", "Requests", wide=True),
        Column("Asked to", wide=True),
        Column("Why"),
    )
    of = "" if alone else f", {printable(capacity.name)}"
    again = sum(len(each.rounds) for each in capacity.tried) - len(capacity.tried)
    note = f"{number_of(again, 'round')} more where one did not say enough." if again else ""
    return table_or_none(f"Latency over rate{of}", columns, tuple(map(_curve_row, capacity.curve)), note)


def _curve_row(tried: TriedRate) -> tuple[Cell, ...]:
    return (
        Cell(rate(tried.rate_per_s)),
        Cell(tried.word, RATE_TONES[tried.word]),
        Cell(duration(tried.p50_s)),
        Cell(duration(tried.p95_s)),
        Cell(duration(tried.p99_s)),
        Cell(share(tried.errors), "bad" if tried.errors else "muted"),
        Cell(rate(tried.answered_per_s)),
        Cell(count(tried.requests)),
        Cell(tried.purpose),
        Cell(printable(tried.sentence), "muted"),
    )


@dataclass(frozen=True, slots=True)
class CapacityFinding:
    """One outcome with its sentence, for formats that have no tables."""

    classname: str
    name: str
    outcome: Outcome
    sentence: str


def capacity_findings(verdict: CapacityVerdict) -> Iterable[CapacityFinding]:
    """Each capacity, budget and comparison; a capacity that a budget is about is found or not by that."""
    budgeted = {each.variant for each in verdict.budgets}
    for capacity in verdict.capacities:
        if capacity.variant not in budgeted:
            yield CapacityFinding(capacity.variant, f"{capacity.phase}.capacity", capacity.outcome, capacity.sentence)
    for budget in verdict.budgets:
        yield CapacityFinding(budget.variant, budget.budget, budget.outcome, budget.sentence)
    for each in verdict.comparisons:
        name = f"{each.phase}.capacity against {each.baseline}"
        yield CapacityFinding(each.candidate, name, each.outcome, each.sentence)
