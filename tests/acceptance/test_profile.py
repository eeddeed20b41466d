"""`harness profile` and `harness diff` as processes, on a real PostgreSQL."""

import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

from harness.judging.profile_differences import differences, place
from harness.record import RunRecord
from tests.acceptance.conftest import Program

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).parents[2]
WORST = "PerPairAssociations.record > SQL association.record"
GONE = (WORST, "PerMemoryAccessRecords.record > SQL access.log", "PerMemoryAccessRecords.record > SQL access.raise_phi")
"""What only the baseline does. The machine's noise decides which of the smaller ones survive a test of few rounds."""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The interpreter of an environment with the wheel in it, and beside it all that is installed here."""
    pytest.importorskip("hatchling", reason="the tool that builds the wheel is not installed")
    wheels, environment = tmp_path / "wheels", tmp_path / "environment"
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels)]
    subprocess.run(build, cwd=CHECKOUT, check=True, capture_output=True)
    venv.create(environment, symlinks=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    (wheel,) = wheels.glob("*.whl")
    ZipFile(wheel).extractall(packages)
    # Paths in such a file are not searched for others like it, so the checkout is out of reach.
    elsewhere = (path for path in sys.path if path.endswith(("site-packages", "dist-packages")))
    (packages / "elsewhere.pth").write_text("\n".join(elsewhere))
    return environment / "bin" / "python"


def test_the_difference_names_what_the_batched_strategy_does_no_more(
    installed: Path, environment: dict[str, str], harness: Program, tiny: Callable[..., Path], tmp_path: Path
) -> None:
    """As installed from a wheel, where the functions of what is measured lie among libraries."""
    scenario = str(tiny(requests=6, latency="lan"))
    command = [str(installed), "-m", "harness.cli", "profile", scenario, "--rounds", "3", "--requests", "3"]
    clean = {name: value for name, value in environment.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=tmp_path, env=clean, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    first = next(line for line in done.stdout.splitlines() if "\N{MINUS SIGN}" in line)
    assert "anima/associations/per_pair.py" in first
    (run,) = (tmp_path / "reports").iterdir()
    folded = [each for each in (run / "profiles").glob("*.folded") if ".server." not in each.name]
    assert len(folded) == 6
    assert any("anima/associations/per_pair.py" in path.read_text(encoding="utf-8") for path in folded)
    record = RunRecord.model_validate_json((run / "record.json").read_bytes())
    for profile in (each for each in record.profiles if each.variant == "naive"):
        told_s = sum(profile.stacks.values()) / profile.requests
        assert told_s == pytest.approx(profile.profiled_s, rel=0.2), "waiting is part of what is told"
    frames = {frame for profile in record.profiles for stack in profile.stacks for frame in stack.split(";")}
    of_the_wheel = ("memory.py:MemorySystem.query", "associations/per_pair.py:PerPairAssociations.record")
    assert {f"anima/{name}" for name in of_the_wheel} <= frames
    assert not {frame for frame in frames if frame.startswith(("anima: ", "harness: "))}
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
