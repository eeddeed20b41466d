"""The scenario that `harness init http` writes out of a service's own OpenAPI document, asked of that service."""

from pathlib import Path

from click.testing import CliRunner

from harness.command_line import init
from harness.measuring import scenario_files
from harness.measuring.targets.http.scenario import HttpScenario
from harness.measuring.targets.http.target import HttpTarget
from harness.measuring.targets.protocol import TargetContext
from tests.service import options_for, served


async def test_what_is_written_is_answered_right(database_url: str, tmp_path: Path) -> None:
    with served(options_for(database_url)) as port:
        file = tmp_path / "anima.toml"
        asked = ["http", "--openapi", f"http://127.0.0.1:{port}/openapi.json", "--to", str(file)]
        done = CliRunner().invoke(init, asked, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        scenario = scenario_files.load_scenario(str(file))
        assert isinstance(scenario, HttpScenario)
        async with HttpTarget(scenario).open(TargetContext("current", database_url)) as target:
            await target.prime([])
            for name, operation in scenario.operations.items():
                await target.perform(next(operation.requests(name, scenario.seed)))
    assert {"post_api_v1_memories_add", "post_api_v1_memories_query"} <= set(scenario.operations)
