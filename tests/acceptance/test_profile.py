"""`harness profile` and `harness diff` as processes, on a real PostgreSQL."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.profile_differences import differences, place
from harness.record import RunRecord
from tests.acceptance.conftest import Program

CULPRITS = ("PerPairAssociations.record > SQL association.record", "PerMemoryAccessRecords", "httpx: AsyncClient.post")
"""The second is named with its statements where these are most of it, and by itself where promotions are much of it."""


def test_the_difference_names_what_the_batched_strategy_does_no_more(
    harness: Program, tiny: Callable[..., Path], tmp_path: Path
) -> None:
    scenario = str(tiny(requests=12, latency="lan"))
    done = harness("profile", scenario, "--rounds", "3", "--requests", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    first = next(line for line in done.stdout.splitlines() if "\N{MINUS SIGN}" in line)
    assert "anima/associations/per_pair.py" in first
    (run,) = (tmp_path / "reports").iterdir()
    assert len(list((run / "profiles").glob("*.folded"))) == 6
    record = RunRecord.model_validate_json((run / "record.json").read_bytes())
    for profile in (each for each in record.profiles if each.variant == "naive"):
        told_s = sum(profile.stacks.values()) / profile.requests
        assert told_s == pytest.approx(profile.profiled_s, rel=0.2), "waiting is part of what is told"
    (difference,) = differences(record)
    places = [place(culprit.stack) for culprit in difference.culprits]
    assert CULPRITS[0] in places[0]
    assert all(any(named in each for each in places) for named in CULPRITS), places
    assert all(any(named in each for named in CULPRITS) for each in places[:3]), places
    assert all(culprit.after_ms < culprit.before_ms / 10 for culprit in difference.culprits[:3])
    (run / "profile.html").unlink()
    again = harness("diff", run.name)
    assert again.returncode == 0
    assert first in again.stdout
    assert (run / "profile.html").is_file()


def test_a_run_without_profiles_says_how_to_make_them(harness: Program, tiny: Callable[..., Path]) -> None:
    harness("run", str(tiny(requests=2)))
    done = harness("diff", "latest")
    assert done.returncode == 2
    assert "harness profile" in done.stderr
    assert "Traceback" not in done.stderr
