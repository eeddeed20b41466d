"""Where runs are kept: found by path, name or `latest`; written whole or not at all."""

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness import runs
from harness.errors import HarnessError, UsageError
from harness.journal import FILE_NAME
from tests.records import guide_record


def made(output: Path, name: str, *, modified: float = 0) -> Path:
    directory = output / name
    directory.mkdir(parents=True)
    (directory / FILE_NAME).touch()
    os.utime(directory / FILE_NAME, (modified, modified))
    return directory


def test_ids_sort_by_time_and_differ_within_a_second() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    first, second = runs.new_id("guide", at), runs.new_id("guide", at)
    assert first.startswith("guide-20260102T030405Z-")
    assert first != second


def test_a_run_is_found_by_path_by_name_and_as_the_latest(tmp_path: Path) -> None:
    older, newer = made(tmp_path, "b", modified=1), made(tmp_path, "a", modified=2)
    assert runs.find(str(older), tmp_path / "elsewhere") == older
    assert runs.find("a", tmp_path) == newer
    assert runs.find("latest", tmp_path) == newer
    assert runs.all_runs(tmp_path) == [newer, older]


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Make one with `harness run`"):
        runs.find("latest", tmp_path)
    with pytest.raises(UsageError, match="no run 'x'"):
        runs.find("x", tmp_path)


def test_a_record_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    runs.write_record(tmp_path, guide_record())
    assert runs.load_record(tmp_path) == guide_record()
    assert [path.name for path in tmp_path.iterdir()] == [runs.RECORD_FILE]


def test_the_journal_alone_holds_very_many_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.write_record(tmp_path, guide_record())
    monkeypatch.setattr(runs, "REQUESTS_WRITTEN_MAX", 10)
    runs.write_record(tmp_path, guide_record())
    assert not list(tmp_path.iterdir())


def test_a_record_of_a_newer_schema_is_refused_with_the_way_out(tmp_path: Path) -> None:
    runs.write_record(tmp_path, guide_record())
    path = tmp_path / runs.RECORD_FILE
    path.write_text('{"schema_version": 2}', encoding="utf-8")
    with pytest.raises(UsageError, match="A newer harness may have written it"):
        runs.load_record(tmp_path)


def test_a_file_that_cannot_be_replaced_keeps_its_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    runs.replace_file(path, "old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("harness.runs.os.fsync", full)
    with pytest.raises(HarnessError, match="No space left on device"):
        runs.replace_file(path, "new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
    assert path.read_text(encoding="utf-8") == "old"


def test_of_a_link_the_file_that_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    link = tmp_path / "latest.json"
    link.symlink_to("kept/first.json")
    for text in ("made", "made again"):
        runs.replace_file(link, text)
        assert link.readlink() == Path("kept/first.json")
        (kept,) = (tmp_path / "kept").iterdir()
        assert (kept.name, kept.read_text("utf-8")) == ("first.json", text)


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        runs.replace_file(pipe, "ähm")
        assert os.read(reading, 100).decode() == "ähm"
    finally:
        os.close(reading)
    assert pipe.is_fifo()


def test_what_a_process_has_open_is_written_to() -> None:
    """As /dev/stdout is, which leads to a link in /proc."""
    reading, writing = os.pipe()
    with os.fdopen(reading, encoding="utf-8") as read:
        runs.replace_file(Path(f"/proc/self/fd/{writing}"), "shown")
        os.close(writing)
        assert read.read() == "shown"


def test_a_file_keeps_its_mode_and_a_new_one_gets_what_the_user_wants(tmp_path: Path) -> None:
    umask = os.umask(0o077)
    try:
        new, old = tmp_path / "new", tmp_path / "old"
        old.touch()
        old.chmod(0o640)
        for path in (new, old):
            runs.replace_file(path, "text")
    finally:
        os.umask(umask)
    assert [oct(stat.S_IMODE(path.stat().st_mode)) for path in (new, old)] == ["0o600", "0o640"]


def test_a_name_may_be_as_long_as_a_file_system_has_it(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 255)
    runs.replace_file(path, "text")
    assert path.read_text("utf-8") == "text"
