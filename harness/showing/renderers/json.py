"""For programs: the summary and the verdict, with a version. The record itself lies beside the report.

Times are seconds and shares are ratios. JSON has no infinity: a quantile that falls among failed requests is null, and
`errors` beside it says why.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import TypeAdapter

from harness.judging.capacity import CapacityVerdict
from harness.judging.comparison import Comparison
from harness.judging.verdict import Verdict
from harness.record import RunRecord
from harness.showing.report import CapacityReport, Report
from harness.showing.summary import Summary


@dataclass(frozen=True, slots=True)
class ReportDocument:
    """A field is only ever added within a version; anything else makes a new one."""

    schema: Literal["anima-harness/report"]
    schema_version: Literal[1]
    run_id: str
    verdict: Verdict
    summary: Summary


@dataclass(frozen=True, slots=True)
class ComparisonDocument:
    """Versioned as a report is."""

    schema: Literal["anima-harness/comparison"]
    schema_version: Literal[1]
    comparison: Comparison


@dataclass(frozen=True, slots=True)
class CapacityDocument:
    """Versioned as a report is."""

    schema: Literal["anima-harness/capacity"]
    schema_version: Literal[1]
    run_id: str
    capacity: CapacityVerdict


REPORT: Final = TypeAdapter(ReportDocument)
COMPARISON_REPORT: Final = TypeAdapter(ComparisonDocument)
CAPACITY_REPORT: Final = TypeAdapter(CapacityDocument)


class JsonRenderer:
    suffix = ".json"

    def render(self, report: Report) -> str:
        document = ReportDocument("anima-harness/report", 1, report.record.run_id, report.verdict, report.summary)
        return REPORT.dump_json(document, indent=2).decode() + "\n"

    def render_comparison(self, comparison: Comparison, _records: Sequence[RunRecord] = ()) -> str:
        document = ComparisonDocument("anima-harness/comparison", 1, comparison)
        return COMPARISON_REPORT.dump_json(document, indent=2).decode() + "\n"

    def render_capacity(self, report: CapacityReport) -> str:
        document = CapacityDocument("anima-harness/capacity", 1, report.record.run_id, report.verdict)
        return CAPACITY_REPORT.dump_json(document, indent=2).decode() + "\n"
