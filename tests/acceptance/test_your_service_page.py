"""docs/how-to/your-service.md, followed: its commands, one after the other, from an empty directory on."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from harness.measuring import scenario_files

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "your-service.md").read_text(encoding="utf-8")
STEPS = re.findall(r"```sh\n(.*?)```\n\n```text\n(.*?)```", PAGE, re.DOTALL)
PROGRAM = f'#!/bin/sh\nexec "{sys.executable}" -m harness.cli "$@"\n'


def test_each_command_of_the_page_says_what_it_prints() -> None:
    assert len(STEPS) == PAGE.count("```sh\n") == 3


def test_the_service_of_the_page_is_one_that_can_be_asked() -> None:
    [service] = re.findall(r"```toml\n(\[service\].*?)```", PAGE, re.DOTALL)
    whole = {"name": "page", "target": "http", "phases": [{"requests": 1}], **tomllib.loads(service)}
    assert scenario_files.parsed(whole).operation_names == ("create", "read")


@pytest.mark.slow
def test_the_page_leads_to_a_gate_that_fails_on_a_slow_statement(tmp_path: Path, environment: dict[str, str]) -> None:
    programs, empty = tmp_path / "programs", tmp_path / "empty"
    programs.mkdir()
    empty.mkdir()
    (programs / "harness").write_text(PROGRAM, encoding="utf-8")
    (programs / "harness").chmod(0o755)
    found = environment | {"PATH": os.pathsep.join([str(programs), environment.get("PATH", os.defpath)])}
    shell = shutil.which("sh", path=found["PATH"])
    assert shell is not None
    for commands, printed in STEPS:
        done = subprocess.run(
            [shell, "-e", "-c", commands],
            cwd=empty,
            env=found,
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        said = iter(done.stdout.splitlines())
        for line in printed.splitlines():
            # On a busy machine a verdict goes on to say that timings cannot be judged.
            assert any(each.startswith(line) for each in said), f"{line!r} does not come next in\n{done.stdout}"
