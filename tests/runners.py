"""What CI systems do with the files that this repository offers them, by their documented rules.

Sources: docs.github.com, "Metadata syntax for GitHub Actions" and "Workflow commands"; docs.gitlab.com, "CI/CD inputs".
"""

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

EXPRESSION: Final = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")
INTERPOLATION: Final = re.compile(r"\$\[\[\s*inputs\.([A-Za-z0-9_-]+)\s*\]\]")
GITHUB_SHELLS: Final = {"bash": ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail"]}


@dataclass
class ActionRun:
    """What became of a composite action: its outputs, what its steps printed, and which actions it would have used."""

    failed: bool = False
    outputs: dict[str, str] = field(default_factory=dict)
    printed: str = ""
    used: list[tuple[str, dict[str, str]]] = field(default_factory=list)


def run_action(directory: Path, workspace: Path, given: Mapping[str, str], environment: Mapping[str, str]) -> ActionRun:
    """Runs a composite action as the runner does; what it uses of others is noted and not fetched."""
    action: dict[str, Any] = yaml.safe_load((directory / "action.yml").read_text(encoding="utf-8"))
    assert action["runs"]["using"] == "composite"
    known = {f"inputs.{name}": value for name, value in _given(action["inputs"], given).items()}
    run = ActionRun()
    for number, step in enumerate(action["runs"]["steps"]):
        if run.failed and step.get("if") != "always()":
            continue
        if "uses" in step:
            run.used.append((step["uses"], {name: _evaluated(text, known) for name, text in step["with"].items()}))
            continue
        output = workspace / f".output-{number}"
        output.touch()
        script = workspace / f".step-{number}.sh"
        script.write_text(_evaluated(step["run"], known), encoding="utf-8")
        own = {name: _evaluated(text, known) for name, text in step.get("env", {}).items()}
        told = {"GITHUB_ACTION_PATH": str(directory), "GITHUB_OUTPUT": str(output), "GITHUB_ACTIONS": "true"}
        done = subprocess.run(
            [*GITHUB_SHELLS[step["shell"]], str(script)],
            cwd=workspace,
            env={**environment, **told, **own},
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        run.failed |= done.returncode != 0
        run.printed += done.stdout + done.stderr
        lines = (line.partition("=") for line in output.read_text(encoding="utf-8").splitlines())
        known |= {f"steps.{step.get('id')}.outputs.{name}": value for name, _, value in lines}
    run.outputs = {name: _evaluated(output["value"], known) for name, output in action["outputs"].items()}
    return run


def _given(inputs: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    assert given.keys() <= inputs.keys(), "GitHub warns of an unknown input"
    for name, declared in inputs.items():
        assert name in given or not declared.get("required"), f"{name} is required"
    return {name: given.get(name, declared.get("default", "")) for name, declared in inputs.items()}


def _evaluated(text: str, known: Mapping[str, str]) -> str:
    """What is not there is empty, as for the runner."""
    return EXPRESSION.sub(lambda found: known.get(found[1], ""), text)


class RefusedInput(Exception):
    """GitLab makes no pipeline."""


def gitlab_jobs(template: Path, given: Mapping[str, str]) -> dict[str, Any]:
    """The jobs of a component that is included with these inputs."""
    header, content = template.read_text(encoding="utf-8").split("\n---\n", 1)
    declared: dict[str, Any] = yaml.safe_load(header)["spec"]["inputs"]
    if unknown := given.keys() - declared.keys():
        raise RefusedInput(f"unknown input arguments: {', '.join(sorted(unknown))}")
    values = {name: _value(name, rules or {}, given) for name, rules in declared.items()}
    jobs: dict[str, Any] = yaml.safe_load(INTERPOLATION.sub(lambda found: values[found[1]], content))
    return jobs


def _value(name: str, rules: Mapping[str, Any], given: Mapping[str, str]) -> str:
    if name not in given and "default" not in rules:
        raise RefusedInput(f"`{name}` input: required value has not been provided")
    value: str = given.get(name, rules.get("default", ""))
    if "options" in rules and value not in rules["options"]:
        raise RefusedInput(f"`{name}` input: `{value}` cannot be used because it is not in the list of allowed options")
    return value


def run_gitlab_job(
    job: Mapping[str, Any], workspace: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Runs the script as GitLab Runner's shell does: one shell for all lines, which ends at the first that fails."""
    script = workspace / ".job.sh"
    script.write_text("\n".join(["set -eo pipefail", *job["script"]]), encoding="utf-8")
    return subprocess.run(
        ["bash", str(script)],
        cwd=workspace,
        env={**environment, **job["variables"], "PATH": environment.get("PATH", os.defpath)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
