"""docs/how-to/recall.md: its scenario runs as it stands there, and tells what it says."""

import json
import re
from pathlib import Path

import pytest

from tests.acceptance import warm

PAGE = Path(__file__).parents[2] / "docs/how-to/recall.md"


@pytest.mark.slow
def test_its_scenario_tells_the_recall_of_each_setting_after_writes_and_a_vacuum(
    environment: dict[str, str], tmp_path: Path
) -> None:
    scenario, schema = re.findall(r"^```(?:toml|sql)\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (tmp_path / "near.toml").write_text(scenario, encoding="utf-8")
    (tmp_path / "points.sql").write_text(schema, encoding="utf-8")
    done = warm.run(("run", "near.toml", "--report", "json=out.json"), tmp_path, environment)
    assert done.returncode in {0, 1, 3, 4}, done.stderr
    assert "Latency at its recall" in done.stdout
    at_recall, recall = json.loads((tmp_path / "out.json").read_text("utf-8"))["verdict"]["budgets"]
    assert (recall["variant"], recall["outcome"]) == ("ef_80", "PASS")
    assert at_recall["variant"] in {"ef_10", "ef_40", "ef_80"}
