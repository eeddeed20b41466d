"""`harness profile` and `harness diff` as processes, on a real PostgreSQL."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.judging.profile_differences import differences, place
from harness.record import RunRecord
from tests.acceptance.conftest import Program

WORST = "PerPairAssociations.record > SQL association.record"
GONE = (WORST, "PerMemoryAccessRecords.record > SQL access.log", "PerMemoryAccessRecords.record > SQL access.raise_phi")
"""What only the baseline does. The machine's noise decides which of the smaller ones survive a test of three rounds."""


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
    assert WORST in place(difference.culprits[0].stack)
    for named in GONE:
        times_ms = [(each.before_ms, each.after_ms) for each in difference.changes if place(each.stack).endswith(named)]
        assert times_ms, named
        assert all(before_ms > 0 and after_ms == 0 for before_ms, after_ms in times_ms), named
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
