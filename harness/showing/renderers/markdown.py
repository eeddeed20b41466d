"""For pull requests, issues and wikis: GitHub-flavoured Markdown."""

import shlex
from collections.abc import Sequence

from harness.judging.comparison import Comparison
from harness.quantities import duration
from harness.record import RunRecord
from harness.showing.capacity_tables import capacity_tables, capacity_title
from harness.showing.comparison_tables import comparison_title, noise_sentence
from harness.showing.markup import code, escaped, table_markup
from harness.showing.report import CapacityReport, Report
from harness.showing.sections import tables_of, tables_of_comparison


class MarkdownRenderer:
    suffix = ".md"

    def render(self, report: Report) -> str:
        record, summary, verdict = report.record, report.summary, report.verdict
        declared = summary.declaration
        parts = [
            f"# {escaped(declared.title or declared.name or record.run_id)}",
            f"**{verdict.outcome.value}** {escaped(verdict.sentence)}",
            escaped(declared.description),
            escaped(declared.expectations),
            *map(table_markup, tables_of(report, "reading")),
            f"Run {code(record.run_id)}, {record.started_at:%Y-%m-%d %H:%M %Z}, {duration(record.elapsed_s)}.",
            f"To repeat it: {code(shlex.join(record.command))}",
        ]
        return "\n\n".join(part for part in parts if part) + "\n"

    def render_comparison(self, comparison: Comparison, records: Sequence[RunRecord] = ()) -> str:
        runs = dict.fromkeys((comparison.baseline.run_id, comparison.candidate.run_id))
        parts = [
            f"# {escaped(comparison_title(comparison))}",
            f"**{comparison.outcome.value}** {escaped(comparison.sentence)}",
            *map(escaped, comparison.notes),
            escaped(noise_sentence(comparison)),
            *map(table_markup, tables_of_comparison(comparison, "reading")),
            f"Run{'s' if len(runs) > 1 else ''} {' and '.join(map(code, runs))}.",
            *(f"To repeat it: {code(shlex.join(each.command))}" for each in records[:1] if each.comparison),
        ]
        return "\n\n".join(part for part in parts if part) + "\n"

    def render_capacity(self, report: CapacityReport) -> str:
        record, verdict = report.record, report.verdict
        parts = [
            f"# {escaped(capacity_title(record))}",
            f"**{verdict.outcome.value}** {escaped(verdict.sentence)}",
            *map(escaped, verdict.remarks),
            *map(table_markup, capacity_tables(verdict)),
            f"Run {code(record.run_id)}, {record.started_at:%Y-%m-%d %H:%M %Z}, {duration(record.elapsed_s)}.",
            f"To repeat it: {code(shlex.join(record.command))}",
        ]
        return "\n\n".join(part for part in parts if part) + "\n"
