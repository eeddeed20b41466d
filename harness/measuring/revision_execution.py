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
from harness.measuring.execution import Rounds, Run, Wanting, begin, keeping_log, placed, sample_on
from harness.measuring.passes import nothing
from harness.measuring.progress import Progress
from harness.measuring.revisions import Checkout, Install, Revision, checkouts
from harness.measuring.scenario import Scenario
from harness.measuring.servers.provisioners import provisioner
from harness.measuring.servers.redis_server import redis_server
from harness.measuring.targets import TARGETS
from harness.measuring.turns import Gate, Part
from harness.measuring.worker import Task
from harness.measuring.workers import SharedPass, working
from harness.measuring.workloads.protocol import Workload


@dataclass(frozen=True, slots=True)
class Sides:
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
        """What a record keeps of the scenario in place of its strategies."""
        baseline, candidate = self.names
        return {
            "strategies": [baseline, candidate],
            "baseline": baseline,
            "candidate": candidate,
            "control": True,
            "strategy": self.strategy,
            "revisions": {baseline: self.baseline.commit, candidate: self.candidate.commit},
        }


@dataclass(frozen=True, slots=True)
class Variant:
    """A revision that is ready to be measured, and what its worker said of the database that it prepared."""

    name: str
    checkout: Checkout
    template: str
    prepared: Mapping[str, Any]
    control_of: str | None = None

    @property
    def entry(self) -> Mapping[str, Any]:
        return {
            "name": self.name,
            "description": f"{self.prepared['description']}, at {self.checkout.revision.commit[:10]}",
            "schema_version": self.prepared["schema_version"],
            "control_of": self.control_of,
        }


async def execute_revisions(
    sides: Sides,
    install: Install,
    scenario: Scenario,
    journal: Journal,
    progress: Progress,
    *,
    wanting: Wanting = lambda _: {},
) -> None:
    """Measures baseline, candidate and control of each round into the journal."""
    started = perf_counter()
    workload = scenario.workload_of(1)
    async with checkouts((sides.baseline, sides.candidate), install, progress.preparing) as ready:
        progress.preparing("starting PostgreSQL")
        starting = await provisioner(scenario.database)
        async with (
            redis_server(scenario.cache) as redis,
            starting.start(scenario.database.settings) as server,
            keeping_log(server, journal.path.parent),
        ):
            run = Run(scenario, workload, TARGETS[scenario.target](), server, redis, journal, progress)
            begin(run)
            variants = await _variants(run, sides, ready)
            rounds = Rounds(run, partial(_parts, run, sides.strategy, variants), started)
            for number in range(1, scenario.rounds + 1):
                await rounds.measure([each.name for each in variants], number, workload)
            await sample_on(rounds, wanting)


async def _variants(run: Run, sides: Sides, ready: Sequence[Checkout]) -> list[Variant]:
    """Each revision prepares its own database. Raises `UsageError` where they are not about the same."""
    one, other = [
        await _prepared(run, sides.strategy, name, checkout, f"template_{number}")
        for number, (name, checkout) in enumerate(zip(sides.names, ready, strict=True))
    ]
    for what in ("corpus", "requests"):
        if one.prepared[what] != other.prepared[what]:
            raise UsageError(
                f"{one.name} and {other.name} draw another {what} from this scenario, so their figures do not compare. "
                "Bring texts and requests of your own in files, which every revision reads alike."
            )
    return [one, other, replace(one, name=f"{one.name} (control)", control_of=one.name)]


async def _prepared(run: Run, strategy: str, name: str, checkout: Checkout, template: str) -> Variant:
    run.progress.preparing(f"{name}: loading {run.scenario.corpus.size:,} memories")
    task = Task(
        task="prepare",
        scenario=run.scenario.told,
        variant=name,
        strategy=strategy,
        database_url=await run.server.create_database(template),
    )
    async with working([task], checkout.interpreter) as (worker,):
        try:
            return Variant(name, checkout, template, await worker.told("prepared", _out_of_turn))
        except HarnessError as error:
            if "slices" in str(error):
                raise HarnessError(f"{error} A revision from before there were slices wants `--slices 1`.") from None
            raise


def _out_of_turn(kind: str, _entry: object) -> None:
    raise HarnessError(f"A worker told {kind!r} out of turn. Compare revisions whose workers speak alike.")


def _parts(
    run: Run, strategy: str, variants: Sequence[Variant], _names: Sequence[str], number: int, _workload: Workload
) -> Mapping[str, Part]:
    """Of all variants, since a comparison needs both sides; each draws the round's requests itself."""
    ordered = variants if number % 2 else variants[::-1]
    return {each.name: partial(_measure, run, strategy, each, number) for each in ordered}


async def _measure(run: Run, strategy: str, variant: Variant, number: int, turn: Gate) -> None:
    """One pass of one revision, on a clone of what it has prepared."""
    run.progress.preparing(f"{variant.name}: cloning the database and warming up")
    run.journal.write("variant", {**variant.entry, "round": number, "in_process": run.target.in_process})
    async with placed(run, strategy, f"round_{number}_{variant.name}", variant.template, turn) as place:
        task = Task(
            task="measure",
            scenario=run.scenario.told,
            variant=variant.name,
            strategy=strategy,
            database_url=place.context.database_url,
            embedding_url=place.context.embedding_url,
            redis_url=place.context.redis_url,
            round=number,
            paced=True,
        )

        async def report_statistics() -> bool:
            """A worker has done so before it says that it is ready, or through."""
            return run.target.in_process

        async with working([task], variant.checkout.interpreter) as workers:
            observe = place.observe(report_statistics)
            await SharedPass(
                run.scenario, variant.name, workers, run.journal, run.progress, nothing, observe, place.turn
            ).measure()
