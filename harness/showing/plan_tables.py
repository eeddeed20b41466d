"""Plans that differ, as rows of text: one line per statement, for every renderer."""

from collections.abc import Mapping
from typing import Final

from harness.judging.plan_differences import PlanChangeKind, PlanComparison, PlanDifference
from harness.showing.tables import Cell, Column, Table, Tone, printable

CHANGE_TONES: Final[Mapping[PlanChangeKind, Tone]] = {
    "index lost": "bad",
    "changed": "doubt",
    "added": "doubt",
    "removed": "doubt",
    "index gained": "good",
}
CHANGE_WORDS: Final[Mapping[PlanChangeKind, str]] = {
    "index lost": "no index any more",
    "changed": "changed",
    "added": "added",
    "removed": "removed",
    "index gained": "now by index",
}


def plans_table(plans: PlanComparison | None) -> Table | None:
    """None where no statement that both sides executed has another plan."""
    if plans is None or not plans.differing:
        return None
    sides = printable(f"{plans.before} → {plans.after}")
    note = "By the structure of the plans alone. Statements that only one side executes are not among them."
    columns = Column("Statement", code=True), Column("Plan"), Column(sides, code=True)
    return Table("Plans that differ", columns, tuple(map(_row, plans.differing)), note)


def _row(difference: PlanDifference) -> tuple[Cell, ...]:
    kind = difference.changes[0].kind
    return (
        Cell(printable(difference.statement)),
        Cell(CHANGE_WORDS[kind], CHANGE_TONES[kind]),
        Cell(printable(difference.sentence)),
    )
