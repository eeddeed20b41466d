"""From two revisions to a journal: one server, a database each, and passes in turn, each by the revision's own worker.

A revision prepares its own database, since its schema may be another. What surrounds it is the same for both: the
server, the delays, the embedding server. Both have to load the same corpus and to ask the same things.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import Any

from harness.errors import HarnessError, UsageError
from harness.journal import Journal
from harness.measuring.cooling import refuse_cold
from harness.measuring.execution import Prepared, Rounds, Wanting, begun, measure_variant, sample_on, startable
from harness.measuring.operations import Workload
from harness.measuring.places import Run
from harness.measuring.progress import Progress
from harness.measuring.revisions import Checkout, Install, Revision, checkouts
from harness.measuring.scenario import Scenario
from harness.measuring.turns import TurnTaker
from harness.measuring.worker import Task
from harness.measuring.worker_processes import working


@dataclass(frozen=True, slots=True)
class RevisionPair:
    """Two revisions by the names of their variants, and the strategy that both run."""

    baseline: Revision
    candidate: Revision
    strategy: str

    @property
    def names(self) -> tuple[str, str]:
        """One revision on both sides is a way to see the noise, so the names are told apart."""
        one, other = self.baseline.name, self.candidate.name
        return (one, other) if one != other else (one, f"{other} (candidate)")

    @property
    def declared(self) -> Mapping[str, Any]:
        """Says what a record keeps of the scenario in place of its strategies."""
        baseline, candidate = self.names
        return {
            "strategies": [baseline, candidate],
            "baseline": baseline,
            "candidate": candidate,
            "control": True,
            "strategy": self.strategy,
            "revisions": {baseline: self.baseline.commit, candidate: self.candidate.commit},
        }


async def execute_revisions(
    sides: RevisionPair,
    install: Install,
    scenario: Scenario,
    journal: Journal,
    progress: Progress,
    *,
    wanting: Wanting = lambda _: {},
) -> None:
    """Measures baseline, candidate and control of each round into the journal."""
    refuse_cold(scenario)
    started = perf_counter()
    starting = await startable(scenario)
    workload = scenario.workload_of(1)
    async with (
        checkouts((sides.baseline, sides.candidate), install, progress.preparing) as ready,
        begun(scenario, starting, journal, progress) as run,
    ):
        variants = await _variants(run, sides, ready)
        rounds = Rounds(run, partial(_parts, run, variants), started)
        for number in range(1, scenario.rounds + 1):
            await rounds.measure([each.name for each in variants], number, workload)
        await sample_on(rounds, wanting)


async def _variants(run: Run, sides: RevisionPair, ready: Sequence[Checkout]) -> Sequence[Prepared]:
    """Each revision prepares its own database. Raises `UsageError` where they are not about the same."""
    templates = ("template_1", "template_2")
    facts = [
        await prepared_by_worker(run, sides.strategy, name, checkout, template)
        for name, checkout, template in zip(sides.names, ready, templates, strict=True)
    ]
    for what in ("corpus", "requests"):
        if facts[0][what] != facts[1][what]:
            raise UsageError(
                f"{' and '.join(sides.names)} draw another {what} from this scenario, so their figures do not compare. "
                "Bring texts and requests of your own in files, which every revision reads alike."
            )
    one, other = [
        Prepared(
            name,
            sides.strategy,
            template,
            said["schema_version"],
            f"{said['description']}, at {checkout.revision.commit[:10]}",
            interpreter=checkout.interpreter,
        )
        for name, checkout, template, said in zip(sides.names, ready, templates, facts, strict=True)
    ]
    return one, other, replace(one, name=f"{one.name} (control)", control_of=one.name)


async def prepared_by_worker(
    run: Run, strategy: str, name: str, checkout: Checkout, template: str
) -> Mapping[str, Any]:
    """Tells what the revision's worker says of the database that it has prepared."""
    run.progress.preparing(f"{name}: loading {run.target.contents}")
    task = Task(
        task="prepare",
        scenario=run.scenario.for_worker,
        variant=name,
        strategy=strategy,
        database_url=await run.server.create_database(template),
    )
    async with working([task], checkout.interpreter) as (worker,):
        try:
            return await worker.received("prepared", _out_of_turn)
        except HarnessError as error:
            if run.scenario.slices == 1:
                raise
            raise HarnessError(f"{error} A revision from before there were slices wants `--slices 1`.") from None


def _out_of_turn(kind: str, _entry: object) -> None:
    raise HarnessError(f"A worker told {kind!r} out of turn. Compare revisions whose workers speak alike.")


def _parts(
    run: Run, variants: Sequence[Prepared], _names: Sequence[str], number: int, workload: Workload
) -> Mapping[str, TurnTaker]:
    """Of all variants, since a comparison needs both sides."""
    ordered = variants if number % 2 else variants[::-1]
    return {each.name: partial(measure_variant, run, each, number, workload) for each in ordered}
