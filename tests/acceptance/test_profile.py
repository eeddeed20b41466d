"""`harness profile` and `harness diff` as processes, on a real PostgreSQL."""

from collections.abc import Callable
from pathlib import Path

from tests.acceptance.conftest import Program


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
