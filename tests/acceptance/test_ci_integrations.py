"""The GitHub Action, the GitLab component and the hook of pre-commit, run as those who use them run them."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.commands.check import check
from harness.errors import ExitCode
from tests.runners import RefusedInput, gitlab_jobs, run_action, run_gitlab_job

ROOT = Path(__file__).parents[2]
COMPONENT = ROOT / "templates" / "performance.yml"
PAGE = (ROOT / "docs" / "how-to" / "ci.md").read_text(encoding="utf-8")

SCENARIO = """
name = "abacus"
target = "abacus:Abacus"
budgets = ["count.errors <= 0%", "count.statements <= {statements}"]
phases = [{{ requests = 5 }}]
"""

CLASS = """
from harness.measuring.targets.protocol import Response
from harness.testing import operation

class Abacus:
    async def open(self): ...
    async def close(self): ...
    @operation()
    async def count(self):
        return Response(statements=2)
"""

PYTHON = """#!/bin/sh
# Notes what pip is asked for, and runs all else.
if [ "$2" = pip ]; then echo "$@" >>"$PIP"; else exec "{python}" "$@"; fi
"""


@pytest.fixture
def workspace(tmp_path: Path, environment: dict[str, str]) -> Path:
    """A repository with a scenario of its own, and a Python, pip and harness that install nothing."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in (
        ("python", PYTHON.format(python=sys.executable)),
        ("pip", 'python -m pip "$@"'),
        ("harness", 'python -m harness "$@"'),
    ):
        path = programs / name
        path.write_text(text if text.startswith("#!") else f"#!/bin/sh\nexec {text}\n", encoding="utf-8")
        path.chmod(0o755)
    environment |= {"PATH": f"{programs}:{environment['PATH']}", "PIP": str(tmp_path / "pip.txt")}
    (tmp_path / "abacus.py").write_text(CLASS, encoding="utf-8")
    (tmp_path / "requirements.txt").touch()
    write_scenario(tmp_path, statements=2)
    return tmp_path


def write_scenario(workspace: Path, statements: int) -> None:
    (workspace / "performance.toml").write_text(SCENARIO.format(statements=statements), encoding="utf-8")


@pytest.mark.slow
def test_the_action_fails_where_a_budget_does_and_keeps_what_was_measured(
    workspace: Path, environment: dict[str, str]
) -> None:
    write_scenario(workspace, statements=1)
    given = {"scenario": "performance.toml", "arguments": "--set\ntitle=Two words\n"}
    run = run_action(ROOT, workspace, given, environment)
    assert (run.failed, run.outputs) == (True, {"exit-code": "1", "verdict": "FAIL"}), run.printed
    assert "Two words" in run.printed
    assert (workspace / "pip.txt").read_text(encoding="utf-8").endswith(f"{ROOT}[http,postgres,report]\n")
    assert {path.name for path in (workspace / "measured").iterdir()} >= {"junit.xml", "comment.md"}
    assert run.used == [("actions/upload-artifact@v4", {"name": "performance", "path": "measured/"})]


def test_the_action_executes_nothing_that_an_input_holds(workspace: Path, environment: dict[str, str]) -> None:
    given = {"scenario": "$(touch planted)", "command": "`touch planted`", "arguments": "; touch planted"}
    run = run_action(ROOT, workspace, given, environment)
    assert run.failed
    assert "::error::command: `touch planted` is none that this action knows" in run.printed
    assert not (workspace / "planted").exists()


def test_the_action_tells_a_wrong_scenario_by_the_exit_code(workspace: Path, environment: dict[str, str]) -> None:
    run = run_action(ROOT, workspace, {"scenario": "perfomance.toml"}, environment)
    assert (run.failed, run.outputs) == (True, {"exit-code": "2", "verdict": "USAGE"}), run.printed


@pytest.mark.slow
def test_the_component_runs_the_harness_with_its_inputs(workspace: Path, environment: dict[str, str]) -> None:
    jobs = gitlab_jobs(COMPONENT, {"scenario": "performance.toml", "arguments": "--set title=Gated", "output": "out"})
    (job,) = jobs.values()
    done = run_gitlab_job(job, workspace, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Gated" in done.stdout
    assert (workspace / job["artifacts"]["reports"]["junit"]).is_file()
    installed = (workspace / "pip.txt").read_text(encoding="utf-8")
    assert "-r requirements.txt" in installed
    assert "anima-harness[http,postgres,report] @ git+" in installed


def test_the_job_of_the_component_fails_with_the_code_of_the_harness(
    workspace: Path, environment: dict[str, str]
) -> None:
    (job,) = gitlab_jobs(COMPONENT, {"scenario": "perfomance.toml", "requirements": ""}).values()
    done = run_gitlab_job(job, workspace, environment)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "There is no scenario file perfomance.toml" in done.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "`scenario` input: required value"),
        ({"scenario": "a.toml", "command": "compare"}, "`compare` cannot be used"),
        ({"scenario": "a.toml", "budget": "1"}, "unknown input arguments: budget"),
    ],
)
def test_a_wrong_input_of_the_component_makes_no_pipeline(given: dict[str, str], said: str) -> None:
    with pytest.raises(RefusedInput, match=re.escape(said)):
        gitlab_jobs(COMPONENT, given)


def test_each_line_of_the_component_has_one_input_alone() -> None:
    """GitLab once replaced only the first of a line (gitlab-org/gitlab#442327)."""
    lines = COMPONENT.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.count("$[[") > 1] == []


def hook() -> dict[str, Any]:
    (found,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    return dict(found)


@pytest.mark.parametrize(
    ("path", "is_checked"),
    [
        ("performance.toml", True),
        ("load/search.scenario.toml", True),
        ("scenarios/smoke.toml", True),
        ("pyproject.toml", False),
        ("scenarios/README.md", False),
    ],
)
def test_the_hook_is_given_scenarios_alone(path: str, is_checked: bool) -> None:
    assert bool(re.search(hook()["files"], path)) == is_checked


def test_the_hook_says_what_is_wrong_with_each_file_and_measures_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right, wrong = tmp_path / "performance.toml", tmp_path / "wrong.toml"
    right.write_text(SCENARIO.format(statements=1), encoding="utf-8")
    (tmp_path / "abacus.py").write_text(CLASS, encoding="utf-8")
    wrong.write_text('name = "x"\ntarget = "sql"\nphases = [{ requets = 5 }]\n', encoding="utf-8")
    assert hook()["entry"] == "harness check"
    assert check((str(right), str(wrong), "gone.toml")) == ExitCode.USAGE
    done = capsys.readouterr()
    assert f"{right}: 1 operations, 2 budgets." in done.out
    assert f"{wrong}: unknown key 'phases.0.requets'. Did you mean 'requests'?" in done.err
    assert "gone.toml: there is no such file." in done.err
    assert {path.name for path in tmp_path.iterdir()} - {"__pycache__"} == {
        "performance.toml",
        "wrong.toml",
        "abacus.py",
    }


@pytest.mark.parametrize("path", sorted((ROOT / "scenarios").glob("*.toml")), ids=lambda path: path.stem)
def test_a_scenario_that_is_shipped_passes_the_hook(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check((str(path),)) == ExitCode.PASS
    assert capsys.readouterr().out.startswith(f"{path}: ")


def test_the_page_names_what_there_is() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.+?)```", PAGE, re.DOTALL)]
    (github,) = [block for block in blocks if "jobs" in block]
    (step,) = [each for each in github["jobs"]["measure"]["steps"] if "anima-harness" in each.get("uses", "")]
    assert step["with"].keys() <= action["inputs"].keys()
    (gitlab,) = [block for block in blocks if "include" in block]
    (included,) = gitlab["include"]
    assert f"/{COMPONENT.stem}@" in included["component"]
    assert gitlab_jobs(COMPONENT, included["inputs"])
    (config,) = [block for block in blocks if "repos" in block]
    assert config["repos"][0]["hooks"] == [{"id": hook()["id"]}]


def test_bash_finds_no_fault_in_the_scripts(tmp_path: Path) -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    (job,) = gitlab_jobs(COMPONENT, {"scenario": "a.toml"}).values()
    scripts = [step["run"] for step in action["runs"]["steps"] if "run" in step] + job["script"]
    for script in scripts:
        done = subprocess.run(["bash", "-n"], input=script, cwd=tmp_path, text=True, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), script
