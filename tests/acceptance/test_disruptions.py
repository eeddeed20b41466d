"""`harness run` with a timeline: the run survives what it does to its database, and says what that cost."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.record import RunRecord
from tests.acceptance.conftest import Program

pytestmark = pytest.mark.slow

Scenario = Callable[..., Path]

RESTART = """
[[timeline]]
phase = "query"
at_s = 1
action = "restart"
for_s = 1
"""


def scheduled(path: Path) -> str:
    """The scenario with a request every 50 ms for 4 s, whatever becomes of the one before."""
    text = path.read_text(encoding="utf-8")
    users = 'requests = 4\narrival = { kind = "closed_loop", users = 2 }'
    assert users in text
    rate = 'time_s = 4\narrival = { kind = "constant_rate", rate_per_s = 20 }'
    path.write_text(text.replace(users, rate), encoding="utf-8")
    return str(path)


def test_a_restart_costs_the_requests_that_fall_into_it_and_no_other(
    harness: Program, tiny: Scenario, tmp_path: Path
) -> None:
    done = harness("run", scheduled(tiny("query.errors <= 1%", extra=RESTART)), "--strategies", "batched")
    assert done.returncode == 1, done.stderr
    assert "What was done to the database meanwhile" in done.stdout
    (path,) = tmp_path.glob("reports/*/record.json")
    record = RunRecord.model_validate_json(path.read_bytes())
    (variant,) = record.variants
    (restart,) = variant.disruptions
    assert record.state == "complete"
    assert restart.started_s is not None
    assert restart.ended_s is not None
    assert restart.ended_s - restart.started_s > 1
    failed = [sample for sample in variant.samples if sample.error]
    assert len(failed) >= 10
    assert all(sample.ended_s >= restart.started_s for sample in failed)
    assert variant.samples[-1].error is None
    assert {sample.error for sample in failed} == {"DatabaseUnavailable"}


def test_what_the_server_cannot_do_is_said_before_anything_is_measured(harness: Program, tiny: Scenario) -> None:
    fill = 'phase = "query"\nat_s = 1\naction = "fill_disk"\nfor_s = 1\n'
    done = harness("run", str(tiny(extra=f"[[timeline]]\n{fill}")))
    assert done.returncode == 2
    assert "fill_disk at 1 s of 'query'" in done.stderr
    assert "state `disk_mb` in [database]" in " ".join(done.stderr.split())
