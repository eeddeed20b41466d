"""For a pull request: the verdict and the tables that a reviewer needs, as one comment within GitHub's limit.

The first line is hidden and names the scenario, so that a workflow can find its own comment again and replace it.
"""

import re
from collections.abc import Sequence
from typing import Final

from harness.judging.comparison import Comparison
from harness.judging.declaration import declaration_of
from harness.record import RunRecord
from harness.showing.capacity_tables import capacity_tables, capacity_title
from harness.showing.comparison_tables import noise_sentence
from harness.showing.markup import code, escaped, shortened, table_markup
from harness.showing.report import CapacityReport, Report
from harness.showing.sections import tables_of, tables_of_comparison

BYTES_MAX: Final = 65_536
"""GitHub refuses a comment of more characters."""


class CommentRenderer:
    suffix = ".md"

    def render(self, report: Report) -> str:
        summary, verdict = report.summary, report.verdict
        declared = summary.declaration
        return _comment(
            declared.name,
            f"**{verdict.outcome.value}** {escaped(verdict.sentence)}",
            escaped(declared.title),
            *map(table_markup, tables_of(report, "reviewing")),
            f"Run {code(report.record.run_id)}",
        )

    def render_comparison(self, comparison: Comparison, _records: Sequence[RunRecord] = ()) -> str:
        return _comment(
            "comparison",
            f"**{comparison.outcome.value}** {escaped(comparison.sentence)}",
            escaped(noise_sentence(comparison)),
            *(escaped(note) for note in comparison.notes),
            *map(table_markup, tables_of_comparison(comparison, "reviewing")),
        )

    def render_capacity(self, report: CapacityReport) -> str:
        verdict = report.verdict
        return _comment(
            f"{declaration_of(report.record).name}-capacity",
            f"**{verdict.outcome.value}** {escaped(verdict.sentence)}",
            escaped(capacity_title(report.record)),
            *map(escaped, verdict.remarks),
            *map(table_markup, capacity_tables(verdict)),
            f"Run {code(report.record.run_id)}",
        )


def _comment(name: str, *parts: str) -> str:
    marker = f"<!-- anima-harness: {re.sub(r'[^a-z0-9-]', '', name)} -->"
    text = "\n\n".join(part for part in (marker, *parts) if part) + "\n"
    return shortened(text, BYTES_MAX, "The report of the run has all of it.")
