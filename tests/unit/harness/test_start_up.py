"""What a command line imports before it does anything: counted in modules, since a time depends on the machine."""

import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

import click
import pytest

import anima.__main__
from harness import command_line
from harness.commands.history.commands import FORMS
from harness.commands.selftest import PARTS
from harness.measuring import scenario_files
from harness.measuring.revisions import INSTALLS
from harness.measuring.shipped import shipped, title_of
from harness.measuring.targets import TARGETS
from harness.showing.exports import EXPORTS
from harness.showing.renderers import RENDERERS

HEAVY = frozenset(
    {
        "aiohttp",
        "asyncio",
        "asyncpg",
        "httpx",
        "hypothesis",
        "jinja2",
        "matplotlib",
        "numpy",
        "pandas",
        "pgqueuer",
        "psutil",
        "pyarrow",
        "pydantic",
        "rich",
        "scipy",
        "starlette",
        "uvicorn",
        "vl_convert",
    }
)

PROGRAM = """
import sys
from importlib import import_module
main = import_module(sys.argv[1]).main
for line in sys.stdin.read().splitlines():
    sys.argv[1:] = line.split()
    try:
        main()
    except SystemExit as end:
        assert not end.code, line
print("IMPORTED", *sys.modules, file=sys.stderr)
"""

Words = tuple[str, ...]


def commands_of(group: click.Group, *path: str) -> Iterator[tuple[Words, click.Command]]:
    """Each with the words by which it is asked for; the groups come before their commands."""
    yield path, group
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands_of(command, *path, name)
        else:
            yield (*path, name), command


MODULES = {"harness": "harness.cli", "anima": "anima.__main__"}
DECLARED: dict[str, tuple[ModuleType, click.Group]] = {
    "harness": (command_line, command_line.harness),
    "anima": (anima.__main__, anima.__main__.anima),
}
COMMANDS = [(program, *each) for program, (_, group) in DECLARED.items() for each in commands_of(group)]
GROUPS = [each for each in COMMANDS if isinstance(each[2], click.Group)]
WORKS = [each for each in COMMANDS if each not in GROUPS]


def named(value: object) -> str | None:
    return "-".join(value) if isinstance(value, tuple) else value if isinstance(value, str) else ""


def imported(program: str, lines: Sequence[str], directory: Path) -> set[str]:
    """What one process has imported that was asked all of these."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, MODULES[program]],
        cwd=directory,
        env={"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": ""},
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("IMPORTED "))
    return {name.partition(".")[0] for name in line.split()[1:]}


@pytest.mark.parametrize("program", MODULES)
def test_no_help_imports_what_is_slow_to_import(program: str, tmp_path: Path) -> None:
    helps = [" ".join((*words, "--help")) for asked, words, _ in COMMANDS if asked == program]
    assert imported(program, ["--version", *helps], tmp_path) & HEAVY == set()


def test_a_list_imports_nothing_that_measures(tmp_path: Path) -> None:
    assert imported("harness", ["list"], tmp_path) & HEAVY <= {"asyncio", "psutil", "pydantic"}


@pytest.mark.parametrize(("program", "words", "command"), WORKS, ids=named)
def test_each_command_asks_for_what_its_work_takes(
    program: str, words: Words, command: click.Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared, _ = DECLARED[program]
    work: Callable[[str], Callable[..., object]] = declared.work
    found: list[Callable[..., object]] = []

    def noted(place: str) -> Callable[..., object]:
        found.append(work(place))
        return lambda: None

    monkeypatch.setattr(declared, "work", noted)
    assert command.callback is not None
    command.callback()
    inspect.signature(found[0]).bind(**{each.name: None for each in command.params if each.name})
    assert command.help, words


def test_options_choose_from_what_there_is() -> None:
    assert tuple(RENDERERS) == command_line.REPORTS
    assert tuple(EXPORTS) == command_line.EXPORTS
    assert tuple(INSTALLS) == command_line.ENVIRONMENTS
    assert command_line.SELFTESTS == PARTS
    assert command_line.PLOTS == FORMS


@pytest.mark.parametrize(("program", "words", "command"), GROUPS, ids=named)
def test_no_line_of_a_list_of_commands_is_cut(program: str, words: Words, command: click.Group) -> None:
    lines = command.get_help(click.Context(command, info_name=" ".join((program, *words)))).splitlines()
    assert all((each.short_help or "") in " ".join(lines) for each in command.commands.values())
    assert not [line for line in lines if line.endswith("...") and not line.startswith("Usage:")]


def test_variants_have_one_name_with_and_without_their_target() -> None:
    smoke = scenario_files.load_scenario("smoke")
    by_themselves = {name: kind for name, kind in TARGETS.items() if kind.listed()}
    assert {name: dict(kind.listed()) for name, kind in by_themselves.items()} == {
        name: dict(kind.open(smoke).variants()) for name, kind in by_themselves.items()
    }


def test_a_scenario_has_one_title_in_a_list_and_as_a_whole() -> None:
    for path in shipped().values():
        assert title_of(path) == scenario_files.load_scenario(str(path)).title
