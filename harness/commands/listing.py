"""`harness list`: what there is to name on the command line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from harness import runs
from harness.errors import HarnessError
from harness.measuring.shipped import shipped, title_of
from harness.measuring.targets import TARGETS

UNREADABLE: Final = "cannot be read: `harness report {name}` says why"


def list_(output: Path) -> None:
    for heading, entries in inventory(output):
        click.echo(f"{heading}:")
        width = max((len(name) for name, _ in entries), default=0)
        for name, note in entries:
            click.echo(f"  {name:<{width}}  {note}".rstrip())


def inventory(output: Path) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Says what there is to name on the command line, and a line on each."""
    yield "Scenarios", [(name, title_of(path)) for name, path in shipped().items()]
    for target, kind in TARGETS.items():
        if listed := kind.listed():
            yield f"Strategies of {target}", list(listed.items())
    yield f"Runs in {output}", list(_states(output))


def _states(output: Path) -> Iterator[tuple[str, str]]:
    """Of each run under `output`. One that cannot be read hides no other."""
    for run in runs.all_runs(output):
        try:
            yield run.name, runs.state(run)
        except HarnessError:
            yield run.name, UNREADABLE.format(name=run.name)
