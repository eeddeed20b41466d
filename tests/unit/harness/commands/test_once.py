"""Each operation once: which requests that are."""

from harness.commands._shared.once import firsts
from harness.measuring import scenario_files


def test_an_operation_that_is_seldom_asked_is_tried_as_well_and_one_that_is_never_asked_is_not() -> None:
    scenario = scenario_files.parsed(
        {
            "name": "seldom",
            "target": "sql",
            "operations": {name: {"sql": "SELECT 1"} for name in ("never", "often", "seldom")},
            "phases": [{"requests": 5, "mix": {"often": 100_000, "seldom": 0.001, "never": 0}}],
        }
    )
    assert [request.operation for request in firsts(scenario)] == ["often", "seldom"]
