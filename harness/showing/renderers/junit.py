"""JUnit XML, for the test reports of GitLab, Jenkins and the like.

A test case per budget, or per compared figure, and one for the whole.

There is no standard but what these programs read alike: `failure` and `error` are red, `skipped` is green or grey and
stops nothing. FAIL is a failure. INVALID and UNDECIDED are errors, tests that came to no result: as `skipped` they
would let a change pass that nobody has shown to hold its budgets. The first case is red where the run cannot be judged
as a whole, and keeps a run without budgets from being an empty suite, which Jenkins refuses. WAIVED is skipped, as
pytest writes a failure that is expected: somebody answers for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from xml.etree import ElementTree as ET

from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.comparison import Comparison
from harness.judging.declaration import declaration_of
from harness.judging.verdict import Verdict
from harness.record import RunRecord
from harness.showing.capacity_tables import capacity_findings
from harness.showing.comparison_tables import comparison_title, findings
from harness.showing.report import CapacityReport, Report
from harness.showing.tables import printable

Mark = Literal["failure", "error", "skipped"]

ELEMENTS: Final[dict[Outcome, Mark | None]] = {
    Outcome.PASS: None,
    Outcome.FAIL: "failure",
    Outcome.UNDECIDED: "error",
    Outcome.INVALID: "error",
    Outcome.WAIVED: "skipped",
    Outcome.PASS_WITH_WAIVERS: None,
}


@dataclass(frozen=True, slots=True)
class Case:
    classname: str
    name: str
    outcome: Outcome
    sentence: str

    @property
    def mark(self) -> Mark | None:
        return ELEMENTS[self.outcome]


class JunitRenderer:
    suffix = ".xml"

    def render(self, report: Report) -> str:
        record, verdict = report.record, report.verdict
        scenario = report.summary.declaration.name or "harness"
        cases = [
            _whole(scenario, "the run can be judged", _objections(verdict), verdict.sentence),
            *(Case(f"{scenario}.{each.variant}", each.budget, each.outcome, each.sentence) for each in verdict.budgets),
        ]
        known = {"run_id": record.run_id, "verdict": verdict.outcome.value, "sentence": verdict.sentence}
        return junit_document(scenario, cases, known, elapsed_s=record.elapsed_s, started_at=record.started_at)

    def render_comparison(self, comparison: Comparison, _records: Sequence[RunRecord] = ()) -> str:
        title = comparison_title(comparison)
        cases = [
            _whole("comparison", "timings can be judged", comparison.objections, comparison.sentence),
            *(Case(f"comparison.{title}", each.name, each.outcome, each.sentence) for each in findings(comparison)),
        ]
        known = {"verdict": comparison.outcome.value, "sentence": comparison.sentence}
        return junit_document(title, cases, known)

    def render_capacity(self, report: CapacityReport) -> str:
        record, verdict = report.record, report.verdict
        scenario = declaration_of(record).name or "harness"
        cut_off = [record.interruption] if record.interruption else []
        cases = [
            _whole(scenario, "the search came to its end", cut_off, verdict.sentence),
            *(
                Case(f"{scenario}.{each.classname}", each.name, each.outcome, each.sentence)
                for each in capacity_findings(verdict)
            ),
        ]
        known = {"run_id": record.run_id, "verdict": verdict.outcome.value, "sentence": verdict.sentence}
        return junit_document(scenario, cases, known, elapsed_s=record.elapsed_s, started_at=record.started_at)


def _objections(verdict: Verdict) -> Sequence[str]:
    return verdict.against_timings if verdict.outcome is Outcome.INVALID else ()


def _whole(classname: str, name: str, objections: Sequence[str], sentence: str) -> Case:
    return Case(classname, name, Outcome.INVALID if objections else Outcome.PASS, sentence)


def junit_document(
    name: str,
    cases: Sequence[Case],
    properties: Mapping[str, str],
    *,
    elapsed_s: float = 0.0,
    started_at: datetime | None = None,
) -> str:
    totals = {
        "name": printable(name),
        "tests": str(len(cases)),
        "failures": str(sum(case.mark == "failure" for case in cases)),
        "errors": str(sum(case.mark == "error" for case in cases)),
        "time": f"{elapsed_s:.3f}",
    }
    root = ET.Element("testsuites", totals)
    skipped = sum(case.mark == "skipped" for case in cases)
    suite = ET.SubElement(root, "testsuite", totals | {"skipped": str(skipped)})
    if started_at is not None:
        suite.set("timestamp", f"{started_at:%Y-%m-%dT%H:%M:%S}")
    parent = ET.SubElement(suite, "properties")
    for key, value in properties.items():
        ET.SubElement(parent, "property", name=key, value=printable(value))
    for case in cases:
        _add(suite, case)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _add(suite: ET.Element, case: Case) -> None:
    # No case has a time of its own: the run measures all of them together. Some readers insist on the attribute.
    element = ET.SubElement(suite, "testcase", classname=printable(case.classname), name=printable(case.name), time="0")
    sentence = printable(case.sentence)
    if case.mark:
        ET.SubElement(element, case.mark, message=sentence, type=case.outcome.value).text = sentence
    else:
        ET.SubElement(element, "system-out").text = sentence
