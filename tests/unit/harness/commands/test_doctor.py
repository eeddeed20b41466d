"""`harness doctor`: what it says of a machine that lacks something, and when that is an error."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from harness.commands import doctor as command
from harness.commands.doctor import MachineFinding, doctor, examine
from harness.errors import ExitCode, ProvisioningError

GIB = 2**30


class Memory(NamedTuple):
    available: int


class Disk(NamedTuple):
    free: int


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has everything."""
    monkeypatch.setattr(command, "installation", lambda *, postgres_major: postgres_major)
    monkeypatch.setattr(command, "engine_answers", lambda: True)
    monkeypatch.setattr(command, "processors", lambda: 4)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: Memory(16 * GIB))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(100 * GIB))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


def missing(findings: Sequence[MachineFinding]) -> list[tuple[str, bool]]:
    return [(finding.what, finding.required) for finding in findings if not finding.present]


def test_a_machine_that_has_everything_is_told_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert missing(examine(tmp_path)) == []
    assert doctor(tmp_path, measures_generator=False) is ExitCode.PASS
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} == {"ok"}
    assert "ok       not root: the server runs as this user" in lines


def test_what_a_run_needs_and_lacks_is_an_error_with_advice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: Memory(GIB))
    assert doctor(tmp_path, measures_generator=False) is ExitCode.USAGE
    told = capsys.readouterr().out
    assert "missing  1.0 GiB of memory free\n         End something: a run wants 2 GiB.\n" in told


def test_what_it_can_do_without_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(command, "engine_answers", lambda: False)
    monkeypatch.setattr(command, "processors", lambda: 1)
    findings = missing(examine(tmp_path))
    assert [required for _, required in findings] == [False, False]
    assert doctor(tmp_path, measures_generator=False) is ExitCode.PASS


def test_the_disk_is_that_of_a_directory_which_is_not_there_yet(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[Path] = []

    def usage(path: Path) -> Disk:
        asked.append(path)
        return Disk(GIB)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    assert missing(examine(tmp_path / "not" / "there")) == [(f"1.0 GiB of disk free at {tmp_path}", True)]
    assert asked == [tmp_path]


def test_a_server_that_cannot_be_installed_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*, postgres_major: int) -> None:
        raise ProvisioningError(f"no PostgreSQL {postgres_major} for this machine")

    monkeypatch.setattr(command, "installation", refuse)
    (found,) = (finding for finding in examine(tmp_path) if not finding.present)
    assert (found.what, found.advice) == (
        "embedded PostgreSQL 18 with pgvector",
        "no PostgreSQL 18 for this machine",
    )


@pytest.mark.parametrize(("useradd", "present"), [("/usr/sbin/useradd", True), (None, False)])
def test_root_needs_a_way_to_make_a_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, useradd: str | None, present: bool
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda _: useradd)
    (found,) = (finding for finding in examine(tmp_path) if finding.what.startswith("root: "))
    assert (found.present, found.required) == (present, True)
    assert bool(found.advice) is not present
