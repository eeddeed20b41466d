"""The workflow of this repository and those that the documents offer: they parse, and what they call exists."""

import os
import re
import shlex
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from harness.command_line import harness

ROOT = Path(__file__).parents[2]
WORKFLOW: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/performance.yml").read_text(encoding="utf-8"))
OFFERED: dict[str, list[Any]] = {
    document: [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.+?)```", text, re.DOTALL)]
    for document in ("README.md", "docs/how-to/ci.md", "docs/how-to/gate.md")
    for text in [(ROOT / document).read_text(encoding="utf-8")]
}
JOBS = {"comment": WORKFLOW["jobs"]["comment"], "measure": WORKFLOW["jobs"]["measure"]}


def commands(document: Any) -> Iterator[str]:
    """Every command line of a workflow, of GitHub's kind or of GitLab's."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key == "run":
                yield value
            elif key == "script":
                yield from value
            else:
                yield from commands(value)
    elif isinstance(document, list):
        for value in document:
            yield from commands(value)


def assert_known(line: str) -> None:
    """Has click read the command line, without running it."""
    name, *arguments = shlex.split(line)
    assert name == "harness"
    command = harness.get_command(click.Context(harness), arguments[0])
    assert command is not None
    command.make_context(arguments[0], arguments[1:])


def test_the_workflow_measures_by_the_readme_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (measure,) = commands(JOBS["measure"])
    command, _, options = measure.partition(" -- ")
    assert f"\n{command}\n" in readme
    assert_known(f"harness run {options}")


def test_the_workflow_publishes_what_the_run_writes() -> None:
    (measure,) = commands(JOBS["measure"])
    (upload,) = [step["with"] for step in JOBS["measure"]["steps"] if "upload-artifact" in step.get("uses", "")]
    (download,) = [step["with"] for step in JOBS["comment"]["steps"] if "download-artifact" in step.get("uses", "")]
    assert f"--report comment={upload['path']}comment.md" in measure
    assert upload["name"] == download["name"]


def test_only_the_job_that_runs_no_code_of_the_change_may_write() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert "permissions" not in JOBS["measure"]
    assert JOBS["comment"]["permissions"] == {"pull-requests": "write"}
    assert not [step for step in JOBS["comment"]["steps"] if "checkout" in step.get("uses", "")]


@pytest.mark.parametrize("document", OFFERED)
def test_the_commands_that_a_document_offers_are_known(document: str) -> None:
    own = [line for line in commands(OFFERED[document]) if line.startswith("harness ")]
    assert own
    for line in own:
        assert_known(line)


@pytest.mark.parametrize(("existing", "call"), [("7\n9\n", "PATCH comments/7"), ("", "POST issues/1/comments")])
def test_a_comment_is_written_once_and_then_replaced(tmp_path: Path, existing: str, call: str) -> None:
    """The job's own script, with a `gh` that finds these comments and notes what it is asked to write."""
    gh = tmp_path / "gh"
    gh.write_text(
        '#!/bin/sh\ncase "$*" in *--paginate*) printf "%s" "$EXISTING";; *) echo "$4 $5 $7" >calls;; esac\n',
        encoding="utf-8",
    )
    gh.chmod(gh.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "comment.md").write_text("<!-- anima-harness: guide -->\n\n**PASS**\n", encoding="utf-8")
    (script,) = commands(JOBS["comment"])
    names = {"COMMENTS": "issues/1/comments", "COMMENT": "comments", "EXISTING": existing}
    environment = os.environ | names | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "calls").read_text(encoding="utf-8") == f"{call} body=@comment.md\n"
