"""`harness run --workers local:3`, as docs/how-to/cluster.md has it, and what becomes of it when a host is killed."""

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from harness.record import RunRecord
from tests.acceptance.conftest import Program
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.needs("cluster")]


async def test_a_host_that_is_killed_makes_a_run_invalid_that_can_go_on(
    harness: Program, environment: dict[str, str], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "harness.cli", "run", "cluster", "--workers", "local:3"]
    run = subprocess.Popen(  # noqa: ASYNC220 -- only its end is waited for
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    journals = (tmp_path / "reports").glob

    async def samples_have_come() -> bool:
        assert run.poll() is None, run.communicate()[0]
        return any(b'"kind":"sample"' in path.read_bytes() for path in journals("*/journal.jsonl"))

    await until(samples_have_come)
    hosts = {each.pid: each for each in psutil.Process(run.pid).children() if "local-3" in each.cmdline()}
    (host,) = hosts.values()
    host.kill()
    output, _ = run.communicate(timeout=120)
    assert run.returncode == 4, output
    assert "Worker 3 of 3 of null on local-3 is lost: its dask worker has ended." in " ".join(output.split())
    assert "Traceback" not in output
    resumed = harness("run", "--resume")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert "The run was resumed once" in " ".join(resumed.stdout.split())
    (directory,) = (tmp_path / "reports").iterdir()
    record = RunRecord.model_validate_json((directory / "record.json").read_bytes())
    (variant,) = record.variants
    assert record.scenario["workers"] == "local:3"
    assert [(phase.planned, phase.started) for phase in variant.phases] == [(300, 300), (285, 285)]
    assert [[worker.received for worker in phase.workers] for phase in variant.phases] == [[100] * 3, [95] * 3]
    assert json.loads((directory / "report.json").read_text(encoding="utf-8"))["verdict"]["objections"] == []
    shown = harness("report", "--all")
    assert "\nHosts\n" in shown.stdout
    assert all(f"local-{number}" in shown.stdout for number in (1, 2, 3))


def test_no_workers_are_a_mistake_of_the_command_line(harness: Program) -> None:
    done = harness("run", "cluster", "--workers", "0")
    assert done.returncode == 2
    assert "a run has 1 to 64 workers on a machine, and not 0" in done.stderr
