"""`harness compare`: whether one strategy, stored run or git revision is slower than another."""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, assert_never

import click

from harness import journal, runs, scenario
from harness.analysis.paired import MARGIN
from harness.comparison import ROUNDS_ADVISED, Comparison, compare, compare_runs
from harness.errors import UsageError
from harness.github_actions import announce_comparison
from harness.likeness import unlike
from harness.options import DATABASE, OUTPUT, SETTINGS
from harness.record import INTERRUPTED, RunRecord
from harness.recording import measure
from harness.renderers import COMPARISON_RENDERERS
from harness.scenario import Scenario, suggestion
from harness.targets import TARGETS
from harness.verdict import ExitCode

Kind = Literal["strategies", "runs", "revisions"]

FILES: Final[Mapping[str, str]] = {"json": "comparison.json", "markdown": "comparison.md"}
"""What a comparison leaves beside the run that it measured."""


@click.command("compare")
@click.argument("baseline", metavar="A")
@click.argument("candidate", metavar="[B]", required=False)
@click.option("--strategies", "kind", flag_value="strategies", help="A and B are strategies.")
@click.option("--runs", "kind", flag_value="runs", help="A and B are stored runs.")
@click.option("--revisions", "kind", flag_value="revisions", help="A and B are git revisions.")
@click.option("--scenario", "scenario_name", metavar="SCENARIO", default="local", show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=ROUNDS_ADVISED, show_default=True)
@click.option("--variant", metavar="NAME", help="Of two runs: which to compare, instead of each run's candidate.")
@click.option("--anyway", is_flag=True, help="Compare runs that are unlike; the output then says so.")
@click.option(
    "--margin",
    type=click.FloatRange(0, 1, min_open=True),
    default=MARGIN,
    show_default=True,
    help="A change by less than this share does not matter.",
)
@click.option("--format", "form", type=click.Choice(list(COMPARISON_RENDERERS)), default="terminal", show_default=True)
@SETTINGS
@DATABASE
@OUTPUT
def compare_command(
    *,
    baseline: str,
    candidate: str | None,
    kind: Kind | None,
    scenario_name: str,
    rounds: int,
    variant: str | None,
    anyway: bool,
    margin: float,
    form: str,
    settings: tuple[str, ...],
    database: str | None,
    output: Path,
) -> ExitCode:
    """Measures two strategies or git revisions in turn, or reads two stored runs, and says which is slower.

    With one run alone, what was compared in it is shown again. Exit codes: 0 not slower, 1 slower or more of something
    that is counted, 2 usage or configuration, 3 undecided, 4 invalid, 130 interrupted.
    """
    if candidate is None:
        comparison = compare(runs.load(runs.find(baseline, output)), margin=margin)
        return show(comparison, form)
    names = (baseline, candidate)
    if kind is None:
        kind = kind_of(names, output)
    match kind:
        case "strategies":
            chosen = of_strategies(names, scenario_name, rounds, settings, database)
            return compare_measured(chosen, output, margin, form)
        case "runs":
            one, other = (runs.load(runs.find(name, output)) for name in names)
            refuse_unlike(one, other, anyway=anyway)
            return show(compare_runs(one, other, variant, margin=margin), form)
        case "revisions":
            raise UsageError("Revisions cannot be compared yet.")
        case _:
            assert_never(kind)


def kind_of(names: Sequence[str], output: Path) -> Kind:
    """What both names are. Raises `UsageError` when that is nothing, or more than one thing."""
    known: dict[str, list[Kind]] = {name: [kind for kind in KINDS if KINDS[kind](name, output)] for name in names}
    common: list[Kind] = [kind for kind in KINDS if all(kind in kinds for kinds in known.values())]
    if len(common) == 1:
        return common[0]
    if common:
        flags = " or ".join(f"--{kind}" for kind in common)
        raise UsageError(f"{' and '.join(names)} can be read as {' and as '.join(common)}. Say which with {flags}.")
    raise UsageError(" ".join([*(_described(name, kinds) for name, kinds in known.items()), TWO_OF_A_KIND]))


SINGULAR: Final[Mapping[Kind, str]] = {"strategies": "a strategy", "runs": "a run", "revisions": "a git revision"}
TWO_OF_A_KIND: Final = "Name two strategies, two runs or two git revisions; `harness list` shows the first two."


def _described(name: str, kinds: Sequence[Kind]) -> str:
    if kinds:
        return f"{name!r} is {' and '.join(SINGULAR[kind] for kind in kinds)}."
    return f"{name!r} is no strategy, no run and no git revision. {suggestion(name, list(strategies()))}"


def strategies() -> Mapping[str, str]:
    return {name: note for factory in TARGETS.values() for name, note in factory().variants().items()}


def is_strategy(name: str, _output: Path) -> bool:
    return name in strategies()


def is_run(name: str, output: Path) -> bool:
    try:
        runs.find(name, output)
    except UsageError:
        return False
    return True


def is_revision(name: str, _output: Path) -> bool:
    command = ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603 -- no shell
    except OSError:
        return False


KINDS: Final[Mapping[Kind, Callable[[str, Path], bool]]] = {
    "strategies": is_strategy,
    "runs": is_run,
    "revisions": is_revision,
}


def of_strategies(
    names: tuple[str, str], scenario_name: str, rounds: int, settings: Sequence[str], database: str | None
) -> Scenario:
    """The scenario with these two and a control, in rounds, and held to no budget."""
    if names[0] == names[1]:
        raise UsageError(f"{names[0]} stands on both sides. The control of any comparison measures its baseline twice.")
    pair = [f'baseline="{names[0]}"', f'candidate="{names[1]}"', f"rounds={rounds}", "control=true"]
    chosen = scenario.load(scenario_name, settings=[*settings, *pair], strategies=",".join(names), database=database)
    return chosen.model_copy(update={"budgets": (), "references": ()})


def compare_measured(chosen: Scenario, output: Path, margin: float, form: str) -> ExitCode:
    """Measures the scenario, and compares its baseline and its candidate."""
    directory = output / runs.new_id(chosen.name, datetime.now(UTC))
    failure = measure(chosen, directory)
    record = journal.read(directory / journal.FILE_NAME)
    runs.write(directory, record)
    if failure is not None:
        raise failure
    if record.interruption == INTERRUPTED:
        return ExitCode.INTERRUPTED
    comparison = compare(record, margin=margin)
    for name, file in FILES.items():
        runs.replace_file(directory / file, COMPARISON_RENDERERS[name].render_comparison(comparison))
    exit_code = show(comparison, form)
    click.echo(f"Kept in {directory}; `harness compare {directory}` shows it again.", err=True)
    return exit_code


def refuse_unlike(one: RunRecord, other: RunRecord, *, anyway: bool) -> None:
    """Raises `UsageError` with what differs."""
    differing = unlike(one, other)
    if differing and not anyway:
        listed = "\n".join(f"  {each}" for each in differing)
        raise UsageError(
            f"The runs are unlike, so a difference between them may come from this:\n{listed}\n"
            "Measure both in one run, or compare them nevertheless with --anyway."
        )


def show(comparison: Comparison, form: str) -> ExitCode:
    click.echo(COMPARISON_RENDERERS[form].render_comparison(comparison), nl=False)
    if form == "terminal":
        # Every other format is for a file, in which nothing else may stand.
        announce_comparison(comparison)
    return comparison.exit_code
