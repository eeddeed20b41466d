"""docs/how-to/cold.md: its scenario runs as it stands there, on fewer rows and requests, and its requests are cold."""

import json
import re
from pathlib import Path

import pytest

from tests.acceptance import warm

PAGE = Path(__file__).parents[2] / "docs/how-to/cold.md"


@pytest.mark.slow
def test_cold_requests_read_what_warm_ones_find_in_memory(environment: dict[str, str], tmp_path: Path) -> None:
    scenario, schema = re.findall(r"^```(?:toml|sql)\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    fewer = scenario.replace("requests = 20 }", "requests = 3 }").replace("by_customer{cache=cold}.p50 <= 200ms", "")
    (tmp_path / "orders.toml").write_text(fewer.replace(', ""', ""), encoding="utf-8")
    (tmp_path / "orders.sql").write_text(schema.replace("200000", "20000"), encoding="utf-8")
    done = warm.run(("run", "orders.toml", "--all"), tmp_path, environment)
    assert done.returncode in {0, 1, 3, 4}, done.stderr
    assert "Cold beside warm" in done.stdout
    (record,) = tmp_path.glob("reports/*/record.json")
    (current,) = json.loads(record.read_text("utf-8"))["variants"]
    kept, cold = current["phases"]
    assert [each["operation"] for each in current["samples"] if each["phase"] == cold["name"]] == [
        "by_customer{cache=cold}"
    ] * 3
    assert all(each.get("error") is None for each in current["samples"])
    assert cold["counters"]["restarts"] == cold["started"] == 3
    assert cold["counters"]["blocks_read"] / 3 > 20 > kept["counters"]["blocks_read"] / kept["started"]
