"""Where runs are kept: found by path, name or `latest`; written whole or not at all."""

import os
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
    assert runs.load(tmp_path) == guide_record()
    assert [path.name for path in tmp_path.iterdir()] == [runs.RECORD_FILE]


def test_a_record_of_a_newer_schema_is_refused_with_the_way_out(tmp_path: Path) -> None:
    runs.write_record(tmp_path, guide_record())
    path = tmp_path / runs.RECORD_FILE
    path.write_text('{"schema_version": 2}', encoding="utf-8")
    with pytest.raises(UsageError, match="A newer harness may have written it"):
        runs.load(tmp_path)


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
