"""Somebody's own service, class or statements at two git revisions, measured in turn.

The scenario is that of the working tree, so both are asked the same. What it names is each revision's own, from a
checkout of it: the folder of the service or of the class, and files of statements, of the schema and of its rows. A
class is loaded by a process for each revision; a service is started with its own command, after its `install`.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, Final, TypeVar, cast

from pydantic import BaseModel

import harness
from harness.children import environment, git
from harness.errors import UsageError
from harness.journal import Journal
from harness.measuring.cooling import refuse_cold
from harness.measuring.execution import (
    Prepared,
    Rounds,
    Wanting,
    begun,
    drawn,
    measure_variant,
    sample_on,
    startable,
)
from harness.measuring.hosts.protocol import Interpreter
from harness.measuring.operations import Workload
from harness.measuring.own_scenario import OwnScenario
from harness.measuring.places import Run
from harness.measuring.progress import Progress
from harness.measuring.revision_execution import RevisionPair, prepared_by_worker
from harness.measuring.revisions import Checkout, Revision, checkouts, run_to_install
from harness.measuring.scenario import Scenario
from harness.measuring.targets import open_target
from harness.measuring.turns import TurnTaker

S = TypeVar("S", bound=OwnScenario)

ASKED: Final = ("operations", "phases")
"""Of a scenario: what is the same for both revisions."""

OURS: Final = Path(harness.__file__).parents[1]


@dataclass(frozen=True, slots=True)
class RevisionSide:
    """One revision: the run with its own files, and its variant."""

    run: Run
    variant: Prepared


def repository(scenario: OwnScenario) -> Path:
    """Whose revisions are meant. Raises `UsageError` where no revision of it would change what is measured."""
    if reason := scenario.bound_to_no_revision:
        raise UsageError(reason)
    found = git("rev-parse", "--show-toplevel")
    if found.returncode:
        raise UsageError(f"git cannot check a revision out here: {found.stderr.strip()}")
    top = Path(found.stdout.removesuffix("\n"))
    if not any(path.resolve().is_relative_to(top) for path in _paths(scenario)):
        raise UsageError(
            f"Nothing that {scenario.name} names lies in {top}, so a revision of it changes nothing. Run this in the "
            "repository of what is measured."
        )
    return top


async def execute_own_revisions(
    sides: RevisionPair,
    top: Path,
    scenario: Scenario,
    journal: Journal,
    progress: Progress,
    *,
    wanting: Wanting = lambda _: {},
) -> None:
    """Measures baseline, candidate and control of each round into the journal."""
    assert isinstance(scenario, OwnScenario), "another's is measured by its own revisions' harness"
    refuse_cold(scenario)
    started = perf_counter()
    starting = await startable(scenario)
    async with (
        checkouts((sides.baseline, sides.candidate), Installing(scenario, top), progress.preparing) as ready,
        begun(scenario, starting, journal, progress) as begun_run,
    ):
        named = list(zip(sides.names, ready, strict=True))
        own = [_moved_run(begun_run, top, checkout) for _, checkout in named]
        prepared = [
            await _prepared(each, sides.strategy, name, checkout)
            for each, (name, checkout) in zip(own, named, strict=True)
        ]
        drawing = scenario.draws_from_database
        run = await drawn(begun_run, prepared[0].template) if drawing else begun_run
        for doubt in run.scenario.doubts:
            progress.note(doubt)
        lineup = [RevisionSide(_asking(each, run), variant) for each, variant in zip(own, prepared, strict=True)]
        control = replace(prepared[0], name=f"{prepared[0].name} (control)", control_of=prepared[0].name)
        rounds = Rounds(run, partial(_parts, [*lineup, RevisionSide(lineup[0].run, control)]), started)
        workload = run.scenario.workload_of(1)
        for number in range(1, scenario.rounds + 1):
            await rounds.measure([*sides.names, control.name], number, workload)
        await sample_on(rounds, wanting)


def _parts(
    lineup: Sequence[RevisionSide], _names: Sequence[str], number: int, workload: Workload
) -> Mapping[str, TurnTaker]:
    """Of all variants, since a comparison needs both sides."""
    ordered = lineup if number % 2 else lineup[::-1]
    return {each.variant.name: partial(measure_variant, each.run, each.variant, number, workload) for each in ordered}


def _moved_run(run: Run, top: Path, checkout: Checkout) -> Run:
    """With what the scenario names as it is in the checkout."""
    assert isinstance(run.scenario, OwnScenario), "it is what is executed here"
    scenario = at_revision(run.scenario, top, checkout.revision, checkout.directory, run.progress.note)
    return replace(run, scenario=scenario, target=open_target(scenario))


def _asking(own: Run, run: Run) -> Run:
    """With the operations of the run, whose draws are there."""
    assert isinstance(run.scenario, OwnScenario), "it is what is executed here"
    return replace(own, scenario=own.scenario.model_copy(update={"operations": run.scenario.operations}))


async def _prepared(own: Run, strategy: str, name: str, checkout: Checkout) -> Prepared:
    """On a database that is made of the revision's own files; by a process that loads its class, where there is one."""
    assert isinstance(own.scenario, OwnScenario), "it is what is executed here"
    target, template = own.target, f"template_{name}"
    version = target.schema_version(strategy)
    interpreter = checkout.interpreter if own.scenario.is_loaded_here else None
    if interpreter is None:
        own.progress.preparing(f"{name}: loading {target.contents}")
        await target.prepare(await own.server.create_database(template), version)
    else:
        await prepared_by_worker(own, strategy, name, checkout, template)
    description = f"{target.variants()[strategy]}, at {checkout.revision.commit[:10]}".removeprefix(", ")
    return Prepared(name, strategy, template, version, description, interpreter=interpreter)


@dataclass(frozen=True, slots=True)
class Installing:
    """Makes a checkout ready with the scenario's commands, each in the folder of the service."""

    scenario: OwnScenario
    top: Path

    async def __call__(
        self, revision: Revision, directory: Path, environment: Path, report: Callable[[str], None]
    ) -> Checkout:
        del environment
        for place, command in at_revision(self.scenario, self.top, revision, directory).installs:
            report(f"{revision}: {' '.join(command)}")
            await run_to_install(revision, command, "Correct `service.install`.", directory=place)
        return Checkout(revision, interpreter_at(self.top, directory), directory)


def interpreter_at(top: Path, directory: Path) -> Interpreter:
    """This one, which finds modules of the checkout where it would find those of the working tree."""
    kept = [Path(path).absolute() for path in sys.path]
    here = [path if path == OURS else _elsewhere(path, top, directory) for path in kept]
    paths = [*map(str, here), str(directory), str(directory / "src")]
    return Interpreter(sys.executable, environment(PYTHONPATH=os.pathsep.join(paths)))


def at_revision(
    scenario: S, top: Path, revision: Revision, directory: Path, note: Callable[[str], None] = lambda _: None
) -> S:
    """The scenario with what lies in the repository as it is in the checkout of the revision.

    A file that the revision has not is the working tree's, which is noted: it may have come with the scenario. Raises
    `UsageError` for a folder that it has not.
    """

    def move(path: Path) -> Path:
        found = _elsewhere(path.resolve(), top, directory)
        if found.exists():
            return found
        if path.is_dir():
            raise UsageError(f"{revision} has no folder {path.resolve().relative_to(top)}, so it cannot be measured.")
        note(f"{revision} has no {path.resolve().relative_to(top)}: that of the working tree is used.")
        return path

    named = {name: getattr(scenario, name) for name in type(scenario).model_fields if name not in ASKED}
    changed = {name: moved for name, part in named.items() if (moved := _moved(part, move)) != part}
    return scenario.model_copy(update=changed)


def _elsewhere(path: Path, top: Path, directory: Path) -> Path:
    return directory / path.relative_to(top) if path.is_relative_to(top) else path


def _moved(part: object, move: Callable[[Path], Path]) -> Any:  # noqa: ANN401 -- of the type of the part
    match part:
        case Path():
            return move(part)
        case BaseModel():
            fields = {name: cast("object", getattr(part, name)) for name in type(part).model_fields}
            changed = {name: moved for name, field in fields.items() if (moved := _moved(field, move)) != field}
            return part.model_copy(update=changed)
        case tuple():
            return tuple(_moved(each, move) for each in cast("tuple[object, ...]", part))
        case Mapping():
            return {name: _moved(each, move) for name, each in cast("Mapping[str, object]", part).items()}
        case _:
            return part


def _paths(scenario: OwnScenario) -> Sequence[Path]:
    """All that it names of files and folders."""
    found: list[Path] = []

    def note(path: Path) -> Path:
        found.append(path)
        return path

    for name in type(scenario).model_fields:
        if name not in ASKED:
            _moved(getattr(scenario, name), note)
    return found
