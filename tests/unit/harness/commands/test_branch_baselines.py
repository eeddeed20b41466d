"""The stored run that a run is compared with: of its branch, of where that began, or of main."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harness import runs
from harness.command_line import harness
from harness.commands._shared.branch_baselines import baseline_of, chosen_baseline, commits_beyond
from harness.errors import ExitCode, UsageError
from harness.journal import FILE_NAME
from harness.record import CheckoutRecord, RunRecord
from tests.records import record, samples, variant

OWN = CheckoutRecord(revision="e5", branch="quick")
AGES = {"a1": 4, "b2": 1, "c3": 2}
"""How many commits the own one has beyond these, which it contains."""


def stored(number: int, revision: str, branch: str | None, **fields: object) -> RunRecord:
    """The higher the number, the later."""
    values: dict[str, object] = {
        "run_id": f"shop-{number}",
        "started_at": datetime(2026, 1, 1, number, tzinfo=UTC),
        "scenario": {"name": "shop", "strategies": ["current"]},
        "checkout": CheckoutRecord(revision=revision, branch=branch),
    }
    rounds = [each for n in range(1, 11) for each in samples([0.1 + 0.001 * n] * 8, statements=3, round=n)]
    return record(variant("current", rounds), **(values | fields))


def age(earlier: str, later: str) -> int | None:
    assert later == "e5"
    return AGES.get(earlier)


@pytest.mark.parametrize(
    ("runs_of", "chosen", "reason"),
    [
        ([("a1", "main"), ("d4-dirty", "quick"), ("z9", "main")], 1, "the newest of quick"),
        (
            [("a1", "main"), ("c3", "earlier"), ("z9", "main")],
            1,
            "the nearest that this began from: earlier, 2 commits",
        ),
        ([("a1", "main"), ("c3-dirty", "earlier"), ("z9", "main")], 0, "the nearest that this began from: main, 4"),
        ([("c3", None), ("z9", "main")], 0, "the nearest that this began from: an older commit, 2 commits before"),
        ([("b2", None)], 0, "the nearest that this began from: an older commit, 1 commit before"),
        ([("y8", "main"), ("z9", "main"), ("x7", "other")], 1, "the newest of main"),
        ([("y8", "master"), ("z9-dirty", "main")], 0, "the newest of master"),
        ([("x7", "other")], None, ""),
    ],
)
def test_the_branch_goes_before_what_it_began_from_and_that_before_main(
    runs_of: list[tuple[str, str | None]], chosen: int | None, reason: str
) -> None:
    kept = [stored(number, *each) for number, each in enumerate(runs_of)]
    found = chosen_baseline(OWN, kept[::-1], age)
    assert (found and found.record) == (None if chosen is None else kept[chosen])
    assert found is None or found.reason.startswith(reason)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for command in ("init -q -b main", *["commit -q --allow-empty -m x"] * 3):
        own = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        subprocess.run(["git", *own, *command.split()], check=True)
    return tmp_path


@pytest.mark.usefixtures("repository")
def test_commits_are_counted_where_one_contains_the_other() -> None:
    assert commits_beyond("HEAD~2", "HEAD") == 2
    assert commits_beyond("HEAD", "HEAD~2") is None
    assert commits_beyond("nowhere", "HEAD") is None


def keep(output: Path, *kept: RunRecord) -> None:
    for each in kept:
        (output / each.run_id).mkdir(parents=True)
        (output / each.run_id / FILE_NAME).touch()
        runs.write_record(output / each.run_id, each)


def test_a_run_is_compared_with_the_one_before_it_on_its_branch(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    later = stored(3, "f6", "quick")
    keep(repository / "reports", stored(1, "d4", "quick"), stored(2, "z9", "main"), later, stored(4, "g7", "quick"))
    code = harness.main(["compare", "shop-3", "--branch"], standalone_mode=False)
    assert code is ExitCode.PASS
    told = capsys.readouterr()
    assert "Compared with shop-1, the newest of quick." in told.err
    assert " PASS  current against current: same: all." in told.out


@pytest.mark.usefixtures("repository")
def test_runs_that_are_no_baseline_are_left_out_and_said_to_be_missing(tmp_path: Path) -> None:
    own = stored(9, "f6", "quick")
    elsewhere = own.environment.model_copy(update={"host": {"cpu": "another"}})
    keep(
        tmp_path / "reports",
        stored(1, "d4", "quick", environment=elsewhere),
        stored(2, "d4", "quick", state="partial", interruption="interrupted"),
        stored(3, "d4", "quick", scenario={"name": "shop-2", "strategies": ["current"]}, run_id="shop-2-1"),
        stored(10, "d4", "quick"),
        own,
    )
    with pytest.raises(UsageError, match=r"No stored run under .* is older than shop-9, like it, and of quick"):
        baseline_of(own, tmp_path / "reports")
    with pytest.raises(UsageError, match="does not say which revision it measured"):
        baseline_of(own.model_copy(update={"checkout": None}), tmp_path / "reports")
    assert own.started_at - stored(3, "d4", None).started_at == timedelta(hours=6)


def test_one_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--branch finds what shop-1 is compared with, so shop-2 is one too many"):
        harness.main(["compare", "shop-1", "shop-2", "--branch", "--output", str(tmp_path)], standalone_mode=False)
