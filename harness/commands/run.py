"""`harness run`: scenario → run → record → verdict → report → exit code."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click

from harness import journal, runs
from harness.commands._shared import report_files, waiver_files
from harness.commands._shared.github_actions import announce
from harness.errors import ExitCode
from harness.failures import failures_of, raise_first
from harness.journal import Resumable
from harness.judging import comparison, verdict
from harness.judging.aborting import AbortWatch
from harness.judging.budgets import parse
from harness.judging.declaration import declare
from harness.judging.feasibility import check
from harness.judging.waivers import Waiver, of_budgets, refuse_unknown_budgets
from harness.measuring import scenario_files
from harness.measuring.execution import execute
from harness.measuring.recording import RunWork, record_run
from harness.measuring.resumption import continued
from harness.measuring.scenario import Scenario
from harness.showing.report import report_of
from harness.signals import ignored


def run(
    *,
    name: str | None,
    strategies: str | None,
    settings: tuple[str, ...],
    reports: tuple[str, ...],
    sample_for: float | None,
    workers: str | None,
    resume: str | None,
    database: str | None,
    output: Path,
    waivers_file: Path | None,
    everything: bool,
) -> ExitCode:
    asked = [report_files.asked_report(each) for each in reports]
    further = () if sample_for is None else (f"sampling.time_s_max={sample_for}",)
    hosts = () if workers is None else (f"workers={workers}",)
    waivers = waiver_files.load_waivers(waivers_file)
    wanted = Wanted(name, (*settings, *further, *hosts), strategies, database, waivers)
    planned = plan(wanted, output) if resume is None else plan_rest(wanted, runs.find(resume, output))
    recorded = record_run(planned.scenario, planned.directory, planned.work, resume=planned.resumed is not None)
    report = report_of(recorded.record, waivers)
    with ignored():
        unwritten = report_files.write(planned.directory, report, asked)
    # The terminal ends with the verdict, which annotations would hide.
    shown = (
        partial(announce, report),
        partial(report_files.show_report, report, planned.directory, everything=everything),
    )
    raise_first([recorded.failure, *unwritten, *failures_of(shown, planned.directory / journal.LOG_FILE)])
    return report.exit_code


@dataclass(frozen=True, slots=True)
class Wanted:
    """Tells what the command line says of the scenario; None where it says nothing."""

    name: str | None
    settings: tuple[str, ...]
    strategies: str | None
    database: str | None
    waivers: tuple[Waiver, ...] = ()

    @property
    def says_something(self) -> bool:
        return bool(self.name or self.settings or self.strategies)

    def choose(self) -> Scenario:
        chosen = choose(self.name or "guide", self.settings, self.strategies, self.database)
        refuse_unknown_budgets(self.waivers, chosen.name, chosen.budgets, chosen.variant_names)
        return chosen


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A scenario and where its run is kept, with what is there of it already."""

    scenario: Scenario
    directory: Path
    resumed: Resumable | None = None
    waivers: tuple[Waiver, ...] = ()

    @property
    def work(self) -> RunWork:
        """Samples on for the verdict that the run was made for, and stops at a budget that may end it."""
        asked = self.resumed.record.comparison if self.resumed else None
        waived = of_budgets(self.waivers, self.scenario.name)
        wanting = (
            partial(comparison.wanting, margin=asked.margin) if asked else partial(verdict.wanting, waivers=waived)
        )
        watch = AbortWatch.of(declare(self.scenario.model_dump(mode="json")), waived)
        return partial(execute, wanting=wanting, resumed=self.resumed, watch=watch)


def plan(wanted: Wanted, output: Path) -> PlannedRun:
    chosen = wanted.choose()
    return PlannedRun(chosen, output / runs.new_id(chosen.name, datetime.now(UTC)), waivers=wanted.waivers)


def plan_rest(wanted: Wanted, directory: Path) -> PlannedRun:
    """Says what was cut off of a run. Raises `UsageError` where something else is wanted of it."""
    resumed = journal.resumable(directory / journal.FILE_NAME)
    named = wanted.choose() if wanted.says_something else None
    return PlannedRun(continued(resumed.record, named, wanted.database), directory, resumed, wanted.waivers)


def choose(name: str, settings: tuple[str, ...], strategies: str | None, database: str | None) -> Scenario:
    """A scenario as the command line wants it, with budgets that a run of it can answer."""
    chosen = scenario_files.load_scenario(name, settings=settings, strategies=strategies, database=database)
    if strategies is not None:
        chosen = without_others_budgets(chosen)
    for doubt in check(chosen.model_dump(mode="json")):
        click.echo(f"warning: {doubt}", err=True)
    return chosen


def without_others_budgets(chosen: Scenario) -> Scenario:
    """Leaves out the budgets on strategies that are not run."""
    held = (None, *chosen.variant_names)
    budgets = tuple(text for text in chosen.budgets if parse(text).variant in held)
    return chosen.model_copy(update={"budgets": budgets})
