"""Several runs of one command: a line each, the verdict first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from harness.errors import ExitCode
from harness.showing.tables import Cell, Column, Table, Tone, printable, text_columns

WORDS: Final[dict[ExitCode, tuple[str, Tone]]] = {
    ExitCode.PASS: ("PASS", "good"),
    ExitCode.FAIL: ("FAIL", "bad"),
    ExitCode.USAGE: ("NOT RUN", "bad"),
    ExitCode.UNDECIDED: ("UNDECIDED", "doubt"),
    ExitCode.INVALID: ("INVALID", "bad"),
    ExitCode.INTERRUPTED: ("INTERRUPTED", "doubt"),
}


@dataclass(frozen=True, slots=True)
class RunLine:
    """Says what came of one run, and where its report lies."""

    scenario: str
    exit_code: ExitCode
    sentence: str
    report: str


def runs_table(lines: Sequence[RunLine], not_run: Sequence[str] = ()) -> Table:
    columns = (*text_columns("Verdict", "Scenario", "How it stands"), Column("Report"))
    rows = tuple(_row(each) for each in lines)
    note = f"Not begun: {', '.join(map(printable, not_run))}." if not_run else ""
    return Table("All runs", columns, rows, note)


def _row(line: RunLine) -> tuple[Cell, ...]:
    word, tone = WORDS[line.exit_code]
    return (
        Cell(word, tone),
        Cell(printable(line.scenario)),
        Cell(printable(line.sentence)),
        Cell(printable(line.report)),
    )
