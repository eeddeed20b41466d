"""What fills a database: which ways there are to say it, and what is told where one does not work."""

import sys
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.measuring import scenario_files
from harness.measuring.own_scenario import OwnScenario
from harness.measuring.seeds import SeedCommand, files_of, run_command


def seeded(directory: Path, seed: object) -> OwnScenario:
    document: dict[str, Any] = {
        "name": "seeded",
        "target": "sql",
        "database": {"seed": seed},
        "operations": {"one": {"sql": "SELECT 1"}},
        "phases": [{"requests": 1}],
    }
    scenario = scenario_files.parsed(document, directory)
    assert isinstance(scenario, OwnScenario)
    return scenario


@pytest.mark.parametrize(
    ("seed", "names"),
    [
        ("a.sql", ["a.sql"]),
        (["a.sql", "b.csv"], ["a.sql", "b.csv"]),
        ({"orders": "b.csv", "command": "a.sql"}, ["b.csv", "a.sql"]),
        ({"command": ["python", "seed.py"]}, []),
    ],
)
def test_a_seed_is_files_of_sql_a_command_or_files_by_table_and_a_worker_reads_it_alike(
    seed: object, names: list[str], tmp_path: Path
) -> None:
    for name in ("a.sql", "b.csv"):
        (tmp_path / name).touch()
    scenario = seeded(tmp_path, seed)
    assert [path.name for path in files_of(scenario.database.seed)] == names
    again = scenario_files.stored("run", scenario.for_worker, None)
    assert isinstance(again, OwnScenario)
    assert again.database.seed == scenario.database.seed
    assert again.contents() == scenario.contents()


def test_other_commands_make_other_contents(tmp_path: Path) -> None:
    assert seeded(tmp_path, {"command": ["a"]}).contents() != seeded(tmp_path, {"command": ["b"]}).contents()


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ((sys.executable, "-c", "raise SystemExit('no such table')"), "failed with exit code 1:\n    no such table"),
        (("no-such-program",), "`no-such-program` cannot be started: No such file or directory"),
    ],
)
async def test_a_command_that_fails_is_told_with_what_it_wrote(
    command: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as error:
        await run_command(SeedCommand(command=command, directory=tmp_path), "postgresql://me@127.0.0.1:1/none")
    assert told in str(error.value)
