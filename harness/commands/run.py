"""`harness run`: scenario → run → record → verdict → report → exit code."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click

from harness import journal, runs
from harness.commands._shared import report_files
from harness.commands._shared.github_actions import announce
from harness.commands._shared.options import ALL_TABLES, DATABASE, OUTPUT, SAMPLE_FOR, SETTINGS
from harness.commands._shared.report_files import show
from harness.errors import ExitCode
from harness.failures import failures_of, raise_first
from harness.judging import comparison, verdict
from harness.judging.aborting import AbortWatch
from harness.judging.budgets import parse
from harness.judging.comparison import judged
from harness.judging.declaration import declare
from harness.judging.feasibility import check
from harness.measuring import scenario
from harness.measuring.execution import execute
from harness.measuring.recording import measure
from harness.measuring.resumption import continued
from harness.signals import ignored


@click.command()
@click.argument("name", metavar="[SCENARIO]", required=False)
@click.option("--strategies", metavar="A,B,…", help="Run only these, without the budgets of others.")
@SETTINGS
@click.option(
    "--report", "reports", metavar="FORMAT=PATH", multiple=True, help="Write a report, such as junit=out.xml."
)
@SAMPLE_FOR
@click.option(
    "--resume", metavar="[RUN]", is_flag=False, flag_value="latest", help="Go on with a run that was cut off."
)
@DATABASE
@OUTPUT
@ALL_TABLES
def run(
    *,
    name: str | None,
    strategies: str | None,
    settings: tuple[str, ...],
    reports: tuple[str, ...],
    sample_for: float | None,
    resume: str | None,
    database: str | None,
    output: Path,
    everything: bool,
) -> ExitCode:
    """Runs a scenario, by name or path (guide), and judges it; under GitHub Actions it annotates and fills the summary.

    A run that goes on keeps its scenario: name none, or the same.
    """
    wishes = [report_files.report_wish(wish) for wish in reports]
    if sample_for is not None:
        settings = (*settings, f"sampling.time_s_max={sample_for}")
    if resume is None:
        chosen, resumed = choose(name or "guide", settings, strategies, database), None
        directory = output / runs.new_id(chosen.name, datetime.now(UTC))
    else:
        directory = runs.find(resume, output)
        resumed = journal.resumable(directory / journal.FILE_NAME)
        named = choose(name or "guide", settings, strategies, database) if name or settings or strategies else None
        chosen = continued(resumed.record, named, database)
    watch = AbortWatch.of(declare(chosen.model_dump(mode="json")))
    asked = resumed.record.comparison if resumed else None
    further = partial(comparison.wanting, margin=asked.margin) if asked else verdict.wanting
    work = partial(execute, wanting=further, resumed=resumed, watch=watch)
    measured = measure(chosen, directory, work, resume=resumed is not None)
    record = measured.record
    with ignored():
        unwritten = report_files.write(directory, record, wishes)
    shown = partial(show, record, directory, everything=everything), partial(announce, record)
    unshown = failures_of(shown, directory / journal.LOG_FILE)
    raise_first([measured.failure, *unwritten, *unshown])
    return judged(record).exit_code


def choose(name: str, settings: tuple[str, ...], strategies: str | None, database: str | None) -> scenario.Scenario:
    """A scenario as the command line wants it, with budgets that a run of it can answer."""
    chosen = scenario.load(name, settings=settings, strategies=strategies, database=database)
    if strategies is not None:
        chosen = without_others_budgets(chosen)
    for doubt in check(chosen.model_dump(mode="json")):
        click.echo(f"warning: {doubt}", err=True)
    return chosen


def without_others_budgets(chosen: scenario.Scenario) -> scenario.Scenario:
    """Leaves out the budgets on strategies that are not run."""
    held = (None, *chosen.strategies)
    budgets = tuple(text for text in chosen.budgets if parse(text).variant in held)
    return chosen.model_copy(update={"budgets": budgets})
