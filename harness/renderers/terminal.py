"""For the person who waits: the verdict first, then what it rests on. Fits 80 columns; shows more on 120."""

import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from io import StringIO
from typing import Final

from rich.console import Console, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from harness.budget_metrics.protocol import Outcome
from harness.comparison import Comparison
from harness.comparison_tables import counts_table, noise_sentence, processor_table, timings_table
from harness.plan_differences import pair_plans
from harness.plan_tables import plans_table
from harness.profile_tables import waterfall_tables
from harness.record import RunRecord
from harness.summary import Summary
from harness.tables import (
    OUTCOME_TONES,
    Table,
    Tone,
    background_table,
    budgets_table,
    disruptions_table,
    errors_table,
    ladder_overview,
    operations_table,
    printable,
    reference_tables,
    services_table,
    statements_table,
)
from harness.verdict import Verdict

STYLES: Final[dict[Tone, str]] = {"plain": "", "good": "green", "bad": "bold red", "doubt": "yellow", "muted": "dim"}
WIDE_FROM: Final = 110


@dataclass(frozen=True, slots=True)
class TerminalRenderer:
    """`width` None takes the terminal's; `colour` None asks whether standard output is a terminal (and NO_COLOR)."""

    width: int | None = None
    colour: bool | None = None
    suffix: str = ".txt"

    def render(self, record: RunRecord, summary: Summary, verdict: Verdict) -> str:
        return self._printed(_parts(record, summary, verdict, wide=self._width >= WIDE_FROM))

    def render_comparison(self, comparison: Comparison) -> str:
        return self._printed(_comparison_parts(comparison, wide=self._width >= WIDE_FROM))

    def render_tables(self, tables: Iterable[Table | None]) -> str:
        """Tables by themselves, without a report around them."""
        return self._printed(_sections(tables, wide=self._width >= WIDE_FROM))

    @property
    def _width(self) -> int:
        return self.width or shutil.get_terminal_size((100, 24)).columns

    def _printed(self, parts: Iterable[RenderableType]) -> str:
        output = StringIO()
        console = Console(
            file=output,
            width=self._width,
            force_terminal=sys.stdout.isatty() if self.colour is None else self.colour,
            highlight=False,
        )
        for part in parts:
            console.print(part)
        return output.getvalue()


def _parts(record: RunRecord, summary: Summary, verdict: Verdict, *, wide: bool) -> Iterable[RenderableType]:
    declared = summary.declaration
    yield Text(printable(declared.title or declared.name or record.run_id), style="bold")
    yield _verdict(verdict.outcome, verdict.sentence)
    tables = (
        budgets_table(verdict),
        *reference_tables(summary),
        ladder_overview(summary, "p50"),
        ladder_overview(summary, "p95") if wide else None,
        ladder_overview(summary, "p50", first_time=True) if wide else None,
        statements_table(summary),
        plans_table(pair_plans(record)),
        operations_table(summary, None if wide else summary.declaration.pair),
        services_table(summary),
        background_table(summary) if wide else None,
        *(waterfall_tables(record, summary) if wide else ()),
        disruptions_table(summary),
        errors_table(summary),
    )
    yield from _sections(tables, wide=wide)


def _sections(tables: Iterable[Table | None], *, wide: bool) -> Iterable[RenderableType]:
    for table in tables:
        if table:
            yield from _section(table, wide=wide)


def _comparison_parts(comparison: Comparison, *, wide: bool) -> Iterable[RenderableType]:
    yield _verdict(comparison.outcome, comparison.sentence)
    for note in comparison.notes:
        yield Text(printable(note), style=STYLES["doubt"])
    if noise := noise_sentence(comparison):
        yield Text(noise)
    tables = (
        timings_table(comparison),
        counts_table(comparison),
        processor_table(comparison),
        plans_table(comparison.plans),
    )
    yield from _sections(tables, wide=wide)


def _verdict(outcome: Outcome, sentence: str) -> Text:
    return Text.assemble(
        (f" {outcome.value} ", f"reverse {STYLES[OUTCOME_TONES[outcome]]}"), (f" {printable(sentence)}", "bold")
    )


def _section(table: Table, *, wide: bool) -> Iterable[RenderableType]:
    yield Text(f"\n{table.title}", style="bold")
    yield _table(table, wide=wide)
    if table.note:
        yield Text(table.note, style="dim")


def _table(table: Table, *, wide: bool) -> RenderableType:
    shown = [index for index, column in enumerate(table.columns) if wide or not column.wide]
    rich_table = RichTable(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for index in shown:
        column = table.columns[index]
        rich_table.add_column(Text(column.title), justify="right" if column.numeric else "left", no_wrap=column.numeric)
    for row in table.rows:
        rich_table.add_row(*(Text(row[index].text, style=STYLES[row[index].tone]) for index in shown))
    return rich_table
