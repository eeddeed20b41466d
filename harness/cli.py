"""The command line: argv → scenario → run → record → verdict → report → exit code."""

import asyncio
import contextlib
import json
import logging
import signal
import sys
from collections.abc import Coroutine, Generator, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any, Final, NoReturn

import click
from rich.console import Console

from harness import journal, runs, scenario
from harness.budgets import parse
from harness.doctor import examine
from harness.errors import HarnessError, ProvisioningError, UsageError
from harness.execution import execute
from harness.github_actions import announce
from harness.progress import TerminalProgress
from harness.provisioners import clean_up
from harness.provisioners.addresses import is_url, redacted
from harness.provisioners.protocol import DatabaseSettings
from harness.record import INTERRUPTED, RunRecord
from harness.renderers import RENDERERS
from harness.summary import summarise
from harness.targets import TARGETS
from harness.verdict import ExitCode, check, judge
from harness.verification import verify

LOG_FILE: Final = "log.txt"
OUTPUT: Final = click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("reports"),
    show_default=True,
    help="Where runs are kept.",
)

DATABASE: Final = click.option(
    "--database",
    metavar="PROVISIONER|URL",
    help="Where PostgreSQL comes from: embedded, testcontainers, a server's URL, or auto for the scenario's choice.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of a failure.")
@click.version_option(package_name="anima-harness", prog_name="harness")
@click.pass_context
def harness(context: click.Context, *, debug: bool) -> None:
    """Measures a memory system on a real PostgreSQL, and judges the measurement.

    Exit codes: 0 pass, 1 a budget failed, 2 usage or configuration, 3 undecided, 4 invalid run, 130 interrupted.
    """
    context.obj = debug


@harness.command()
@click.argument("name", metavar="[SCENARIO]", default="guide")
@click.option("--strategies", metavar="A,B,…", help="Run only these, without the budgets of others.")
@click.option("--set", "settings", metavar="KEY=VALUE", multiple=True, help="Change a key, such as corpus.size=500.")
@click.option(
    "--report", "reports", metavar="FORMAT=PATH", multiple=True, help="Write a report, such as junit=out.xml."
)
@DATABASE
@OUTPUT
def run(
    *,
    name: str,
    strategies: str | None,
    settings: tuple[str, ...],
    reports: tuple[str, ...],
    database: str | None,
    output: Path,
) -> ExitCode:
    """Runs a scenario, by name or path, and judges it. Under GitHub Actions it also annotates and fills the summary."""
    wanted = [runs.report_wish(wish) for wish in reports]
    chosen = scenario.load(name, settings=settings, strategies=strategies, database=database)
    if strategies is not None:
        chosen = without_others_budgets(chosen)
    check(chosen.model_dump(mode="json"))
    directory = output / runs.new_id(chosen.name, datetime.now(UTC))
    failure = measure(chosen, directory)
    record = journal.read(directory / journal.FILE_NAME)
    runs.write(directory, record)
    runs.write_reports(record, wanted)
    show(record, directory)
    announce(record)
    if failure is not None:
        raise failure
    return judge(record).exit_code


@harness.command()
@click.argument("name", metavar="[RUN]", default="latest")
@click.option("--format", "form", type=click.Choice(list(RENDERERS)), default="terminal", show_default=True)
@OUTPUT
def report(name: str, form: str, output: Path) -> ExitCode:
    """Renders a stored run again, and judges it: by path, by name, or `latest`."""
    directory = runs.find(name, output)
    record = runs.load(directory)
    if form == "terminal":
        show(record, directory)
    else:
        click.echo(RENDERERS[form].render(record, summarise(record), judge(record)))
    return judge(record).exit_code


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
@OUTPUT
def doctor(output: Path) -> ExitCode:
    """Says what this machine has, what a run would use, and how to get what is missing."""
    findings = examine(output)
    for finding in findings:
        click.echo(f"{'ok     ' if finding.present else 'missing'}  {finding.what}")
        if finding.advice:
            click.echo(f"         {finding.advice}")
    return ExitCode.PASS if all(finding.present for finding in findings if finding.required) else ExitCode.USAGE


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


harness.add_command(verify)


def without_others_budgets(chosen: scenario.Scenario) -> scenario.Scenario:
    """Leaves out the budgets on strategies that are not run."""
    held = (None, *chosen.strategies)
    budgets = tuple(text for text in chosen.budgets if parse(text).variant in held)
    return chosen.model_copy(update={"budgets": budgets})


def measure(chosen: scenario.Scenario, directory: Path) -> HarnessError | None:
    """Runs the scenario into the directory's journal, which gets its end whatever happens; returns what failed."""
    console = Console(stderr=True)
    phases_total = len(chosen.phases) * len(chosen.strategies) * chosen.rounds
    started = perf_counter()
    interruption: str | None = INTERRUPTED
    failure: HarnessError | None = None
    with (
        journal.open_journal(directory) as entries,
        logging_to(directory / LOG_FILE),
        TerminalProgress(console, phases_total) as progress,
    ):
        entries.write("run", header(chosen, directory.name))
        try:
            asyncio.run(terminable(execute(chosen, entries, progress)))
            interruption = None
        except (KeyboardInterrupt, asyncio.CancelledError):
            console.print("Interrupted: what was measured until now is kept.")
        except (HarnessError, ExceptionGroup) as error:
            failure = expected(error)
            interruption = str(failure)
        finally:
            entries.write("end", {"interruption": interruption, "elapsed_s": perf_counter() - started})
    return failure


@contextlib.contextmanager
def logging_to(path: Path) -> Generator[None]:
    """Keeps warnings of the target and of libraries out of the terminal; no warning, no file."""
    log_file = logging.FileHandler(path, delay=True)
    log_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(log_file)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(log_file)
        log_file.close()


async def terminable(work: Coroutine[None, None, None]) -> None:
    """Ends the work at the first Ctrl-C or SIGTERM, cleaned up. Later ones change nothing: tox sends up to three."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()

    def end() -> None:
        for sent in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(sent)
            signal.signal(sent, signal.SIG_IGN)
        task.cancel()

    for sent in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sent, end)
    await task


def expected(error: HarnessError | ExceptionGroup[Exception]) -> HarnessError:
    """The expected failure in a group of concurrent ones; raises what is not expected."""
    if isinstance(error, HarnessError):
        return error
    failures, others = error.split(HarnessError)
    if others is not None or failures is None:
        raise error
    leaf: BaseException = failures
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    assert isinstance(leaf, HarnessError), "split keeps only these"
    return leaf


def header(chosen: scenario.Scenario, run_id: str) -> Mapping[str, Any]:
    """What is known of a run before it starts."""
    corpus = chosen.open_corpus()
    return {
        "run_id": run_id,
        "started_at": datetime.now(UTC).isoformat(),
        "command": ["harness", *map(redacted, sys.argv[1:])],
        "scenario": chosen.model_dump(mode="json"),
        "corpus": {"name": corpus.name, "fingerprint": corpus.fingerprint, "size": chosen.corpus.size},
    }


def show(record: RunRecord, directory: Path) -> None:
    """The verdict and the tables, and where the rest lies."""
    click.echo(RENDERERS["terminal"].render(record, summarise(record), judge(record)))
    click.echo(f"Report: {directory / runs.REPORT_FORMATS['html']}")


def inventory(output: Path) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """What there is to name on the command line, and a line on each."""
    yield "Scenarios", [(name, scenario.load(str(path)).title) for name, path in scenario.shipped().items()]
    for target, factory in TARGETS.items():
        yield f"Strategies of {target}", list(factory().variants().items())
    yield f"Runs in {output}", [(run.name, runs.load(run).state) for run in runs.all_runs(output)]


def main() -> NoReturn:
    """Exits with the code of the command; an expected failure is a sentence, and a traceback only with --debug."""
    try:
        sys.exit(harness(standalone_mode=False))
    except click.Abort:
        sys.exit(ExitCode.INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(ExitCode.USAGE)
    except HarnessError as error:
        if "--debug" in sys.argv:
            raise
        click.echo(f"harness: {error}", err=True)
        sys.exit(ExitCode.USAGE if isinstance(error, (UsageError, ProvisioningError)) else ExitCode.INVALID)


if __name__ == "__main__":
    main()
