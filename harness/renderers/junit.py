"""JUnit XML, for the test reports of GitLab, Jenkins and the like: a test case per budget, and one for the whole run.

There is no standard but what these programs read alike: `failure` and `error` are red, `skipped` is green or grey and
stops nothing. FAIL is a failure. INVALID and UNDECIDED are errors, tests that came to no result: as `skipped` they
would let a change pass that nobody has shown to hold its budgets. The first case is red where the run cannot be judged
as a whole, and keeps a run without budgets from being an empty suite, which Jenkins refuses.
"""

from dataclasses import dataclass
from typing import Final, Literal
from xml.etree import ElementTree as ET

from harness.budget_metrics.protocol import Outcome
from harness.record import RunRecord
from harness.summary import Summary
from harness.tables import printable
from harness.verdict import Verdict

Red = Literal["failure", "error"]

ELEMENTS: Final[dict[Outcome, Red | None]] = {
    Outcome.PASS: None,
    Outcome.FAIL: "failure",
    Outcome.UNDECIDED: "error",
    Outcome.INVALID: "error",
}


@dataclass(frozen=True, slots=True)
class Case:
    classname: str
    name: str
    outcome: Outcome
    sentence: str

    @property
    def red(self) -> Red | None:
        return ELEMENTS[self.outcome]


class JunitRenderer:
    suffix = ".xml"

    def render(self, record: RunRecord, summary: Summary, verdict: Verdict) -> str:
        scenario = summary.declaration.name or "harness"
        cases = [_run_case(scenario, verdict)]
        cases += [
            Case(f"{scenario}.{each.variant}", each.budget, each.outcome, each.sentence) for each in verdict.budgets
        ]
        totals = {
            "name": printable(scenario),
            "tests": str(len(cases)),
            "failures": str(sum(case.red == "failure" for case in cases)),
            "errors": str(sum(case.red == "error" for case in cases)),
            "time": f"{record.elapsed_s:.3f}",
        }
        root = ET.Element("testsuites", totals)
        suite = ET.SubElement(
            root, "testsuite", totals | {"skipped": "0", "timestamp": f"{record.started_at:%Y-%m-%dT%H:%M:%S}"}
        )
        properties = ET.SubElement(suite, "properties")
        known = {"run_id": record.run_id, "verdict": verdict.outcome.value, "sentence": verdict.sentence}
        for name, value in known.items():
            ET.SubElement(properties, "property", name=name, value=printable(value))
        for case in cases:
            _add(suite, case)
        ET.indent(root)
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _run_case(scenario: str, verdict: Verdict) -> Case:
    outcome = Outcome.INVALID if verdict.objections else Outcome.PASS
    return Case(scenario, "the run can be judged", outcome, verdict.sentence)


def _add(suite: ET.Element, case: Case) -> None:
    # No case has a time of its own: the run measures all of them together. Some readers insist on the attribute.
    element = ET.SubElement(suite, "testcase", classname=printable(case.classname), name=printable(case.name), time="0")
    sentence = printable(case.sentence)
    if case.red:
        ET.SubElement(element, case.red, message=sentence, type=case.outcome.value).text = sentence
    else:
        ET.SubElement(element, "system-out").text = sentence
