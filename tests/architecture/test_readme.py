"""What the README prints is printed, what it shows of a test runs, and its index names every command there is."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from anima.__main__ import anima
from harness.command_line import harness

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CUT = "…"


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.+?)```", README, re.DOTALL)
    assert isinstance(found, str)
    return found


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) < 120


def test_the_report_of_the_reference_run_is_printed_as_the_readme_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    shown = CliRunner().invoke(harness, ["report", "reports/reference"], env={"COLUMNS": None})
    printed = shown.stdout
    for part in block("text").split(f"{CUT}\n"):
        before, found, printed = printed.partition(part)
        assert found, f"{part!r} is not in {before!r}"


@pytest.mark.slow
def test_the_test_that_the_readme_shows_passes_in_a_project_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text(f"search = str.casefold\n\n\n{block('python')}", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_own.py", "--budget-report"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert re.findall(r"^  (\w+) +(.+?): ", done.stdout, re.MULTILINE) == [
        ("PASS", "p95 <= 150ms"),
        ("PASS", "errors <= 1%"),
    ]


def test_the_index_names_every_command_and_no_other() -> None:
    index = (ROOT / "docs/README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(harness|anima) ([\w-]+)[^`]*` \|", index, re.MULTILINE)
    assert sorted(listed) == sorted(
        [*(("harness", name) for name in harness.commands), *(("anima", name) for name in anima.commands)]
    )
