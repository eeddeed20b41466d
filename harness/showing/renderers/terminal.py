"""For the person who waits: the verdict, what it rests on, and the verdict again, since the first has scrolled away.

A table is as wide as it needs to be, and no wider than the terminal: columns of text become narrower first, and where
there is no room for all columns, each row is written as lines of its own. Without a terminal there is no width.
"""

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from typing import Final

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.comparison import Comparison
from harness.judging.verdict import Verdict
from harness.quantities import count
from harness.record import RunRecord
from harness.showing.capacity_tables import capacity_tables, capacity_title
from harness.showing.comparison_tables import comparison_title, noise_sentence
from harness.showing.report import AnyReport, CapacityReport, Report
from harness.showing.sections import tables_of, tables_of_comparison
from harness.showing.tables import (
    OUTCOME_TONES,
    Cell,
    Column,
    Table,
    Tone,
    printable,
)

STYLES: Final[dict[Tone, str]] = {"plain": "", "good": "green", "bad": "bold red", "doubt": "yellow", "muted": "dim"}
UNLIMITED: Final = 100_000
"""A width that nothing reaches."""

GAP: Final = 2
HEIGHT: Final = 25
WORD_MAX: Final = 16
"""Longer words of a text, such as paths, may go on in the next line."""

REPEATED_MAX: Final = 8
"""So many budgets are named again at the end."""

HELD_TOGETHER: Final = str.maketrans(" ", "\N{NO-BREAK SPACE}")
APART: Final = str.maketrans("\N{NO-BREAK SPACE}", " ")
"""`printable` leaves no such space in any text, so they can hold a figure and its unit together."""


@dataclass(frozen=True, slots=True)
class TerminalRenderer:
    """`everything` shows all tables and columns. `width` None takes the terminal's, if there is one.

    `colour` None asks whether standard output is a terminal (and NO_COLOR).
    """

    width: int | None = None
    colour: bool | None = None
    everything: bool = False
    suffix: str = ".txt"

    def render(self, report: Report) -> str:
        return self._printed(self._parts(report))

    def render_comparison(self, comparison: Comparison, _records: Sequence[RunRecord] = ()) -> str:
        return self._printed(self._comparison_parts(comparison))

    def render_capacity(self, report: CapacityReport) -> str:
        return self._printed(self._capacity_parts(report))

    def render_verdict(self, report: AnyReport) -> str:
        """The verdict alone, with what does not hold."""
        not_held = _repeated(report.verdict) if isinstance(report, Report) else ()
        return self._printed([_verdict(report.outcome, report.sentence), *not_held])

    def render_tables(self, tables: Iterable[Table | None]) -> str:
        """Tables by themselves and whole, without a report around them."""
        return self._printed(self._sections(tables))

    @property
    def _width(self) -> int:
        if self.width:
            return self.width
        known = sys.stdout.isatty() or "COLUMNS" in os.environ
        return (shutil.get_terminal_size((0, 0)).columns if known else 0) or UNLIMITED

    def _printed(self, parts: Iterable[RenderableType]) -> str:
        output = StringIO()
        console = Console(
            file=output,
            width=self._width,
            height=HEIGHT,  # Without one, rich takes a dumb terminal for 80 columns wide, whatever is said.
            force_terminal=sys.stdout.isatty() if self.colour is None else self.colour,
            # Who asks for colours gets them, whatever terminal the environment names.
            color_system="standard" if self.colour else "auto",
            highlight=False,
        )
        for part in parts:
            console.print(part)
        return "".join(f"{line.rstrip()}\n" for line in output.getvalue().translate(APART).split("\n")[:-1])

    def _parts(self, report: Report) -> Iterable[RenderableType]:
        record, summary, verdict = report.record, report.summary, report.verdict
        declared = summary.declaration
        yield Text(printable(declared.title or declared.name or record.run_id), style="bold")
        yield _verdict(verdict.outcome, verdict.sentence)
        tables = tables_of(report, "asking" if self.everything else "waiting")
        yield from self._sections(tables if self.everything else map(_shorter, tables))
        yield Text()
        yield _verdict(verdict.outcome, verdict.sentence)
        yield from _repeated(verdict)

    def _comparison_parts(self, comparison: Comparison) -> Iterable[RenderableType]:
        yield Text(comparison_title(comparison), style="bold")
        yield _verdict(comparison.outcome, comparison.sentence)
        for note in comparison.notes:
            yield Text(printable(note), style=STYLES["doubt"])
        if noise := noise_sentence(comparison):
            yield Text(noise)
        tables = tables_of_comparison(comparison, "asking" if self.everything else "waiting")
        yield from self._sections(tables if self.everything else map(_shorter, tables))
        yield Text()
        yield _verdict(comparison.outcome, comparison.sentence)

    def _capacity_parts(self, report: CapacityReport) -> Iterable[RenderableType]:
        verdict = report.verdict
        yield Text(capacity_title(report.record), style="bold")
        yield _verdict(verdict.outcome, verdict.sentence)
        tables = capacity_tables(verdict)
        yield from self._sections(tables if self.everything else map(_shorter, tables))
        yield Text()
        for remark in verdict.remarks:
            yield Text(printable(remark))
        yield _verdict(verdict.outcome, verdict.sentence)

    def _sections(self, tables: Iterable[Table | None]) -> Iterable[RenderableType]:
        for table in tables:
            if table:
                yield Text(f"\n{table.title}", style="bold")
                yield from _laid_out(table, self._width)
                if table.note:
                    yield Text(table.note, style="dim")


def _shorter(table: Table | None) -> Table | None:
    """Without the columns that explain the others."""
    if table is None:
        return None
    kept = [index for index, column in enumerate(table.columns) if not column.wide]
    return replace(
        table,
        columns=tuple(table.columns[index] for index in kept),
        rows=tuple(tuple(row[index] for index in kept) for row in table.rows),
    )


def _verdict(outcome: Outcome, sentence: str) -> Text:
    return Text.assemble(
        (f" {outcome.value} ", f"reverse {STYLES[OUTCOME_TONES[outcome]]}"), (f" {printable(sentence)}", "bold")
    )


def _repeated(verdict: Verdict) -> Iterable[Text]:
    """The budgets that do not hold."""
    named = [each for each in verdict.worst_first if each.outcome is not Outcome.PASS]
    for each in named[:REPEATED_MAX]:
        tone = STYLES[OUTCOME_TONES[each.outcome]]
        yield Text.assemble((f"{each.outcome.value} ", tone), printable(f"{each.budget}: {each.sentence}"))
    if len(named) > REPEATED_MAX:
        yield Text(f"and {count(len(named) - REPEATED_MAX)} more, in the table of budgets above.")


def _laid_out(table: Table, width: int) -> Iterable[RenderableType]:
    """Side by side where all columns have room; else one below the other, row by row."""
    widths = _widths(table, width)
    if widths is None:
        return _stacked(table, width)
    grid = RichTable(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="dim")
    for column, room in zip(table.columns, widths, strict=True):
        grid.add_column(Text(column.title), justify="right" if column.numeric else "left", width=room, overflow="fold")
    for row in table.rows:
        grid.add_row(*(_text(cell, column) for cell, column in zip(row, table.columns, strict=True)))
    return (grid,)


def _text(cell: Cell, column: Column) -> Text:
    text = cell.text.translate(HELD_TOGETHER) if column.numeric else cell.text
    return Text(text, style=STYLES[cell.tone], overflow="fold")


def _widths(table: Table, width: int) -> list[int] | None:
    """Of each column; None where not even the narrowest fit. The widest gives way first."""
    narrowest: list[int] = []
    widths: list[int] = []
    for index, column in enumerate(table.columns):
        texts = [row[index].text for row in table.rows]
        figures = max(map(cell_len, texts), default=0)
        words = max((min(cell_len(word), WORD_MAX) for text in texts for word in text.split()), default=0)
        title = max(map(cell_len, column.title.split()), default=0)
        narrowest.append(max(figures if column.numeric else words, min(title, WORD_MAX), 1))
        widths.append(max(figures, cell_len(column.title), 1))
    excess = sum(widths) + GAP * (len(widths) - 1) - width
    if sum(widths) - sum(narrowest) < excess:
        return None
    for _ in range(excess):
        can_shrink = (index for index, least in enumerate(narrowest) if widths[index] > least)
        widths[max(can_shrink, key=lambda index: widths[index])] -= 1
    return widths


def _stacked(table: Table, width: int) -> Iterable[RenderableType]:
    titles = min(max(cell_len(column.title) for column in table.columns), (width - GAP) // 2)
    for row in table.rows:
        grid = RichTable(box=None, padding=(0, GAP, 0, 0), pad_edge=False, show_header=False)
        grid.add_column(width=titles, style="dim", overflow="fold")
        grid.add_column(width=width - GAP - titles, overflow="fold")
        for cell, column in zip(row, table.columns, strict=True):
            grid.add_row(Text(column.title, overflow="fold"), _text(cell, column))
        yield grid
        yield Text()
