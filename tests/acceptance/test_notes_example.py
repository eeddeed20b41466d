"""The web service of the examples, as it stands: what its README tells to type, and what that says."""

import os
import re
import shlex
import shutil
import subprocess
from importlib.metadata import distribution
from pathlib import Path

import pytest

from harness.record import RunRecord
from tests.acceptance.conftest import Program

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).parents[2]
README = CHECKOUT / "examples" / "notes" / "README.md"
FAILURE = "newest.rows_per_op <= 40"


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    """With uvicorn on the PATH, as where a user has installed it."""
    scripts = [path.locate() for path in distribution("uvicorn").files or () if Path(str(path)).name == "uvicorn"]
    folders = [str(Path(str(path)).resolve().parent) for path in scripts if Path(str(path)).is_file()]
    return environment | {"PATH": os.pathsep.join([environment.get("PATH", os.defpath), *folders])}


def commands() -> list[list[str]]:
    lines = re.findall(r"^harness (.*)$", README.read_text(encoding="utf-8"), re.MULTILINE)
    return [
        [str(CHECKOUT / word) if word.startswith("examples/") else word for word in shlex.split(line)] for line in lines
    ]


@pytest.mark.nightly  # `test_examples.py` gates the shop with and without its index.
def test_the_gate_of_the_notes_fails_without_the_index_and_tells_what_asking_and_answering_cost(
    harness: Program, tmp_path: Path
) -> None:
    """Its other phase would wait for the server's statistics too, and shows nothing else."""
    done = harness(*commands()[0], "--phase", "newest")
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"FAIL {FAILURE}" in " ".join(done.stdout.split())
    assert f"FAIL {FAILURE}" in README.read_text(encoding="utf-8")
    [path] = tmp_path.glob("reports/*/record.json")
    [variant] = RunRecord.model_validate_json(path.read_bytes()).variants
    for phase in variant.phases:
        assert all(phase.counters[name] > 0 for name in ("client_cpu_s", "service_cpu_s"))


@pytest.mark.nightly
def test_the_gate_of_the_notes_passes_with_the_index(harness: Program) -> None:
    """Its budgets of rows have each phase wait; that they hold of an index is shown of the shop too."""
    done = harness(*commands()[1])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All 5 budgets hold" in done.stdout


@pytest.mark.parametrize(
    ("settings", "code", "said"),
    [
        (['service.command=["no-such", "{port}"]'], 2, "there is no program 'no-such'"),
        (["operations.create.expect.status=299"], 2, "operations.create: HTTP status 201 instead of 299"),
        (["operations.newest.expect.status=299"], 4, "operations.newest: HTTP status 200 instead of 299"),
        (["operations.newest.path=/{creates.id}"], 2, "operations.newest.path: nothing gives {creates.id}"),
    ],
)
def test_what_cannot_be_measured_is_told(settings: list[str], code: int, said: str, harness: Program) -> None:
    chosen = [part for setting in settings for part in ("--set", setting)]
    done = harness(*commands()[1], "--set", "database.size=100", *chosen)
    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


LEAK = "    kept.append(bytearray(1_000))\n    return {"


@pytest.mark.nightly
def test_harness_gate_holds_the_service_to_its_base(harness: Program, tmp_path: Path) -> None:
    """A gate of it passes as it is, and names a lost index and memory that each request keeps."""
    shutil.copytree(README.parent, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@example.com")
    for arguments in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "base")):
        subprocess.run([*git, *arguments], cwd=tmp_path, check=True)
    gate = ("gate", "notes.toml", "--cache", "cache")
    unchanged = harness(*gate)
    assert unchanged.returncode == 0, unchanged.stdout + unchanged.stderr
    schema, service = tmp_path / "schema.sql", tmp_path / "notes.py"
    schema.write_text(schema.read_text("utf-8").replace("CREATE INDEX", "-- CREATE INDEX"), "utf-8")
    service.write_text(
        service.read_text("utf-8").replace("    return {", LEAK).replace("app = ", "kept = []\napp = "), "utf-8"
    )
    worse = harness(*gate)
    assert worse.returncode == 1, worse.stdout + worse.stderr
    assert "rows of notes read or written" in worse.stdout
    assert "service memory, bytes kept" in worse.stdout


def test_the_gate_of_the_readme_s_workflow_holds_a_service(harness: Program, tmp_path: Path) -> None:
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    [scenario] = re.findall(r"```toml\n(.+?)```", readme, re.DOTALL)
    [command] = re.findall(r"- run: harness (.+)", readme)
    shutil.copytree(README.parent, tmp_path, dirs_exist_ok=True)
    (tmp_path / "performance.toml").write_text(scenario, encoding="utf-8")
    assert "newest.p95 <= " in scenario
    done = harness(*shlex.split(command), "--set", 'budgets=["newest.errors <= 0%"]')
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "measured" / "junit.xml").is_file()
