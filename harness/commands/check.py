"""`harness check`: whether scenario files are right, without measuring: for a hook before each commit."""

from pathlib import Path

import click

from harness.errors import ExitCode, UsageError
from harness.judging import feasibility
from harness.measuring import scenario_files


def check(names: tuple[str, ...]) -> ExitCode:
    """Says of each file what is wrong with it, and goes on to the next."""
    wrong = [name for name in names if not _is_right(name)]
    return ExitCode.USAGE if wrong else ExitCode.PASS


def _is_right(name: str) -> bool:
    if not Path(name).is_file():
        click.echo(f"{name}: there is no such file.", err=True)
        return False
    try:
        chosen = scenario_files.load_scenario(name)
        doubts = feasibility.check(chosen.model_dump(mode="json"))
    except UsageError as error:
        click.echo(str(error), err=True)
        return False
    for doubt in doubts:
        click.echo(f"{name}: warning: {doubt}", err=True)
    click.echo(f"{name}: {len(chosen.operation_names)} operations, {len(chosen.budgets)} budgets.")
    return True
