"""`harness compare`: whether one strategy or variant, stored run or git revision is slower than another."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, assert_never

import click

from harness import runs
from harness.advice import MARGIN, SLICES_ADVISED
from harness.commands._shared import report_files, waiver_files
from harness.commands._shared.branch_baselines import baseline_of
from harness.commands._shared.github_actions import announce
from harness.commands._shared.outputs import echo_file
from harness.commands._shared.searches import refuse_search
from harness.errors import ExitCode, UsageError, nearest
from harness.failures import raise_first
from harness.judging.comparison import compare, compare_asked, compare_runs, wanting
from harness.judging.gate import refuse_unknown_figures
from harness.judging.likeness import unlike
from harness.judging.waivers import Waiver, of_figures
from harness.measuring import scenario_files
from harness.measuring.execution import execute
from harness.measuring.own_revisions import execute_own_revisions, repository
from harness.measuring.own_scenario import OwnScenario
from harness.measuring.recording import RunWork, record_run
from harness.measuring.revision_execution import RevisionPair, execute_revisions
from harness.measuring.revisions import INSTALLS, Revision, holds, obstacle, resolve
from harness.measuring.scenario import ProfileSettings, Scenario
from harness.measuring.targets import TARGETS
from harness.record import INTERRUPTED, ComparisonSettings, RunRecord
from harness.showing.renderers import RENDERERS, rendered
from harness.showing.renderers.terminal import TerminalRenderer
from harness.showing.report import ComparisonReport
from harness.signals import ignored

ComparedKind = Literal["strategies", "runs", "revisions"]

WORKER: Final = "harness/worker.py"


def compare_command(
    *,
    baseline: str,
    candidate: str | None,
    kind: ComparedKind | None,
    by_branch: bool,
    scenario_name: str,
    rounds: int,
    slices: int | None,
    sample_for: float | None,
    variant: str | None,
    environment: str,
    anyway: bool,
    margin: float | None,
    profiled: bool,
    form: str,
    settings: tuple[str, ...],
    database: str | None,
    output: Path,
    waivers_file: Path | None,
    everything: bool,
) -> ExitCode:
    waivers = waiver_files.load_waivers(waivers_file)
    display = Display(form, everything=everything)
    if by_branch:
        baseline, candidate, kind = *_by_branch(baseline, candidate, output), "runs"
    if candidate is None:
        directory = run_alone(baseline, output, Plan(scenario_name, settings, database))
        record = runs.load_record(directory)
        return display.show_run(stored(record, margin, waiver_files.for_record(record, waivers_file)), directory)
    margin = margin or MARGIN
    names = (baseline, candidate)
    sampling = (f"sampling.time_s_max={sample_for}",) if sample_for is not None else ()
    plan = Plan(scenario_name, (*settings, f"rounds={rounds}", *sampling), database, slices, profiled)
    further = partial(wanting, margin=margin)
    if kind is None:
        kind = kind_of(names, output, plan.nameable())
    match kind:
        case "strategies":
            chosen = of_strategies(names, plan)
            asked = ComparisonSettings(baseline=baseline, candidate=candidate, margin=margin)
            return display.show_run(*measured(chosen, output, asked, partial(execute, wanting=further)))
        case "runs":
            one, other = (runs.load_record(runs.find(name, output)) for name in names)
            refuse_unlike(one, other, anyway=anyway)
            return display.show(ComparisonReport(compare_runs(one, other, variant, margin=margin), (one, other)))
        case "revisions":
            chosen, sides = of_revisions(names, plan, variant)
            accepted = waiver_files.not_in_base(waivers, waivers_file, sides.baseline.commit)
            refuse_unknown_figures(of_figures(accepted, chosen.name), chosen.subjects)
            found = measured_revisions(chosen, sides, output, environment=environment, margin=margin, waivers=accepted)
            return display.show_run(*found)
        case _:
            assert_never(kind)


@dataclass(frozen=True, slots=True)
class Plan:
    """A scenario, and what the command line says of it; `slices` is None where it says nothing of them."""

    scenario: str
    settings: tuple[str, ...]
    database: str | None
    slices: int | None = None
    profiled: bool = False

    def load(self, *settings: str, strategies: str | None = None) -> Scenario:
        """The scenario without its budgets, since what is compared decides. Raises `UsageError`."""
        wanted = (*self.settings, *settings, *([f"slices={self.slices}"] if self.slices else []))
        chosen = scenario_files.load_scenario(
            self.scenario, settings=wanted, strategies=strategies, database=self.database
        )
        cut = SLICES_ADVISED if self.slices is None and chosen.slices == 1 and not chosen.indivisible else chosen.slices
        profile = ProfileSettings() if self.profiled and chosen.profile is None else chosen.profile
        return chosen.model_copy(update={"budgets": (), "references": (), "slices": cut, "profile": profile})

    def nameable(self) -> "Nameable":
        """Says what may be compared in one run of it. Raises `UsageError`."""
        chosen = scenario_files.load_scenario(self.scenario, settings=self.settings, database=self.database)
        if isinstance(chosen, OwnScenario):
            return Nameable(f"variant of {self.scenario}", chosen.variant_names)
        return STRATEGIES


@dataclass(frozen=True, slots=True)
class Nameable:
    """Strategies, or the variants of somebody's own scenario."""

    word: str
    names: Sequence[str]


STRATEGIES: Final = Nameable("strategy", [name for kind in TARGETS.values() for name in kind.listed()])


def kind_of(names: Sequence[str], output: Path, nameable: Nameable = STRATEGIES) -> ComparedKind:
    """Says what both names are. Raises `UsageError` when that is nothing, or more than one thing."""
    kinds: Mapping[ComparedKind, Callable[[str], bool]] = {
        "strategies": nameable.names.__contains__,
        "runs": partial(is_run, output=output),
        "revisions": is_revision,
    }
    known: dict[str, list[ComparedKind]] = {name: [kind for kind in kinds if kinds[kind](name)] for name in names}
    common: list[ComparedKind] = [kind for kind in kinds if all(kind in found for found in known.values())]
    if len(common) == 1:
        return common[0]
    if common:
        flags = " or ".join(f"--{kind}" for kind in common)
        raise UsageError(f"{' and '.join(names)} can be read as {' and as '.join(common)}. Say which with {flags}.")
    raise UsageError(" ".join([*(_described(name, found, nameable) for name, found in known.items()), TWO_OF_A_KIND]))


TWO_OF_A_KIND: Final = (
    "Name two strategies, two runs or two git revisions; `harness list` shows the first two. Variants of your own are "
    "those of the file that --scenario names."
)


def _described(name: str, kinds: Sequence[ComparedKind], nameable: Nameable) -> str:
    if kinds:
        singular = {"strategies": f"a {nameable.word}", "runs": "a run", "revisions": "a git revision"}
        return f"{name!r} is {' and '.join(singular[kind] for kind in kinds)}."
    reason = f"git says: {said}\n" if (said := obstacle(name)) else ""
    return f"{name!r} is no {nameable.word}, no run and no git revision. {reason}{nearest(name, nameable.names)}"


def _by_branch(name: str, other: str | None, output: Path) -> tuple[str, str]:
    """The run that the named one is compared with, and that. Raises `UsageError`."""
    if other is not None:
        raise UsageError(f"--branch finds what {name} is compared with, so {other} is one too many. Name one run.")
    directory = runs.find(name, output)
    found = baseline_of(runs.load_record(directory), output)
    click.echo(f"Compared with {found.record.run_id}, {found.reason}.", err=True)
    return str(output / found.record.run_id), str(directory)


def run_alone(name: str, output: Path, plan: Plan) -> Path:
    """The run of that name. Raises `UsageError`, which says what to compare with where it is no run."""
    if not is_run(name, output):
        nameable = plan.nameable()
        if name in nameable.names:
            raise UsageError(
                f"{name!r} is a {nameable.word}, and one alone is compared with nothing. "
                f"Name two: `harness compare {another(name, nameable) or 'BASELINE'} {name}`."
            )
        if is_revision(name):
            raise UsageError(
                f"{name!r} is a git revision, and one alone is compared with nothing. "
                f"Name two, the base first: `harness compare BASE {name}`."
            )
    return runs.find(name, output)


def is_run(name: str, output: Path) -> bool:
    try:
        runs.find(name, output)
    except UsageError:
        return False
    return True


def is_revision(name: str) -> bool:
    return resolve(name) is not None


def of_strategies(names: tuple[str, str], plan: Plan) -> Scenario:
    """The scenario with these two and a control. Raises `UsageError`."""
    if names[0] == names[1]:
        other = another(names[0], plan.nameable())
        named = f"Name another one: `harness compare {other} {names[0]}`. " if other else ""
        raise UsageError(
            f"{names[0]} stands on both sides. Every comparison measures its baseline twice, and says how much noise "
            f"that shows. {named}What compares one thing with itself is `harness compare HEAD HEAD`."
        )
    pair = (f'baseline="{names[0]}"', f'candidate="{names[1]}"', "control=true")
    return plan.load(*pair, strategies=",".join(names))


def another(name: str, nameable: Nameable) -> str | None:
    """Of the same target, the first: what the system was before its fixes."""
    listed = [list(kind.listed()) for kind in TARGETS.values()]
    names = next((found for found in listed if name in found), nameable.names)
    return next((each for each in names if each != name), None)


def of_revisions(names: tuple[str, str], plan: Plan, strategy: str | None) -> tuple[Scenario, RevisionPair]:
    """The scenario with one variant, by default its candidate, that both revisions run. Raises `UsageError`."""
    whole = plan.load()
    baseline, candidate = (known_revision(name) for name in names)
    if not isinstance(whole, OwnScenario):
        refuse_too_old(baseline, candidate)
    sides = RevisionPair(baseline, candidate, strategy or whole.candidate)
    chosen = plan.load(strategies=sides.strategy)
    if chosen.timeline:
        raise UsageError(f"{plan.scenario} disrupts the server by a timeline, which revisions are not measured with.")
    return chosen, sides


def known_revision(name: str) -> Revision:
    """Raises `UsageError` for one that git does not know."""
    revision = resolve(name)
    if revision is None:
        reason = obstacle(name) or "`git log --oneline --all` lists what it knows."
        raise UsageError(f"git knows no revision {name!r} here: {reason}")
    return revision


def refuse_too_old(*revisions: Revision) -> None:
    """Raises `UsageError` for one that is older than the worker that would run it."""
    for revision in revisions:
        if not holds(revision, WORKER):
            raise UsageError(f"{revision} has no {WORKER}, so it is too old to be measured beside another revision.")


def measured_revisions(
    chosen: Scenario,
    sides: RevisionPair,
    output: Path,
    *,
    environment: str,
    margin: float,
    waivers: Sequence[Waiver] = (),
) -> tuple[ComparisonReport, Path]:
    """Measures both revisions in turn; `environment` is whose libraries those of this repository have."""
    asked = ComparisonSettings(baseline=sides.names[0], candidate=sides.names[1], margin=margin)
    further = partial(wanting, margin=margin)
    if isinstance(chosen, OwnScenario):
        work: RunWork = partial(execute_own_revisions, sides, repository(chosen), wanting=further)
    else:
        work = partial(execute_revisions, sides, INSTALLS[environment], wanting=further)
    return measured(chosen, output, asked, work, sides.declared, waivers=waivers)


def measured(
    chosen: Scenario,
    output: Path,
    asked: ComparisonSettings,
    work: RunWork,
    declared: Mapping[str, object] = MappingProxyType({}),
    *,
    waivers: Sequence[Waiver] = (),
) -> tuple[ComparisonReport, Path]:
    """Measures the scenario by this work, and writes what was asked, and its answer, into the run's directory."""
    directory = output / runs.new_id(chosen.name, datetime.now(UTC))
    recorded = record_run(chosen, directory, work, declared=declared, made_for=asked)
    report = stored(recorded.record, waivers=waivers)
    with ignored():
        unwritten = report_files.write(directory, report)
    raise_first([recorded.failure, *unwritten])
    if recorded.record.interruption == INTERRUPTED:
        raise click.Abort
    return report, directory


def stored(record: RunRecord, margin: float | None = None, waivers: Sequence[Waiver] = ()) -> ComparisonReport:
    """Says what was compared in a run: what it was made for, or else its baseline and candidate."""
    refuse_search(record, "is compared by `harness capacity --strategies A,B`")
    asked = record.comparison
    if asked is None:
        return ComparisonReport(compare(record, margin=margin or MARGIN), (record,))
    asked = asked.model_copy(update={"margin": margin or asked.margin})
    return ComparisonReport(compare_asked(record, asked, waivers), (record,))


def refuse_unlike(one: RunRecord, other: RunRecord, *, anyway: bool) -> None:
    """Raises `UsageError` with what differs."""
    for record in (one, other):
        refuse_search(record, "is compared by `harness capacity --strategies A,B`")
    differing = unlike(one, other)
    if differing and not anyway:
        listed = "\n".join(f"  {each}" for each in differing)
        raise UsageError(
            f"The runs are unlike, so a difference between them may come from this:\n{listed}\n"
            "Measure both in one run, or compare them nevertheless with --anyway."
        )


@dataclass(frozen=True, slots=True)
class Display:
    """Says how a comparison is printed."""

    form: str
    everything: bool

    def show(self, report: ComparisonReport) -> ExitCode:
        if self.form == "terminal":
            # The terminal ends with the verdict; every other format is for a file, in which nothing else may stand.
            announce(report)
            click.echo(rendered(report, TerminalRenderer(everything=self.everything)), nl=False)
        else:
            echo_file(rendered(report, RENDERERS[self.form]), nl=False)
        return report.exit_code

    def show_run(self, report: ComparisonReport, directory: Path) -> ExitCode:
        """Shows what was compared in one run, and where the report lies of one that was made for it."""
        code = self.show(report)
        if report.record.comparison:
            place = f"Report: {report_files.best(directory)}"
            click.echo(place, err=self.form != "terminal")
        return code
