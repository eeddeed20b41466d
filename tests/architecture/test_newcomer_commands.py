"""The README's two commands are the ones that CI proves."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
SET_UP = "python3 -m venv .venv && .venv/bin/pip install --quiet --requirement requirements/tox.lock && "


def readme_commands() -> list[str]:
    """The commands of the section that promises them, one per code block."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.partition("\n## Two commands\n")[2].partition("\n## ")[0]
    return re.findall(r"```bash\n(.+)\n```", section)


def test_the_readme_has_one_line_to_measure_and_one_to_test() -> None:
    assert readme_commands() == [f"{SET_UP}.venv/bin/tox run -e bench", f"{SET_UP}.venv/bin/tox run -e test"]


def test_ci_runs_the_test_command_as_the_readme_prints_it_first_of_all_as_on_a_bare_machine() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    _, test_command = readme_commands()
    assert f"\nnewcomer='{test_command}'\n" in script
    steps = re.findall(r"^ *step (.+)$", script, re.MULTILINE)
    assert steps[0] == 'bare "$bare" "$newcomer"'


def test_a_bare_machine_has_python_and_git_and_none_of_what_tests_may_need() -> None:
    asked = "command -v python3 && command -v git && ! command -v docker redis-server chromium pgbouncer psql uv && env"
    done = subprocess.run([ROOT / ".ci/bare", asked], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names = {line.partition("=")[0] for line in done.stdout.splitlines() if "=" in line}
    assert {"PATH", "HOME", "DOCKER_HOST"} <= names
    assert not {name for name in names if name.startswith(("ANIMA_", "HARNESS_", "PG", "PYTEST"))}
