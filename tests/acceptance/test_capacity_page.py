"""docs/how-to/capacity.md, followed: its class and its scenario, whose capacity is 100 requests a second."""

import json
import re
from pathlib import Path

import pytest

from harness.errors import ExitCode
from harness.measuring import scenario_files
from tests.acceptance.conftest import Program

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "capacity.md").read_text(encoding="utf-8")
FILES = re.findall(r"```(?:python|toml)\n# ([\w.]+).*?\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    for name, text in FILES:
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_the_page_has_a_class_and_a_scenario_of_it(written: Path) -> None:
    assert [name for name, _ in FILES] == ["slots.py", "slots.toml"]
    scenario = scenario_files.load_scenario(str(written / "slots.toml"))
    assert scenario.operation_names == ("ask",)
    assert len(PAGE.splitlines()) <= 70, "a screen"


@pytest.mark.slow
def test_the_search_of_the_page_finds_it(written: Path, harness: Program) -> None:
    done = harness("capacity", "slots.toml", "--seconds", "0.5", "--within", "20", "--report", "json=found.json")
    found = json.loads((written / "found.json").read_text(encoding="utf-8"))["capacity"]
    if done.returncode in (ExitCode.UNDECIDED, ExitCode.INVALID):
        pytest.skip(found["sentence"])
    assert done.returncode == ExitCode.PASS, done.stdout + done.stderr
    assert [each["outcome"] for each in found["budgets"]] == ["PASS"]
    assert 60 <= found["capacities"][0]["lower_per_s"] < 125
    assert "Latency over rate" in done.stdout
    assert (written / "found.json").exists()
    again = harness("report", "latest")
    assert again.stdout == done.stdout
