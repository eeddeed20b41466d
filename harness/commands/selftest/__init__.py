"""`harness selftest`: whether the judge is right as often as it promises, where the truth is known."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, Literal, get_args

import click
from rich.console import Console

from harness.commands.selftest import profiled, served, simulated
from harness.commands.selftest.findings import Finding, as_json, table
from harness.errors import ExitCode
from harness.measuring.environment import host
from harness.measuring.waiting import Waiting
from harness.runs import replace_file

WIDTH: Final = 110
SelfTestPart = Literal["simulated", "served", "profiled"]
PARTS: Final[tuple[SelfTestPart, ...]] = get_args(SelfTestPart)


@dataclass(frozen=True, slots=True)
class SelfTestSize:
    """Says how many simulated runs and comparisons, and how much on the server, timed and profiled."""

    budget_trials: int
    comparison_trials: int
    served: served.ServedSize
    profiled: profiled.ProfiledSize


SHORT: Final = SelfTestSize(
    300,
    200,
    served.ServedSize(comparisons=2, rounds_per_comparison=5, requests=100),
    profiled.ProfiledSize(runs=2, rounds=6, requests=10),
)
LONG: Final = SelfTestSize(
    5_000,
    5_000,
    served.ServedSize(comparisons=10, rounds_per_comparison=10, requests=1_000),
    profiled.ProfiledSize(runs=10, rounds=6, requests=10),
)


def selftest(
    *, is_long: bool, only: SelfTestPart | None, comparisons: int | None, seed: int, output: Path | None
) -> ExitCode:
    effort = LONG if is_long else SHORT
    if comparisons:
        effort = replace(effort, served=replace(effort.served, comparisons=comparisons))
    findings = list(_findings(effort, only, seed))
    document = {
        "seed": seed,
        "long": is_long,
        "host": host(),
        "load_average": load_average(),
        "findings": as_json(findings),
    }
    Console(width=WIDTH).print(table(findings))
    if output:
        replace_file(output, json.dumps(document, indent=1))
    broken = [each for each in findings if not each.is_kept]
    for each in broken:
        click.echo(
            f"Broken: {each.subject}: {each.event} {each.occurred} times in {each.trials:,}, not {each.promise}."
        )
    return ExitCode.FAIL if broken else ExitCode.PASS


def _findings(effort: SelfTestSize, only: SelfTestPart | None, seed: int) -> Iterator[Finding]:
    if only in (None, "simulated"):
        done = simulated.Done()
        with Waiting(partial(click.echo, err=True), lambda: str(done), lambda: done.share).over():
            yield from simulated.budgets(effort.budget_trials, seed, done)
            yield from simulated.comparisons(effort.comparison_trials, seed, done)
    if only in (None, "served"):
        yield from served.comparisons(effort.served, seed)
    if only in (None, "profiled"):
        yield from profiled.differences(effort.profiled, seed)


def load_average() -> float | None:
    """The average of the last minute, where the system tells it."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
