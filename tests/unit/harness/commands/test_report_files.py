"""What is written of a run beside its record, and where."""

import shlex
from pathlib import Path

import pytest

from harness import runs
from harness.commands._shared import report_files
from harness.errors import UsageError
from harness.showing.report import report_of
from tests.records import guide_record


def test_the_record_and_its_reports_are_written(tmp_path: Path) -> None:
    assert report_files.write(tmp_path, report_of(guide_record())) == []
    assert all(path.stat().st_size for path in tmp_path.iterdir())
    assert {path.name for path in tmp_path.iterdir()} == {runs.RECORD_FILE, *report_files.REPORT_FORMATS.values()}


@pytest.mark.slow
def test_a_report_goes_where_it_is_wanted(tmp_path: Path) -> None:
    asked = report_files.asked_report(f"junit={tmp_path}/new/out.xml")
    report_files.write(tmp_path, report_of(guide_record()), [asked])
    assert (tmp_path / "new" / "out.xml").read_text(encoding="utf-8").startswith("<?xml")


def test_a_file_that_cannot_be_written_costs_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> str:
        raise ZeroDivisionError("a fault of the page")

    monkeypatch.setattr("harness.showing.renderers.html.HtmlRenderer.render", broken)
    blocked = tmp_path / "blocked"
    blocked.touch()
    full, unforeseen = report_files.write(
        tmp_path, report_of(guide_record()), [("junit", blocked / "out.xml"), ("junit", tmp_path / "out.xml")]
    )
    assert "blocked/out.xml could not be written" in str(full)
    assert "ZeroDivisionError: a fault of the page" in str(unforeseen)
    assert "in broken" in (tmp_path / "log.txt").read_text(encoding="utf-8")
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {"blocked", "log.txt", "out.xml", runs.RECORD_FILE, "report.json", "report.md"}


@pytest.mark.parametrize("asked", ["junit", "junit=", "junti=out.xml", "=out.xml"])
def test_an_option_for_a_report_that_cannot_be_read_says_how_to_write_it(asked: str) -> None:
    with pytest.raises(UsageError, match=r"expected FORMAT=PATH. The formats are .*junit"):
        report_files.asked_report(asked)


def test_a_report_is_not_written_over_a_directory(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Name a file in it"):
        report_files.asked_report(f"junit={tmp_path}")


def test_the_command_for_all_tables_is_one_that_a_shell_reads_as_it_is_meant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / 'bob\'s "new" runs'
    report_files.show_report(report_of(guide_record()), directory, everything=False)
    (told,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("All tables: ")]
    assert shlex.split(told.removeprefix("All tables: ")) == ["harness", "report", str(directory), "--all"]
