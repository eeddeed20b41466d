"""What a command line imports before it does anything: counted in modules, since a time depends on the machine."""

import subprocess
import sys
from pathlib import Path

import click
import pytest

from harness.cli import COMMANDS, harness
from harness.measuring import scenario_files
from harness.measuring.shipped import shipped, title_of
from harness.measuring.targets import TARGETS

HEAVY = frozenset(
    {
        "aiohttp",
        "asyncpg",
        "httpx",
        "hypothesis",
        "jinja2",
        "matplotlib",
        "pandas",
        "pgqueuer",
        "pyarrow",
        "scipy",
        "starlette",
        "uvicorn",
        "vl_convert",
    }
)

PROGRAM = """
import sys
from harness import cli
try:
    cli.main()
finally:
    print("IMPORTED", *sys.modules, file=sys.stderr)
"""


def imported(*arguments: str, directory: Path) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=directory,
        env={"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("IMPORTED "))
    return {name.partition(".")[0] for name in line.split()[1:]}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["list"]], ids=" ".join)
def test_what_needs_no_measurement_imports_nothing_that_measures(arguments: list[str], tmp_path: Path) -> None:
    assert imported(*arguments, directory=tmp_path) & HEAVY == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_draws_or_reckons_before_it_is_asked_to(name: str, tmp_path: Path) -> None:
    drawing = {"hypothesis", "matplotlib", "pandas", "pyarrow", "vl_convert"}
    assert imported(name, "--help", directory=tmp_path) & drawing == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_of_the_list_is_where_the_list_says(name: str) -> None:
    command = harness.get_command(click.Context(harness), name)
    assert command is not None
    assert command.name == name
    assert command.help


def test_no_line_of_the_list_of_commands_is_cut() -> None:
    lines = harness.get_help(click.Context(harness)).splitlines()
    assert all(place.short_help in " ".join(lines) for place in COMMANDS.values())
    assert not [line for line in lines if line.endswith("...") and not line.startswith("Usage:")]


@pytest.mark.parametrize("name", COMMANDS)
def test_no_line_of_a_group_s_list_is_cut(name: str) -> None:
    command = harness.get_command(click.Context(harness), name)
    assert command is not None
    lines = command.get_help(click.Context(command, info_name=name)).splitlines()
    assert not [line for line in lines if line.endswith("...") and not line.startswith("Usage:")]


def test_variants_have_one_name_with_and_without_their_target() -> None:
    smoke = scenario_files.load("smoke")
    by_themselves = {name: kind for name, kind in TARGETS.items() if kind.listed()}
    assert {name: dict(kind.listed()) for name, kind in by_themselves.items()} == {
        name: dict(kind.open(smoke).variants()) for name, kind in by_themselves.items()
    }


def test_a_scenario_has_one_title_in_a_list_and_as_a_whole() -> None:
    for path in shipped().values():
        assert title_of(path) == scenario_files.load(str(path)).title
