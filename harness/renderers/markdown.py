"""For pull requests, issues and wikis: GitHub-flavoured Markdown."""

import re
import shlex
from collections.abc import Iterable

from harness.quantities import duration
from harness.record import RunRecord
from harness.summary import Summary
from harness.tables import (
    Cell,
    Table,
    background_table,
    budgets_table,
    environment_table,
    errors_table,
    ladder_overview,
    model_table,
    operations_table,
    printable,
    reference_tables,
    statements_table,
)
from harness.verdict import Verdict


class MarkdownRenderer:
    suffix = ".md"

    def render(self, record: RunRecord, summary: Summary, verdict: Verdict) -> str:
        declared = summary.declaration
        tables = (
            budgets_table(verdict),
            *reference_tables(summary),
            ladder_overview(summary, "p50"),
            ladder_overview(summary, "p95"),
            ladder_overview(summary, "p50", first_time=True),
            statements_table(summary),
            operations_table(summary),
            background_table(summary),
            errors_table(summary),
            model_table(record),
            environment_table(record),
        )
        parts = [
            f"# {_escaped(declared.title or declared.name or record.run_id)}",
            f"**{verdict.outcome.value}** {_escaped(verdict.sentence)}",
            _escaped(declared.description),
            _escaped(declared.expectations),
            *("\n".join(_table(table)) for table in tables if table),
            f"Run {_code(record.run_id)}, {record.started_at:%Y-%m-%d %H:%M %Z}, {duration(record.elapsed_s)}.",
            f"To repeat it: {_code(shlex.join(record.command))}",
        ]
        return "\n\n".join(part for part in parts if part) + "\n"


def _table(table: Table) -> Iterable[str]:
    yield f"## {_escaped(table.title)}\n"
    yield f"| {' | '.join(_escaped(column.title) for column in table.columns)} |"
    yield f"| {' | '.join('---:' if column.numeric else '---' for column in table.columns)} |"
    for row in table.rows:
        cells = zip(row, table.columns, strict=True)
        yield f"| {' | '.join(_code(cell.text) if column.code else _cell(cell) for cell, column in cells)} |"
    if table.note:
        yield f"\n{_escaped(table.note)}"


def _cell(cell: Cell) -> str:
    text = _escaped(cell.text)
    return f"**{text}**" if cell.tone == "bad" and text else text


def _escaped(text: str) -> str:
    """Text that Markdown and the HTML it allows show as it is. Mentions and references to issues stay plain text."""
    escaped = re.sub(r"([\\`*_\[\]|~$#@])", r"\\\1", printable(text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _code(text: str) -> str:
    """A code span, in which only a table's bars and the span's own fence mean anything."""
    plain = printable(text).replace("|", r"\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", plain)), default=0))
    return f"{fence}{plain}{fence}" if len(fence) == 1 else f"{fence} {plain} {fence}"
