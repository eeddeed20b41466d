"""Budgets as they stand and as they could stand, with the risk of each."""

from collections.abc import Sequence

from harness.judging.suggestions import BudgetSuggestion
from harness.quantities import share
from harness.showing.tables import Cell, Column, Table, printable, table_or_none


def suggestions_table(found: Sequence[BudgetSuggestion]) -> Table | None:
    columns = (
        Column("Budget", code=True),
        Column("Proposed", code=True),
        Column("Measured", numeric=True),
        Column("Risk", numeric=True),
        Column("Why not"),
    )
    note = "Risk is the chance that the next run of the same code fails the proposed budget; one run does not tell it."
    return table_or_none("Budgets", columns, [_row(each) for each in found], note)


def _row(each: BudgetSuggestion) -> tuple[Cell, ...]:
    measured = ", ".join(f"{value:.4g}" for value in each.measured)
    risk = "" if each.risk is None else share(each.risk)
    proposed = Cell(printable(each.proposed), "good") if each.changes else Cell("")
    return (Cell(printable(each.stands)), proposed, Cell(measured), Cell(risk), Cell(each.reason, "muted"))
