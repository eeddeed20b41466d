"""`harness list`: each stored run with its state, and one that cannot be read hides no other."""

from pathlib import Path

from harness import runs
from harness.commands.listing import inventory
from harness.journal import FILE_NAME
from tests.records import guide_record


def test_a_run_that_cannot_be_read_is_told_among_the_others(tmp_path: Path) -> None:
    for name in ("a-newer", "b-whole", "c-empty"):
        (tmp_path / name).mkdir()
        (tmp_path / name / FILE_NAME).touch()
    (tmp_path / "a-newer" / runs.RECORD_FILE).write_text('{"schema_version": 2}', encoding="utf-8")
    runs.write_record(tmp_path / "b-whole", guide_record())
    assert dict(inventory(tmp_path))[f"Runs in {tmp_path}"] == [
        ("a-newer", "cannot be read: `harness report a-newer` says why"),
        ("b-whole", "complete"),
        ("c-empty", "cannot be read: `harness report c-empty` says why"),
    ]


def test_there_may_be_no_run(tmp_path: Path) -> None:
    assert dict(inventory(tmp_path / "none"))[f"Runs in {tmp_path / 'none'}"] == []
