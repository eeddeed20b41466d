"""`harness list`: each stored run with its state, and one that cannot be read hides no other."""

from pathlib import Path

from harness import journal, runs
from harness.commands.listing import inventory
from tests.records import guide_record


def test_a_run_that_cannot_be_read_is_told_among_the_others(tmp_path: Path) -> None:
    for name, version in (("a-newer", 2), ("b-whole", 1)):
        with journal.open_journal(tmp_path / name) as entries:
            head = guide_record().model_dump(
                include={"run_id", "started_at", "command", "scenario", "corpus"}, mode="json"
            )
            entries.write("run", head | {"schema_version": version})
            entries.write("variant", {"name": "naive", "description": "", "schema_version": 6})
            entries.write("sample", {"variant": "naive", "of": "which nothing is read"})
            entries.write("end", {"interruption": None, "elapsed_s": 2.0})
    for name in ("c-empty", "d-full-disk"):
        (tmp_path / name).mkdir()
        (tmp_path / name / journal.FILE_NAME).touch()
    runs.write_record(tmp_path / "d-full-disk", guide_record())
    assert dict(inventory(tmp_path))[f"Runs in {tmp_path}"] == [
        ("a-newer", "cannot be read: `harness report a-newer` says why"),
        ("b-whole", "complete"),
        ("c-empty", "cannot be read: `harness report c-empty` says why"),
        ("d-full-disk", "complete"),
    ]


def test_there_may_be_no_run(tmp_path: Path) -> None:
    assert dict(inventory(tmp_path / "none"))[f"Runs in {tmp_path / 'none'}"] == []
