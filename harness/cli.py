"""The command line: argv → scenario → run → record → verdict → report → exit code."""

import asyncio
import json
import sys
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import click

from harness import journal, runs
from harness.commands._shared import generator, report_files
from harness.commands._shared.github_actions import announce
from harness.commands._shared.options import ALL_TABLES, DATABASE, OUTPUT, SAMPLE_FOR, SETTINGS
from harness.commands._shared.outputs import echo_file, withstand
from harness.commands.compare import compare_command
from harness.commands.doctor import examine
from harness.commands.history.commands import history
from harness.commands.profile import diff, profile
from harness.commands.selftest import selftest
from harness.commands.verify import verify
from harness.errors import HarnessError, ProvisioningError, UsageError
from harness.failures import failures_of, foreseen, raise_first
from harness.judging import comparison, verdict
from harness.judging.aborting import AbortWatch
from harness.judging.budgets import parse
from harness.judging.comparison import judged
from harness.judging.declaration import declare
from harness.judging.feasibility import check
from harness.judging.verdict import ExitCode
from harness.measuring import scenario
from harness.measuring.execution import execute
from harness.measuring.recording import measure
from harness.measuring.resumption import continued
from harness.measuring.servers.addresses import is_url
from harness.measuring.servers.provisioners import clean_up
from harness.measuring.servers.provisioners.protocol import DatabaseSettings
from harness.measuring.targets import TARGETS
from harness.record import RunRecord
from harness.redaction import without_secrets
from harness.showing.exports import EXPORTS
from harness.showing.renderers import RENDERERS, rendered
from harness.showing.renderers.terminal import TerminalRenderer
from harness.signals import ignored


class Commands(click.Group):
    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 -- as click has it
        """Else click takes any broken pipe, such as a worker's, for that of the output, and exits with 1."""
        try:
            return super().invoke(ctx)
        except OSError as error:
            if error.filename is None:
                raise foreseen(error) from error
            raise UsageError(f"{error.filename} cannot be used: {error.strerror}.") from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of a failure.")
@click.version_option(package_name="anima-harness", prog_name="harness")
@click.pass_context
def harness(context: click.Context, *, debug: bool) -> None:
    """Measures a memory system on a real PostgreSQL, and judges the measurement.

    Exit codes: 0 pass, 1 a budget failed, 2 usage or configuration, 3 undecided, 4 invalid run or one that broke, 130
    interrupted.
    """
    context.obj = debug


@harness.command()
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


@harness.command()
@click.argument("name", metavar="[RUN]", default="latest")
@click.option("--format", "form", type=click.Choice([*RENDERERS, *EXPORTS]), default="terminal", show_default=True)
@OUTPUT
@ALL_TABLES
def report(name: str, form: str, output: Path, *, everything: bool) -> ExitCode:
    """Renders a stored run or comparison again, and judges it: by path, by name, or `latest`.

    csv, parquet, png and svg are written into the run's directory; the other formats are printed.
    """
    directory = runs.find(name, output)
    record = runs.load(directory)
    if form == "terminal":
        show(record, directory, everything=everything)
    elif form in EXPORTS:
        for path in report_files.export(directory, record, form):
            click.echo(path)
    else:
        echo_file(rendered(record, RENDERERS[form]), nl=False)
    return judged(record).exit_code


@harness.command("list")
@OUTPUT
def list_(output: Path) -> None:
    """Lists scenarios, strategies and stored runs."""
    for heading, entries in inventory(output):
        click.echo(f"{heading}:")
        width = max((len(name) for name, _ in entries), default=0)
        for name, note in entries:
            click.echo(f"  {name:<{width}}  {note}".rstrip())


@harness.command()
@click.option("--generator", "measures_generator", is_flag=True, help="Measure the load generator instead: some 5 s.")
@OUTPUT
def doctor(output: Path, *, measures_generator: bool) -> ExitCode:
    """Says what this machine has, what a run would use, and how to get what is missing."""
    if measures_generator:
        return show_generator()
    findings = examine(output)
    for finding in findings:
        click.echo(f"{'ok     ' if finding.present else 'missing'}  {finding.what}")
        if finding.advice:
            click.echo(f"         {finding.advice}")
    return ExitCode.PASS if all(finding.present for finding in findings if finding.required) else ExitCode.USAGE


def show_generator() -> ExitCode:
    """INVALID is what runs on such a machine would be."""
    good = True
    for finding in generator.examine():
        click.echo(f"{'ok     ' if finding.good else 'not ok '}  {finding.what}")
        if not finding.good:
            click.echo(f"         {finding.advice}")
        good &= finding.good
    return ExitCode.PASS if good else ExitCode.INVALID


@harness.command()
@DATABASE
def clean(database: str | None) -> None:
    """Removes what runs have left that are no more, as after a power cut; what a run still uses stays."""
    settings = DatabaseSettings(url=database if database and is_url(database) else None)
    for removed in asyncio.run(clean_up(settings)):
        click.echo(f"Removed {removed}.")


@harness.command()
def schema() -> None:
    """Prints the JSON schema of a scenario file, for editors."""
    click.echo(json.dumps(scenario.json_schema(), indent=2))


for command in (verify, selftest, compare_command, history, profile, diff):
    harness.add_command(command)


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


def show(record: RunRecord, directory: Path, *, everything: bool) -> None:
    """The verdict and the tables, and where the rest lies."""
    click.echo(rendered(record, TerminalRenderer(everything=everything)), nl=False)
    if not everything:
        click.echo(f"All tables: harness report {directory} --all")
    click.echo(f"Report: {directory / report_files.PAGE}")


def inventory(output: Path) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """What there is to name on the command line, and a line on each."""
    yield "Scenarios", [(name, scenario.load(str(path)).title) for name, path in scenario.shipped().items()]
    for target, factory in TARGETS.items():
        yield f"Strategies of {target}", list(factory().variants().items())
    yield f"Runs in {output}", [(run.name, runs.load(run).state) for run in runs.all_runs(output)]


def main() -> NoReturn:
    """Exits with the code of the command; a failure is a sentence, and a traceback only with --debug."""
    withstand()
    try:
        code = harness(standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        code = ExitCode.INTERRUPTED
    except click.ClickException as error:
        error.show()
        code = ExitCode.USAGE
    except Exception as error:  # noqa: BLE001 -- Python's own exit code for it would say that a budget failed
        code = tell(foreseen(error))
    sys.exit(code)


def tell(failure: HarnessError) -> ExitCode:
    """A sentence, and the exit code that goes with it."""
    if "--debug" in sys.argv:
        click.echo(without_secrets("".join(traceback.format_exception(failure))), err=True)
    click.echo(f"harness: {without_secrets(str(failure))}", err=True)
    return ExitCode.USAGE if isinstance(failure, (UsageError, ProvisioningError)) else ExitCode.INVALID


if __name__ == "__main__":
    main()
