"""The examples of docs/how-to/arrivals.md are phases that can be followed, of every kind there is."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from anima.http.trace_log import TraceLog, TraceLogSettings
from anima.model import BootstrapRequest, Query
from harness.measuring import scenario_files
from harness.measuring.arrivals import ARRIVALS
from harness.measuring.arrivals.trace import read
from harness.measuring.targets.anima.scenario import MemoryPhase, MemoryScenario

GUIDE = (Path(__file__).parents[5] / "docs/how-to/arrivals.md").read_text(encoding="utf-8")
EXAMPLES: list[dict[str, Any]] = [
    phase for block in re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL) for phase in tomllib.loads(block)["phases"]
]
(TRACE,) = re.findall(r"```json\n(.*?)```", GUIDE, re.DOTALL)


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[MemoryPhase]:
    monkeypatch.chdir(tmp_path)
    Path("monday.jsonl").write_text(TRACE, encoding="utf-8")
    return [MemoryPhase.model_validate(example) for example in EXAMPLES]


def test_every_kind_has_an_example(examples: list[MemoryPhase]) -> None:
    assert {phase.arrival.kind for phase in examples} == set(ARRIVALS)


def test_each_example_can_be_drawn_and_opened(examples: list[MemoryPhase]) -> None:
    dumped = scenario_files.load_scenario("smoke").model_dump(round_trip=True)
    for phase in examples:
        chosen = MemoryScenario.model_validate(
            dumped | {"phases": (phase,), "corpus": {"kind": "generated", "size": 20}}
        )
        drawn = next(chosen.workloads()).by_phase[phase.name]
        assert len(drawn) == phase.total(chosen.seed)


def test_the_rate_of_the_stages_starts_as_many_as_is_said(examples: list[MemoryPhase]) -> None:
    (stages,) = [phase for phase in examples if phase.arrival.kind == "stages" and phase.requests is None]
    assert stages.open(seed=1).starts == 67.5 + 300 + 7.5


def test_what_the_service_logs_can_be_replayed(tmp_path: Path) -> None:
    settings = TraceLogSettings(tmp_path / "log.jsonl", with_contents=True)
    settings.create()
    log = TraceLog(settings)
    log("query", Query(query="where?", limit=5))
    log("bootstrap", BootstrapRequest(conversation_id="monday"))
    log.close()
    assert [(line.operation, line.arguments) for line in read(settings.path)] == [
        ("query", {"query": "where?", "limit": 5}),
        ("bootstrap", {"conversation_id": "monday"}),
    ]
