"""`harness compare` as a process: what it says, leaves behind and exits with."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.acceptance.conftest import Program

Scenario = Callable[..., Path]


def test_two_strategies_are_measured_in_turn_and_the_counts_decide_by_themselves(
    harness: Program, tiny: Scenario, tmp_path: Path
) -> None:
    done = harness("compare", "batched", "naive", "--scenario", str(tiny(requests=3)), "--rounds", "2")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "query statements grew from 3 to " in done.stdout
    (run,) = (tmp_path / "reports").iterdir()
    stored = json.loads((run / "comparison.json").read_bytes())["comparison"]
    assert stored["control"] == "batched (control)"
    assert {each["metric"] for each in stored["metrics"]} == {"mean", "p50", "p95"}
    assert "# naive against batched" in (run / "comparison.md").read_text(encoding="utf-8")
    again = harness("compare", run.name, "--format", "json")
    assert again.returncode == 1
    assert json.loads(again.stdout)["comparison"] == stored

    with_itself = harness("compare", run.name, "latest")
    assert with_itself.returncode == 3
    assert "share no rounds" in with_itself.stdout

    record = json.loads((run / "record.json").read_bytes())
    record["environment"]["host"]["cpu"] = "another"
    other = run.with_name("other")
    other.mkdir()
    (other / "record.json").write_text(json.dumps(record), encoding="utf-8")
    refused = harness("compare", run.name, "other")
    assert refused.returncode == 2
    assert "host.cpu is" in refused.stderr
    overridden = harness("compare", run.name, "other", "--anyway")
    assert overridden.returncode == 3
    assert "These runs are unlike: host.cpu is" in overridden.stdout


def test_what_cannot_be_compared_says_what_can(harness: Program) -> None:
    unknown = harness("compare", "naiv", "batched")
    assert unknown.returncode == 2
    assert "Did you mean 'naive'" in unknown.stderr
    setting = harness("compare", "naive", "batched", "--scenario", "smoke", "--set", "corpsu.size=3")
    assert setting.returncode == 2
    assert "Did you mean 'corpus'" in setting.stderr
