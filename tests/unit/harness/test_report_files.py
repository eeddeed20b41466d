"""What is written of a run beside its record, and where."""

from pathlib import Path

import pytest

from harness import report_files, runs
from harness.errors import UsageError
from tests.records import guide_record


def test_the_record_and_its_reports_are_written(tmp_path: Path) -> None:
    paths = report_files.write(tmp_path, guide_record())
    assert all(path.stat().st_size for path in paths.values())
    assert {path.name for path in tmp_path.iterdir()} == {runs.RECORD_FILE, *report_files.REPORT_FORMATS.values()}


def test_a_report_goes_where_it_is_wanted(tmp_path: Path) -> None:
    wish = report_files.report_wish(f"junit={tmp_path}/new/out.xml")
    report_files.write_reports(guide_record(), [wish])
    assert (tmp_path / "new" / "out.xml").read_text(encoding="utf-8").startswith("<?xml")


@pytest.mark.parametrize("wish", ["junit", "junit=", "junti=out.xml", "=out.xml"])
def test_a_wish_for_a_report_that_cannot_be_read_says_how_to_write_it(wish: str) -> None:
    with pytest.raises(UsageError, match=r"expected FORMAT=PATH. The formats are .*junit"):
        report_files.report_wish(wish)


def test_a_report_is_not_written_over_a_directory(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Name a file in it"):
        report_files.report_wish(f"junit={tmp_path}")
