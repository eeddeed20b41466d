"""docs/how-to/recall.md: its scenario runs as it stands there, and tells what it says."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/how-to/recall.md"


@pytest.mark.slow
def test_its_scenario_tells_the_recall_of_each_setting_after_writes_and_a_vacuum(tmp_path: Path) -> None:
    scenario, schema = re.findall(r"^```(?:toml|sql)\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (tmp_path / "near.toml").write_text(scenario, encoding="utf-8")
    (tmp_path / "points.sql").write_text(schema, encoding="utf-8")
    asked = [sys.executable, "-m", "harness.cli", "run", "near.toml", "--report", "json=out.json"]
    done = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1, 3, 4}, done.stderr
    assert "Latency at its recall" in done.stdout
    at_recall, recall = json.loads((tmp_path / "out.json").read_text("utf-8"))["verdict"]["budgets"]
    assert (recall["variant"], recall["outcome"]) == ("ef_80", "PASS")
    assert at_recall["variant"] in {"ef_10", "ef_40", "ef_80"}
