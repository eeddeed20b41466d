"""Annotations for GitHub Actions: one workflow command per line, for the log of a step.

GitHub shows ten annotations of a level per step and drops the rest, so the last one of a level counts what is left out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.comparison import Comparison
from harness.quantities import count
from harness.record import RunRecord
from harness.showing.capacity_tables import capacity_findings, capacity_title
from harness.showing.comparison_tables import comparison_title, findings
from harness.showing.report import CapacityReport, Report
from harness.showing.tables import printable

Level = Literal["error", "warning", "notice"]

SHOWN_MAX: Final = 10
ANNOTATION_LEVELS: Final[dict[Outcome, Level]] = {
    Outcome.FAIL: "error",
    Outcome.INVALID: "error",
    Outcome.UNDECIDED: "warning",
    Outcome.PASS: "notice",
    Outcome.WAIVED: "warning",
    Outcome.PASS_WITH_WAIVERS: "notice",
}


@dataclass(frozen=True, slots=True)
class Annotation:
    level: Level
    title: str
    message: str

    def __str__(self) -> str:
        return f"::{self.level} title={_property(self.title)}::{_escaped(self.message)}"


class GithubRenderer:
    suffix = ".txt"

    def render(self, report: Report) -> str:
        verdict = report.verdict
        name = report.summary.declaration.name or report.record.run_id
        budgets = (
            _annotation(each.outcome, f"{each.variant}: {each.budget}", each.sentence) for each in verdict.worst_first
        )
        return _lines(_annotation(verdict.outcome, name, verdict.sentence), budgets)

    def render_comparison(self, comparison: Comparison, _records: Sequence[RunRecord] = ()) -> str:
        whole = _annotation(comparison.outcome, comparison_title(comparison), comparison.sentence)
        return _lines(whole, (_annotation(each.outcome, each.name, each.sentence) for each in findings(comparison)))

    def render_capacity(self, report: CapacityReport) -> str:
        whole = _annotation(report.verdict.outcome, capacity_title(report.record), report.verdict.sentence)
        found = capacity_findings(report.verdict)
        return _lines(
            whole, (_annotation(each.outcome, f"{each.classname}: {each.name}", each.sentence) for each in found)
        )


def _annotation(outcome: Outcome, title: str, sentence: str) -> Annotation:
    return Annotation(ANNOTATION_LEVELS[outcome], f"{outcome.value}: {title}", sentence)


def _lines(whole: Annotation, parts: Iterable[Annotation]) -> str:
    """The whole, and of its parts those that do not hold."""
    annotations = [whole, *(each for each in parts if each.level != "notice")]
    levels = dict.fromkeys(annotation.level for annotation in annotations)
    shown = (each for level in levels for each in _shown([one for one in annotations if one.level == level]))
    return "".join(f"{annotation}\n" for annotation in shown)


def _shown(annotations: Sequence[Annotation]) -> Iterable[Annotation]:
    """All of one level, or the first nine and how many there are besides."""
    if len(annotations) <= SHOWN_MAX:
        return annotations
    left_out = len(annotations) - SHOWN_MAX + 1
    rest = Annotation(annotations[0].level, "More budgets", f"{count(left_out)} more: see the job's summary.")
    return [*annotations[: SHOWN_MAX - 1], rest]


def _escaped(text: str) -> str:
    return printable(text).replace("%", "%25")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
