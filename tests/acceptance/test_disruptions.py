"""`harness run` with a timeline: the run survives what it does to its database, and says what that cost."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.record import RunRecord, VariantRecord
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
    variant, started_s, ended_s = disrupted(tmp_path)
    assert ended_s - started_s > 1
    failed = [sample for sample in variant.samples if sample.error]
    assert len(failed) >= 10
    assert all(sample.ended_s >= started_s for sample in failed)
    assert variant.samples[-1].error is None
    assert {sample.error for sample in failed} == {"DatabaseUnavailable"}


def disrupted(directory: Path) -> tuple[VariantRecord, float, float]:
    """Of the one run there, which is complete, its one variant, and when its one disruption began and ended."""
    (path,) = directory.glob("reports/*/record.json")
    record = RunRecord.model_validate_json(path.read_bytes())
    assert record.state == "complete"
    (variant,) = record.variants
    (disruption,) = variant.disruptions
    assert disruption.started_s is not None
    assert disruption.ended_s is not None
    return variant, disruption.started_s, disruption.ended_s


@pytest.mark.needs("etcd", "patroni")
@pytest.mark.nightly
def test_requests_fail_until_patroni_has_promoted_another_and_none_after(harness: Program, tmp_path: Path) -> None:
    done = harness("run", "patroni")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"fail_over .* to [0-9.]+ s", done.stdout)
    variant, started_s, ended_s = disrupted(tmp_path)
    failed = [sample for sample in variant.samples if sample.error]
    assert failed
    assert all(sample.ended_s >= started_s for sample in failed)
    assert all(sample.started_s <= ended_s for sample in failed)
    assert variant.samples[-1].started_s > ended_s


def test_what_patroni_needs_is_said_where_it_is_missing(harness_here: Program, environment: dict[str, str]) -> None:
    environment["PATH"] = ""
    done = harness_here("run", "patroni")
    said = " ".join(done.stderr.split())
    assert done.returncode == 2, said
    assert "apt-get install etcd-server" in said
    assert 'pip install "patroni[etcd3,psycopg3]"' in said


def test_what_the_server_cannot_do_is_said_before_anything_is_measured(harness: Program, tiny: Scenario) -> None:
    fill = 'phase = "query"\nat_s = 1\naction = "fill_disk"\nfor_s = 1\n'
    done = harness("run", str(tiny(extra=f"[[timeline]]\n{fill}")))
    assert done.returncode == 2
    assert "fill_disk at 1 s of 'query'" in done.stderr
    assert "state `disk_mb` in [database]" in " ".join(done.stderr.split())
