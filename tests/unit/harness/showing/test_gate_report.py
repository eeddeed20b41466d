"""A gate's report in each of its forms: each says the verdict, and each figure with what it comes from."""

import json
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from harness.errors import ExitCode
from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.gate import GateVerdict
from harness.judging.gate_findings.protocol import GateFinding
from harness.showing.gate_report import GATE_FORMS, GateForm, GateReport
from tests.records import HOSTILE

STATEMENTS = GateFinding("300 memories", "query", "statements", "counted", 3, 23, "access.touch 0 → 20")
PLAN = GateFinding("3,000 memories", "search", "plan", "planned", detail="Index Scan → Seq Scan on memories")
LESS = GateFinding("apart", "add", "rows", "counted", 4, 2, is_worse=False)
FAILED = GateVerdict(
    Outcome.FAIL, "Worse than the base: query statements, search plan.", (STATEMENTS, PLAN, LESS), ExitCode.FAIL
)
REPORT = GateReport("smoke", "gate-smoke-1", "main (0123456789)", "working tree", FAILED, 3, 12.4, ("One size only.",))


@pytest.mark.parametrize("form", GATE_FORMS)
def test_every_form_names_the_verdict_and_what_it_rests_on(form: GateForm) -> None:
    text = GATE_FORMS[form](REPORT)
    for expected in ("FAIL", "query", "search", "access.touch 0", "Seq Scan on memories", "3,000 memories"):
        assert expected in text


def test_the_terminal_ends_with_the_verdict_and_names_statement_before_and_after() -> None:
    lines = GATE_FORMS["terminal"](REPORT).splitlines()
    assert lines[-1] == "FAIL Worse than the base: query statements, search plan. 3 places in 12 s."
    assert "FAIL query statements, 300 memories: 3 → 23 (access.touch 0 → 20)" in lines
    assert "One size only." in lines


def test_what_passes_is_one_line_after_its_title() -> None:
    passed = GateVerdict(Outcome.PASS, "Nothing is worse than the base.", (), ExitCode.PASS)
    text = GATE_FORMS["terminal"](replace(REPORT, verdict=passed, remarks=()))
    assert text.splitlines() == [
        "smoke: working tree against main (0123456789)",
        "PASS Nothing is worse than the base. 3 places in 12 s.",
    ]


def test_a_program_reads_the_figures() -> None:
    gate = json.loads(GATE_FORMS["json"](REPORT))["gate"]
    first = gate["verdict"]["findings"][0]
    assert (first["subject"], first["before"], first["after"]) == ("query", 3, 23)
    assert gate["verdict"]["outcome"] == "FAIL"


def test_a_test_report_has_a_failure_for_each_that_is_worse() -> None:
    suites = ET.fromstring(GATE_FORMS["junit"](REPORT))
    assert (suites.get("tests"), suites.get("failures"), suites.get("errors")) == ("4", "2", "0")
    failed = [case.get("name") for case in suites.iter("testcase") if case.find("failure") is not None]
    assert failed == ["query statements, 300 memories", "search plan, 3,000 memories"]


@pytest.mark.parametrize("form", GATE_FORMS)
def test_hostile_texts_are_only_texts(form: GateForm) -> None:
    hostile = replace(STATEMENTS, subject=HOSTILE, detail=HOSTILE)
    text = GATE_FORMS[form](replace(REPORT, verdict=replace(FAILED, findings=(hostile,))))
    if form in {"markdown", "html", "junit"}:
        assert "<img" not in text
