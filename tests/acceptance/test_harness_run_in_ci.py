"""`harness run` as a step of GitHub Actions: the gate, the annotations, the summary and the reports, in one run."""

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.acceptance.conftest import Program


@pytest.mark.slow
def test_a_failed_budget_is_told_wherever_ci_looks(
    harness: Program, tiny: Callable[..., Path], environment: dict[str, str], tmp_path: Path
) -> None:
    summary = tmp_path / "summary.md"
    environment |= {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    scenario = tiny("query.statements <= 1", "query.errors <= 0%")
    done = harness("run", str(scenario), "--report", "junit=out/junit.xml", "--report", "comment=out/comment.md")
    assert done.returncode == 1
    annotations = [line for line in done.stdout.splitlines() if line.startswith("::")]
    assert [line.partition(" ")[0] for line in annotations] == ["::error", "::error"]
    assert "title=FAIL%3A batched%3A query.statements <= 1::" in annotations[1]
    assert done.stdout.splitlines()[:2] == annotations
    assert done.stdout.splitlines()[-1].startswith("Report: ")
    assert "**FAIL** Of 2 budgets, 1 failed." in summary.read_text(encoding="utf-8")
    cases = ET.parse(tmp_path / "out" / "junit.xml").iter("testcase")
    assert [each.get("name") for each in cases if each.find("failure") is not None] == ["query.statements <= 1"]
    marker, _, verdict, *_ = (tmp_path / "out" / "comment.md").read_text(encoding="utf-8").splitlines()
    assert marker == "<!-- anima-harness: tiny -->"
    assert verdict.startswith("**FAIL** Of 2 budgets, 1 failed.")  # A machine that was busy is told after it.
