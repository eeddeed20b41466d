"""What a run leaves in GitHub Actions: annotations on standard output, and the report in the job's summary."""

from pathlib import Path

import pytest

from harness.commands._shared.github_actions import SUMMARY_BYTES_MAX, announce
from harness.commands.compare import Display
from harness.judging.comparison import compare
from harness.showing.report import ComparisonReport, Report
from tests.records import guide_record


@pytest.fixture
def summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    return path


def test_nothing_happens_elsewhere(
    summary: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS")
    announce(Report.of(guide_record()))
    assert capsys.readouterr().out == ""
    assert not summary.exists()


def test_the_step_is_annotated_and_the_summary_gets_the_report(
    summary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary.write_text("What came before.\n", encoding="utf-8")
    announce(Report.of(guide_record()))
    assert capsys.readouterr().out.startswith("::notice title=PASS%3A guide::")
    text = summary.read_text(encoding="utf-8")
    assert text.startswith("What came before.\n# The guide")
    assert "**PASS**" in text


def test_a_comparison_is_told_in_the_same_places(summary: Path, capsys: pytest.CaptureFixture[str]) -> None:
    comparison = compare(guide_record())
    announce(ComparisonReport(comparison, (guide_record(),)))
    assert f"title={comparison.outcome.value}%3A batched against naive::" in capsys.readouterr().out
    assert comparison.outcome.value in summary.read_text(encoding="utf-8")


def test_the_terminal_ends_with_the_verdict_of_a_comparison_and_not_with_annotations(
    summary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = ComparisonReport(compare(guide_record()), (guide_record(),))
    Display("terminal", everything=False).show(report)
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith("::")
    assert report.comparison.outcome.value in rest[-1]
    assert summary.exists()


@pytest.mark.parametrize("left", [0, 10, 2_000])
def test_the_summary_of_a_step_keeps_within_what_github_shows(summary: Path, left: int) -> None:
    summary.write_text("x" * (SUMMARY_BYTES_MAX - left), encoding="utf-8")
    announce(Report.of(guide_record()))
    assert summary.stat().st_size <= SUMMARY_BYTES_MAX
    assert ("Cut here" in summary.read_text(encoding="utf-8")) == (left > 1_000)


def test_a_summary_that_cannot_be_written_is_told_and_does_not_end_the_run(
    summary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary.mkdir()
    announce(Report.of(guide_record()))
    assert "could not be written (Is a directory)" in capsys.readouterr().err
