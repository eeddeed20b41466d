"""What acceptance tests share: the programs as processes, and a scenario that is over in seconds."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import cli
from harness.errors import ExitCode
from tests.acceptance import warm

Program = Callable[..., subprocess.CompletedProcess[str]]

TINY = """
name = "tiny"
title = "Seconds"
strategies = ["naive", "batched"]
baseline = "naive"
candidate = "batched"
latency = "{latency}"
budgets = [{budgets}]

[database]
provisioner = "embedded"
settings = {{ fsync = "off" }}

[corpus]
kind = "generated"
size = 40

[workload.query]
distinct_texts = 3

[[phases]]
workload = "query"
requests = {requests}
arrival = {{ kind = "closed_loop", users = 2 }}
"""


def tiny_in(directory: Path) -> Callable[..., Path]:
    """Writes a scenario of a few queries, with what the test says instead."""

    def write(*budgets: str, requests: int = 4, latency: str = "local", extra: str = "") -> Path:
        path = directory / "tiny.toml"
        quoted = ", ".join(f'"{budget}"' for budget in budgets)
        path.write_text(TINY.format(requests=requests, latency=latency, budgets=quoted) + extra, encoding="utf-8")
        return path

    return write


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[..., Path]:
    return tiny_in(tmp_path)


@pytest.fixture
def shared_directory() -> Iterator[Path]:
    """An empty TMPDIR that every user may write to, as an embedded PostgreSQL's has to; `tmp_path` is private."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        path.chmod(0o1777)
        yield path


def clean_environment() -> dict[str, str]:
    """The machine's, without what would point a program at a database of the developer's.

    Nor with what has each start compile its imports: the memory that this takes is free afterwards, and hides leaks.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANIMA_", "PG"))}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return kept | {"COLUMNS": "100", "NO_COLOR": "1"}


@pytest.fixture
def environment() -> dict[str, str]:
    return clean_environment()


def skip_what_the_machine_spoiled(directory: Path) -> None:
    """Skips a test of latencies where the machine was too busy for any to be judged: counts are judged all the same."""
    for report in directory.rglob("report.json"):
        verdict = json.loads(report.read_text(encoding="utf-8"))["verdict"]
        if verdict["timing_objections"] and not verdict["objections"]:
            pytest.skip(verdict["sentence"])


def harness_in(directory: Path, environment: dict[str, str]) -> Program:
    """Runs `harness` in that directory."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        done = warm.run(arguments, directory, environment)
        if done.returncode == ExitCode.INVALID:
            skip_what_the_machine_spoiled(directory)
        return done

    return run


@pytest.fixture
def harness_here(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Program:
    """Runs `harness` in this process, for what is refused before anything is started."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        with monkeypatch.context() as patched:
            patched.chdir(tmp_path)
            patched.setattr(os, "environ", environment)
            patched.setattr(sys, "argv", ["harness", *arguments])
            for stream in ("stdout", "stderr"):  # The program puts others in their place.
                patched.setattr(sys, stream, getattr(sys, stream))
            with pytest.raises(SystemExit) as ended:
                cli.main()
        output, errors = capfd.readouterr()
        return subprocess.CompletedProcess(arguments, int(str(ended.value.code)), output, errors)

    return run


@pytest.fixture
def harness(tmp_path: Path, environment: dict[str, str]) -> Program:
    """Runs `harness` in a directory of the test's own."""
    return harness_in(tmp_path, environment)
