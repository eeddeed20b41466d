"""The README's two commands are the ones that CI proves."""

import re
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


def test_ci_runs_the_test_command_as_the_readme_prints_it() -> None:
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    _, test_command = readme_commands()
    assert [line.strip() for line in lines].count(test_command) == 1
