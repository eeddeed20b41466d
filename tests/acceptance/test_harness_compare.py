"""`harness compare` as a process: what it says, leaves behind and exits with."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.conftest import Program

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
Scenario = Callable[..., Path]


def test_two_strategies_are_measured_in_turn_and_the_counts_decide_by_themselves(
    harness: Program, tiny: Scenario, tmp_path: Path
) -> None:
    done = harness("compare", "batched", "fix2", "--scenario", str(tiny(requests=3)), "--rounds", "2")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "query statements grew from 3 to " in done.stdout
    (run,) = (tmp_path / "reports").iterdir()
    stored = json.loads((run / "comparison.json").read_bytes())["comparison"]
    assert stored["control"] == "batched (control)"
    assert {each["metric"] for each in stored["metrics"]} == {"mean", "p50", "p95"}
    names = ["batched", "fix2", "batched (control)"]
    assert turns_of(run, operation="query", round_number=1) == names * 3
    assert turns_of(run, operation="query", round_number=2) == names[::-1] * 3
    assert "# fix2 against batched" in (run / "comparison.md").read_text(encoding="utf-8")
    again = harness("compare", run.name, "--format", "json")
    assert again.returncode == 1
    assert json.loads(again.stdout)["comparison"] == stored

    reported = harness("report", run.name)
    assert reported.returncode == 1
    assert "FAIL" in reported.stdout
    assert "query statements grew from 3 to " in reported.stdout
    assert "<title>FAIL: fix2 against batched</title>" in (run / "report.html").read_text(encoding="utf-8")
    assert done.stdout.splitlines()[-1] == f"Report: {run.relative_to(tmp_path) / 'report.html'}"

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


def turns_of(run: Path, operation: str, round_number: int) -> list[str]:
    """Which variant was asked, request by request."""
    entries = [json.loads(line) for line in (run / "journal.jsonl").read_text(encoding="utf-8").splitlines()]
    wanted = {"kind": "sample", "operation": operation, "round": round_number}
    return [each["variant"] for each in entries if wanted.items() <= each.items()]


def test_what_cannot_be_compared_says_what_can(harness: Program) -> None:
    unknown = harness("compare", "naiv", "batched")
    assert unknown.returncode == 2
    assert "Did you mean 'naive'" in unknown.stderr
    setting = harness("compare", "naive", "batched", "--scenario", "smoke", "--set", "corpsu.size=3")
    assert setting.returncode == 2
    assert "Did you mean 'corpus'" in setting.stderr


PLANTED = '        await session.fetch(Statement("planted", "SELECT 1", reads=True))\n'


def commit(repository: Path, message: str) -> None:
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run([*git, "add", "."], cwd=repository, check=True)
    subprocess.run([*git, "commit", "-q", "-m", message], cwd=repository, check=True)


def test_a_statement_that_a_revision_adds_is_found(harness: Program, tiny: Scenario, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    scenario = tiny(requests=3)
    for package in ("anima", "harness", "migrations"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    commit(tmp_path, "Before")
    search = tmp_path / "anima" / "searches" / "exact_once.py"
    before, found, after = search.read_text(encoding="utf-8").partition("        rows = await session.fetch(FIND")
    search.write_text(before + PLANTED + found + after, encoding="utf-8")
    commit(tmp_path, "After")
    done = harness(
        *("compare", "HEAD~1", "HEAD", "--scenario", str(scenario), "--rounds", "1", "--environment", "shared")
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "HEAD against HEAD~1: query statements grew from 3 to 4" in done.stdout
    left = subprocess.run(["git", "worktree", "list"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert len(left.stdout.splitlines()) == 1, "worktrees are gone"
