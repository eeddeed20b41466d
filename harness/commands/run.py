"""`harness run`: scenario → run → record → verdict → report → exit code."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import click

from harness import journal, runs
from harness.commands._shared import report_files, waiver_files
from harness.commands._shared.chosen import chosen_scenario, without_absent_budgets
from harness.commands._shared.events import EventStream
from harness.commands._shared.github_actions import announce
from harness.commands._shared.once import show_once
from harness.commands._shared.searches import refuse_search
from harness.errors import ExitCode, HarnessError, UsageError, exit_code_of
from harness.failures import failures_of, raise_first
from harness.journal import Resumable
from harness.judging import comparison, verdict
from harness.judging.aborting import AbortWatch
from harness.judging.budgets import CAPACITY, parse
from harness.judging.declaration import declare
from harness.judging.feasibility import check
from harness.judging.waivers import Waiver, of_budgets, refuse_unknown_budgets
from harness.measuring.execution import execute
from harness.measuring.parts import part_of
from harness.measuring.recording import RunWork, record_run
from harness.measuring.resumption import continued
from harness.measuring.scenario import Scenario
from harness.redaction import without_secrets
from harness.showing.renderers.terminal import TerminalRenderer
from harness.showing.report import report_of
from harness.showing.runs_table import RunLine, runs_table
from harness.signals import ignored

WORST_FIRST: Final = (
    ExitCode.INTERRUPTED,
    ExitCode.FAIL,
    ExitCode.USAGE,
    ExitCode.INVALID,
    ExitCode.UNDECIDED,
    ExitCode.PASS,
)
"""Of several runs: what was shown to fail comes before what could not be shown."""


def run(
    *,
    names: tuple[str, ...],
    once: bool,
    phases: tuple[str, ...],
    operations: tuple[str, ...],
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
    as_events: bool,
    quiet: bool,
) -> ExitCode:
    if everything and (as_events or quiet):
        raise UsageError("--all shows all tables, which --json and --quiet leave out: ask for one of them.")
    showing = RunShowing(everything=everything, as_events=as_events, quiet=quiet)
    further = () if sample_for is None else (f"sampling.time_s_max={sample_for}",)
    hosts = () if workers is None else (f"workers={workers}",)
    part = ScenarioPart(phases, operations)
    waivers = waiver_files.load_waivers(waivers_file)
    said = (*settings, *further, *hosts)
    wanted = [Wanted(name, said, strategies, database, waivers, part) for name in names or (None,)]
    if once:
        if reports or resume or sample_for or as_events:
            raise UsageError("--once keeps and judges nothing: leave out --report, --resume, --sample-for and --json.")
        return worst([_shown_once(each) for each in wanted])
    asked = [report_files.asked_report(each) for each in reports]
    if len(wanted) > 1:
        refuse_for_several(resume, [path for _, path in asked])
        several = [plan(each, output) for each in wanted]
        refuse_one_name([each.scenario.name for each in several] if asked else [])
        return run_several(several, asked, showing)
    planned = plan(wanted[0], output) if resume is None else plan_rest(wanted[0], runs.find(resume, output))
    return measured(planned, asked, showing).exit_code


@dataclass(frozen=True, slots=True)
class RunShowing:
    """Says how much is shown of a run, and to whom: all tables, events to a program, or no more than the verdict."""

    everything: bool
    as_events: bool
    quiet: bool


@dataclass(frozen=True, slots=True)
class ScenarioPart:
    """The phases and operations that are wanted of a scenario; all where none is named."""

    phases: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()

    def of(self, chosen: Scenario) -> Scenario:
        """Without the budgets and references on what is left out. Raises `UsageError`."""
        part = part_of(chosen, self.phases, self.operations)
        return chosen if part is chosen else without_absent_budgets(part, chosen.operation_names)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Tells what the command line says of the scenario; None where it says nothing."""

    name: str | None
    settings: tuple[str, ...]
    strategies: str | None
    database: str | None
    waivers: tuple[Waiver, ...] = ()
    part: ScenarioPart = ScenarioPart()

    @property
    def says_something(self) -> bool:
        return bool(self.name or self.settings or self.strategies or self.part != ScenarioPart())

    def choose(self) -> Scenario:
        """With budgets that a run of it can answer. Raises `UsageError`."""
        name = self.name or "guide"
        whole = chosen_scenario(name, self.settings, self.strategies, self.database)
        refuse_unknown_budgets(self.waivers, whole.name, whole.budgets, whole.variant_names)
        chosen = self.part.of(whole)
        for doubt in check(chosen.model_dump(mode="json")):
            click.echo(f"warning: {doubt}", err=True)
        return without_capacity(chosen, name)


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
    refuse_search(resumed.record, "cannot go on")
    named = wanted.choose() if wanted.says_something else None
    return PlannedRun(continued(resumed.record, named, wanted.database), directory, resumed, wanted.waivers)


def measured(planned: PlannedRun, asked: Sequence[tuple[str, Path]], showing: RunShowing) -> RunLine:
    """Measures, writes and shows one run. Raises what made it fail, once what was measured is kept."""
    events = EventStream(click.echo) if showing.as_events else None
    if events:
        events.started(planned.directory.name, planned.scenario.name, str(planned.directory))
    recorded = record_run(
        planned.scenario,
        planned.directory,
        planned.work,
        resume=planned.resumed is not None,
        quiet=showing.quiet,
        watching=events,
    )
    report = report_of(recorded.record, planned.waivers)
    with ignored():
        unwritten = report_files.write(planned.directory, report, asked)
    # The terminal ends with the verdict, which annotations would hide.
    if events:
        show = partial(events.judged, report, str(planned.directory))
    elif showing.quiet:
        show = partial(report_files.show_verdict, report, planned.directory)
    else:
        show = partial(report_files.show_report, report, planned.directory, everything=showing.everything)
    shown = (partial(announce, report, on_error=showing.as_events), show)
    raise_first([recorded.failure, *unwritten, *failures_of(shown, planned.directory / journal.LOG_FILE)])
    return RunLine(planned.scenario.name, report.exit_code, report.sentence, str(report_files.best(planned.directory)))


def run_several(planned: Sequence[PlannedRun], asked: Sequence[tuple[str, Path]], showing: RunShowing) -> ExitCode:
    """One after the other, whatever becomes of each; only who interrupts one ends all."""
    lines: list[RunLine] = []
    for each in planned:
        name = each.scenario.name
        click.echo(f"\n{name}: run {len(lines) + 1} of {len(planned)}", err=True)
        own = [(form, Path(str(path).replace(NAME, name))) for form, path in asked]
        try:
            lines.append(measured(each, own, showing))
        except HarnessError as failure:
            place = str(report_files.best(each.directory)) if each.directory.exists() else "none"
            lines.append(RunLine(name, exit_code_of(failure), without_secrets(str(failure)), place))
        if lines[-1].exit_code is ExitCode.INTERRUPTED:
            break
    not_run = [each.scenario.name for each in planned[len(lines) :]]
    click.echo(TerminalRenderer().render_tables([runs_table(lines, not_run)]), nl=False, err=showing.as_events)
    return worst([each.exit_code for each in lines])


NAME: Final = "{name}"
"""In the path of a report of several runs, for the name of each scenario."""


def refuse_for_several(resume: str | None, paths: Sequence[Path]) -> None:
    """Raises `UsageError` for what can be said of one run only."""
    if resume is not None:
        raise UsageError("--resume goes on with one run: name one scenario, or none.")
    for path in paths:
        if NAME not in str(path):
            example = path.with_name(f"{path.stem}-{NAME}{path.suffix}")
            raise UsageError(
                f"--report …={path}: each run would write it. Let {NAME} stand for its scenario: {example}."
            )


def refuse_one_name(names: Sequence[str]) -> None:
    """Raises `UsageError` where reports of two scenarios would have one name."""
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(
            f"Several scenarios are called {', '.join(repeated)}, and their reports would be too. Run each alone."
        )


def worst(codes: Sequence[ExitCode]) -> ExitCode:
    return next(code for code in WORST_FIRST if code in codes)


def _shown_once(wanted: Wanted) -> ExitCode:
    chosen = wanted.choose()
    return show_once(chosen, chosen.variant_names if wanted.strategies else ())


def without_capacity(chosen: Scenario, name: str) -> Scenario:
    """Leaves out the budgets that a search decides, and says so."""
    searched = [text for text in chosen.budgets if parse(text).metric == CAPACITY]
    if searched:
        asked = shlex.join(["harness", "capacity", name])
        click.echo(f"note: not judged by a run: {'; '.join(searched)}. `{asked}` judges it.", err=True)
    kept = tuple(text for text in chosen.budgets if text not in searched)
    return chosen.model_copy(update={"budgets": kept})
