"""From a scenario to a journal: provision, load the corpus, then measure each variant on its own clone.

Variants are measured in turn on one server, from the same database, with the same requests in the same order.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Final, NoReturn
from urllib.parse import unquote, urlsplit

from harness.errors import ProvisioningError, UsageError
from harness.journal import Journal, Resumable, read
from harness.measuring.arrivals.protocol import Share
from harness.measuring.clock import MonotonicClock
from harness.measuring.cooling import Cooling, cooling
from harness.measuring.driving import LocalWorker
from harness.measuring.environment import fingerprint
from harness.measuring.hosts import hosts_of, is_here
from harness.measuring.hosts.protocol import Hosts, Interpreter
from harness.measuring.latencies import LatencyProfile
from harness.measuring.levels import Levels
from harness.measuring.observation import Reading, asking, counts_by_table, take_reading
from harness.measuring.operations import Workload
from harness.measuring.passes import Pass, Surroundings, Worker, all_of, measure
from harness.measuring.probes.protocol import AskServer, CountedSpan, NotObserved, Observable, no_proxy, unread
from harness.measuring.profilers import PROFILERS
from harness.measuring.profilers.protocol import ProfiledOperation
from harness.measuring.profiling import ProfilingPass, requests_of
from harness.measuring.progress import Progress
from harness.measuring.resumption import refuse_unlike
from harness.measuring.scenario import Phase, Scenario, Variant
from harness.measuring.sent_statements import SentStatements
from harness.measuring.server_log import ServerLog
from harness.measuring.servers.addresses import endpoints
from harness.measuring.servers.embedding_server import embedding_server
from harness.measuring.servers.network import DelayProxy, delay_proxy, with_endpoint
from harness.measuring.servers.provisioners import provisioner
from harness.measuring.servers.provisioners.protocol import Provisioner, Server
from harness.measuring.servers.redis_server import RedisServer, redis_server
from harness.measuring.servers.service import ServiceProcesses
from harness.measuring.targets import open_target
from harness.measuring.targets.protocol import Target, TargetContext, nothing_shared
from harness.measuring.timeline import Disruptor, Timeline, refuse_impossible
from harness.measuring.turns import Gate, TurnTaker, at_once, in_turns
from harness.measuring.worker import Task, digest, drawn_digest
from harness.measuring.worker_processes import Part, ProcessWorker, working
from harness.quantities import number_of
from harness.record import LevelsRecord, PhaseRecord, PlanRecord, RunRecord
from harness.redaction import all_without_secrets, without_secrets
from harness.samples import Sample

LOG_FILE: Final = "server.log"

ROLLED_BACK: Final = """
SELECT xact_rollback AS transactions, (SELECT count(*) FROM pg_stat_activity WHERE datname = $1) AS sessions
  FROM pg_stat_database
 WHERE datname = $1
"""
SESSIONS: Final = """
SELECT count(*) AS sessions FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'
"""
OTHER_SESSIONS: Final = """
SELECT count(*) AS sessions
  FROM pg_stat_activity
 WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
WHOLE_PASS: Final = "whole pass"  # noqa: S105 -- no password
"""The phase in which is counted what the server tells once the target's sessions have ended."""

SESSION_ENDS_POLLED: Final = 30
SESSION_ENDS_POLL_S: Final = 0.1

DRAWN_FROM: Final = "drawn_from"

Wanting = Callable[[RunRecord], Mapping[str, str]]
"""Of a run until now: the variants that need more samples, each with the reason."""

SampleWatch = Callable[[str, Sample], None]
"""Told of each sample and its variant, between requests; raises `Aborted` when the run is to end."""


@dataclass(frozen=True, slots=True)
class Run:
    """Says what stays the same while a run's variants are measured."""

    scenario: Scenario
    """What is measured."""
    target: Target
    """Who is asked."""
    server: Server
    """The PostgreSQL that variants have their databases on."""
    redis: RedisServer | None
    """The Redis of the run; None where there is none."""
    journal: Journal
    """Where everything is noted."""
    progress: Progress
    """Who is told how far it is."""
    hosts: Hosts
    """Where its workers are."""
    watch: SampleWatch | None = None
    """Who may end it early."""
    by_table: bool = False
    """Whether rows and blocks are counted of each table, by a session in the variant's own database."""
    cooling: Cooling | None = None
    """Makes a database cold; None where no phase is to be."""
    sees_waits: bool = False
    """Whether it is looked at what sessions wait for, which nothing is judged by: looking costs time."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A variant whose database is there to be cloned. With an `interpreter` another revision measures it."""

    name: str
    strategy: str
    template: str
    schema_version: int
    description: str
    control_of: str | None = None
    interpreter: Interpreter | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a variant is measured: what its target may use, and the database as the server knows it."""

    context: TargetContext
    """What the target may use."""
    server: Server
    """Where the database is."""
    database: str
    """Its name on the server."""
    disruptor: Disruptor
    """What can be done to it on purpose."""
    ask: AskServer
    """Asks the server, in a session with another database."""
    log: ServerLog
    """What the server says of the database."""
    sent: SentStatements
    """What the sessions of the database send, in phases that are watched."""
    proxy: DelayProxy | None = None
    """What lies between the target and the database; None without a delay."""
    ask_inside: AskServer | None = None
    """Asks the server, in a session with this database; None where nothing is counted by table."""


@dataclass(frozen=True, slots=True)
class AtPlace(Surroundings):
    """A variant's pass waits for its turn, is observed by the probes, and is disrupted as the scenario says."""

    run: Run
    """The run that it is part of."""
    place: Place
    """Where the variant is measured."""
    variant: str
    """The variant's name."""
    round_number: int
    """The round, counted from 1."""
    gate: Gate
    """Waits for the variant's turn."""
    service: ServiceProcesses
    """Those of the service, if the run has started one."""
    failed: Counter[str] = field(default_factory=Counter[str])
    """How many requests the target reported as failed, by phase."""
    sessions: Counter[str] = field(default_factory=Counter[str])
    """How many sessions the target has with the database, by phase."""
    memory: dict[str, Levels] = field(default_factory=dict[str, Levels])
    """Of the service, by phase."""
    cooled: Counter[str] = field(default_factory=Counter[str])
    """How often the database was made cold in the slice, by the way."""
    waits: dict[str, int] = field(default_factory=dict[str, int])
    """In how many looks a session waited for what, in the slice that has just been observed."""

    async def turn(self) -> None:
        await self.gate()
        if self.works_here and any(self.run.scenario.watched_in(phase) for phase in self.run.scenario.phases):
            await self.place.sent.find()

    async def over(self) -> None:
        await self.place.sent.plan()

    async def cool(self) -> bool:
        cooling = self.run.cooling
        assert cooling is not None, "a phase that is cold has a way to be"
        self.cooled[cooling.way] += 1
        return await cooling.cool(self.place.database)

    async def observe(self, span: CountedSpan, *, flushed: bool, before: bool) -> Reading:
        async def flush() -> bool:
            return flushed

        place = self.place
        ask, server_cpu_s = (place.ask, place.server.cpu_s) if self.works_here else (not_ours, nothing_seen)
        failures = place.log.failed if self.works_here else unread
        seen = Observable(
            ask,
            place.database,
            server_cpu_s,
            flush,
            self.service.used_s,
            failures,
            self.service.memory_bytes,
            place.proxy.counters if place.proxy else no_proxy,
        )
        reading = await take_reading(seen, span, before=before)
        if span != "whole" or place.ask_inside is None:
            return reading
        await place.log.read()
        counts: Mapping[str, float] = await counts_by_table(place.ask_inside) if flushed else {}
        further = {**counts, "temporary_file_bytes": float(place.log.temporary_bytes)}
        return Reading({**reading.values, **further}, reading.missing)

    @property
    def works_here(self) -> bool:
        """Says whether what the server says is the variant's doing."""
        return self.run.scenario.works_on_database_of_run(self.place.context.variant)

    @asynccontextmanager
    async def beside(self, phase: Phase, zero: float, begun: float) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            if self.works_here and (operation := self.run.scenario.watched_in(phase)):
                await stack.enter_async_context(self.place.sent.watched(operation))
            if self.works_here and self.run.sees_waits:
                await stack.enter_async_context(self._waits_seen(phase))
            await stack.enter_async_context(self._timeline(phase, zero, begun))
            levels = self.memory.setdefault(phase.name, Levels(self.service.memory_levels(), MonotonicClock()))
            await stack.enter_async_context(levels.watched(zero))
            yield
        if self.works_here and not self.run.scenario.tells_pool:
            await self._count_sessions(phase.name)

    def memory_beside(self, phase: str) -> tuple[LevelsRecord, ...]:
        found = self.memory[phase].record if phase in self.memory else None
        return (found,) if found else ()

    async def _count_sessions(self, phase: str) -> None:
        """Right after its requests, when a pool still has those that it opened for them."""
        with contextlib.suppress(NotObserved):
            row = await self.place.ask(SESSIONS, self.place.database)
            self.sessions[phase] = max(self.sessions[phase], row["sessions"] if row else 0)

    @asynccontextmanager
    async def _waits_seen(self, phase: Phase) -> AsyncGenerator[None]:
        place, directory = self.place, self.run.journal.path.parent
        subject = ProfiledOperation(
            self.variant, phase.name, self.round_number, directory, self.run.server.admin_url, place.database
        )
        async with PROFILERS["server_waits"].observe(subject) as observed:
            yield
        self.waits.update(observed["waits"])

    def counted_beside(self) -> Reading:
        counted = {f"waits {event}": float(looks) for event, looks in self.waits.items()}
        counted |= {way: float(times) for way, times in self.cooled.items()}
        self.waits.clear()
        self.cooled.clear()
        return self.place.sent.take().plus(Reading(counted))

    def plans(self) -> Mapping[str, PlanRecord]:
        return self.place.sent.plans

    def _timeline(self, phase: Phase, zero: float, begun: float) -> AbstractAsyncContextManager[None]:
        entries = [entry for entry in self.run.scenario.timeline if entry.phase == phase.name]
        record = partial(self.run.journal.disruption, self.variant)
        disrupt = self.place.disruptor
        return Timeline(entries, self.round_number, zero, begun, MonotonicClock(), disrupt, record).playing()

    def ended(self, phase: PhaseRecord) -> None:
        timed = [each.name for each in self.run.scenario.phases if each.is_timed]
        # In the others nobody notes what the target reports, and what the harness asks beside it may fail as well.
        if phase.name in timed:
            self._tell_unreported(phase)
            self._tell_small_pool(phase)

    def _tell_unreported(self, phase: PhaseRecord) -> None:
        refused, failed = int(phase.counters.get("failed_statements", 0)), self.failed[phase.name]
        if refused > failed:
            said = without_secrets(self.place.log.last_failure)
            self.run.progress.note(
                f"warning: {self.variant}: in {phase.name} the database refused {number_of(refused, 'statement')}, and "
                f"the target reported {failed} of {number_of(phase.started, 'request')} as failed. What it keeps to "
                f"itself is in no figure of the report. The server said last: {said}"
            )

    def _tell_small_pool(self, phase: PhaseRecord) -> None:
        if 0 < (sessions := self.sessions[phase.name]) < (phase.users or 0):
            self.run.progress.note(
                f"warning: {self.variant}: {phase.users} users asked side by side in {phase.name}, and the target has "
                f"{number_of(sessions, 'session')} with its database: whoever needs one waits for another user's. Give "
                "its pool as many connections as there are users, or ask with fewer."
            )

    async def closed(self) -> None:
        """Called when the target's sessions have ended, and the server knows of all that they did.

        Where its log does not say which statements failed, it has counted the transactions that were rolled back.
        """
        place, failed = self.place, self.failed.total()
        if place.ask_inside is not None:
            await self._count_whole_pass(place.ask_inside)
            return
        if not self.works_here or self.run.scenario.tells_plans or await place.log.read():
            return
        rolled_back = await _rolled_back(place)
        if rolled_back > failed:
            self.run.progress.note(
                f"warning: {self.variant}: the server rolled back {number_of(rolled_back, 'transaction')}, warm-up "
                f"included, and the target reported {number_of(failed, 'failed request')}. Where it does not roll back "
                "on purpose, it swallows errors: have it report them, or state in `expect` what a right answer holds."
            )

    async def _count_whole_pass(self, ask: AskServer) -> None:
        """Of each table, once no session is left that could have more to tell."""
        for _ in range(SESSION_ENDS_POLLED):
            row = await ask(OTHER_SESSIONS)
            if row is None or not row["sessions"]:
                break
            await asyncio.sleep(SESSION_ENDS_POLL_S)
        whole = PhaseRecord(
            name=WHOLE_PASS,
            workload=WHOLE_PASS,
            round=self.round_number,
            arrival="closed_loop",
            loop="closed",
            users=self.run.scenario.side_by_side,
            started=sum(phase.total(self.run.scenario.seed) for phase in self.run.scenario.phases),
            started_s=0.0,
            ended_s=0.0,
            counters=dict(await counts_by_table(ask)),
        )
        self.run.journal.phase(self.variant, whole)

    def heard(self, sample: Sample) -> None:
        self.failed[sample.phase] += sample.error is not None
        if self.run.watch is not None:
            self.run.watch(self.variant, sample)


async def execute(
    scenario: Scenario,
    journal: Journal,
    progress: Progress,
    *,
    wanting: Wanting = lambda _: {},
    resumed: Resumable | None = None,
    watch: SampleWatch | None = None,
) -> None:
    """Measures every variant of the scenario into the journal, as far as the run that is resumed has not.

    Raises `UsageError` when that run was made with something else.
    """
    started = perf_counter()
    starting = await startable(scenario)
    # What needs no database is drawn first, so that a corpus with too few texts is told at once.
    workload = None if scenario.draws_from_database else scenario.workload_of(1)
    async with begun(scenario, starting, journal, progress, resumed=resumed, watch=watch) as begun_run:
        prepared = await prepare_variants(begun_run)
        run = await drawn(begun_run, prepared[scenario.baseline].template) if workload is None else begun_run
        workload = workload or run.scenario.workload_of(1)
        for doubt in run.scenario.doubts:
            progress.note(doubt)
        rounds = Rounds(run, partial(_parts, run, prepared), started)
        ended = resumed.passes if resumed else frozenset[tuple[str, int]]()
        for number, variants in scenario.schedule():
            left = [variant.name for variant in variants if (variant.name, number) not in ended]
            await rounds.measure(left, number, workload)
        await sample_on(rounds, wanting, resumed)
        for number, variants in scenario.profile_schedule():
            for variant in variants:
                await _profile(run, prepared[variant.name], number, workload)


async def startable(scenario: Scenario) -> Provisioner:
    """Where the run gets its server from. Raises for one that cannot be had, before anything is made ready for it."""
    starting = await provisioner(scenario.database, needed=scenario.needs_database)
    await starting.check()
    return starting


@asynccontextmanager
async def begun(
    scenario: Scenario,
    starting: Provisioner,
    journal: Journal,
    progress: Progress,
    *,
    resumed: Resumable | None = None,
    watch: SampleWatch | None = None,
) -> AsyncGenerator[Run]:
    """A run whose servers are there, and whose journal says where it happens."""
    target = open_target(scenario)
    async with (
        _reached(scenario, progress) as hosts,
        redis_server(scenario.redis) as redis,
        starting.start(scenario.database.settings) as server,
        keeping_log(server, journal.path.parent),
    ):
        refuse_impossible(scenario.timeline, server)
        async with cooling(scenario, server) as cold:
            run = Run(scenario, target, server, redis, journal, progress, hosts, watch, cooling=cold)
            begin(run, resumed)
            yield run


@asynccontextmanager
async def _reached(scenario: Scenario, progress: Progress) -> AsyncGenerator[Hosts]:
    """The hosts, once each is known to measure the same. Raises `UsageError` before any server is started for them."""
    if not is_here(scenario.workers):
        progress.preparing("reaching the hosts of its workers")
    async with hosts_of(scenario.workers) as hosts:
        if hosts.is_apart:
            draw = None if scenario.draws_from_database else partial(drawn_digest, scenario.for_worker)
            await hosts.check(scenario.target, draw)
        progress.preparing("starting PostgreSQL")
        yield hosts


def begin(run: Run, resumed: Resumable | None = None) -> None:
    """Says where the run happens; one that goes on has to happen where it began."""
    environment = all_without_secrets(fingerprint(run.server.facts).model_dump(mode="json"))
    if run.redis:
        environment["software"]["redis"] = f"{run.redis.version} ({run.redis.source})"
    if resumed:
        if resumed.record.environment.host:
            refuse_unlike(resumed.record, resumed.record.environment.model_dump(mode="json"), environment)
        run.journal.write("resumed", {"at": datetime.now(UTC).isoformat()})
    run.journal.write("environment", {"environment": environment})


Parts = Callable[[Sequence[str], int, Workload], Mapping[str, TurnTaker]]
"""Of a round by its number, what each of these variants does, in the order in which they begin."""


@dataclass(frozen=True, slots=True)
class Rounds:
    """Measures a round at a time: one variant after the other, or in turns where phases are cut into slices.

    `longest_s` is how long each variant took at most.
    """

    run: Run
    parts: Parts
    started: float
    longest_s: dict[str, float] = field(default_factory=dict[str, float])

    async def measure(self, names: Sequence[str], number: int, workload: Workload) -> None:
        parts = self.parts(names, number, workload)
        if self.run.scenario.slices > 1:
            await self._timed(parts, in_turns(parts))
        else:
            for name, part in parts.items():
                await self._timed([name], part(at_once))

    async def _timed(self, names: Collection[str], passes: Awaitable[None]) -> None:
        begun = perf_counter()
        await passes
        now = perf_counter()
        for name in names:
            self.longest_s[name] = max(self.longest_s.get(name, 0.0), (now - begun) / len(names))
        self.run.journal.write("elapsed", {"elapsed_s": now - self.started})


def _parts(
    run: Run, prepared: Mapping[str, Prepared], names: Sequence[str], number: int, workload: Workload
) -> Mapping[str, TurnTaker]:
    return {name: partial(measure_variant, run, prepared[name], number, workload) for name in names}


async def sample_on(rounds: Rounds, wanting: Wanting, resumed: Resumable | None = None) -> None:
    """Rounds beyond the planned ones, of the variants that need them, each round with requests of its own.

    None begins that would end after the time for it, if each variant takes as long as it took at most until now.
    """
    run, scenario = rounds.run, rounds.run.scenario
    time_s_max = scenario.sampling.time_s_max
    spent_s, last = (resumed.sampled_on_s, resumed.last_round) if resumed else (0.0, 0)
    for number in count(max(last, scenario.rounds) + 1):
        wanted = wanting(_look(run.journal, spent_s)) if time_s_max else dict[str, str]()
        if not wanted:
            return
        expected_s, left_s = sum(rounds.longest_s.get(name, 0.0) for name in wanted), time_s_max - spent_s
        if expected_s > left_s:
            run.progress.note(
                f"No further round: it takes some {expected_s:.0f} s, and {left_s:.0f} s are left for it."
            )
            return
        try:
            workload = scenario.workload_of(number)
        except UsageError as error:
            run.progress.note(f"No further round: {error}")
            return
        begun = perf_counter()
        for reason in dict.fromkeys(wanted.values()):
            names = ", ".join(name for name in wanted if wanted[name] == reason)
            run.progress.note(f"Sampling on, {names}: {reason}")
        await rounds.measure(list(wanted), number, workload)
        spent_s += perf_counter() - begun


def _look(journal: Journal, sampled_on_s: float) -> RunRecord:
    """The run until now, with the look that is taken at it."""
    record = read(journal.path)
    samples = {variant.name: len(variant.samples) for variant in record.variants}
    journal.write("look", {"samples": samples, "sampled_on_s": sampled_on_s})
    return record.model_copy(update={"looks": (*record.looks, samples)})


@asynccontextmanager
async def keeping_log(server: Server, directory: Path) -> AsyncGenerator[None]:
    """Writes the end of the server's log beside the journal when the run fails."""
    try:
        yield
    except UsageError:
        raise  # It is not the server's fault.
    except Exception:
        if log := await server.log():
            (directory / LOG_FILE).write_text(without_secrets(log), encoding="utf-8")
        raise


async def prepare_variants(run: Run) -> Mapping[str, Prepared]:
    """A template for each schema version that a variant needs: what is loaded once is cloned from there."""
    templates: dict[int, str] = {}
    for version in sorted({run.target.schema_version(variant) for variant in run.scenario.variant_names}):
        name = f"template_{version}"
        base = run.target.base_of(version, templates)
        if base is None:
            run.progress.preparing(f"loading {run.target.contents}")
            await run.target.prepare(await run.server.create_database(name), version)
        else:
            run.progress.preparing(f"migrating {run.target.contents} to {version:03d}")
            await run.target.migrate(await run.server.clone_database(templates[base], name), version)
        templates[version] = name
    return {variant.name: _prepared(run, variant, templates) for variant in run.scenario.lineup}


async def drawn(run: Run, template: str) -> Run:
    """The run with what its scenario draws from a clone of the template."""
    scenario = await run.scenario.with_draws(await run.server.clone_database(template, DRAWN_FROM))
    await run.server.drop_database(DRAWN_FROM)
    return replace(run, scenario=scenario)


def _prepared(run: Run, variant: Variant, templates: Mapping[int, str]) -> Prepared:
    version = run.target.schema_version(variant.strategy)
    description = run.target.variants()[variant.strategy]
    return Prepared(
        variant.name, variant.strategy, templates[version], version, description, control_of=variant.control_of
    )


async def measure_variant(run: Run, variant: Prepared, number: int, workload: Workload, gate: Gate) -> None:
    """One variant, one round, on a clone of what was prepared for it."""
    run.progress.preparing(f"{variant.name}: cloning the database and warming up")
    run.journal.write(
        "variant",
        {
            "name": variant.name,
            "round": number,
            "description": variant.description,
            "schema_version": variant.schema_version,
            "control_of": variant.control_of,
            "in_process": run.target.in_process,
        },
    )
    shared = run.target.shared if variant.interpreter is None else nothing_shared
    async with placed(run, variant.strategy, f"round_{number}_{variant.name}", variant.template) as place:
        async with shared(place.context) as context:
            service = await asyncio.to_thread(ServiceProcesses, context.service_url)
            surroundings = AtPlace(run, place, variant.name, number, gate, service)
            measured = Pass(run.scenario, variant.name, number, run.journal, run.progress, surroundings)
            async with _workers(run, variant, measured, context, workload) as workers:
                await measure(measured, workers)
        await surroundings.closed()


@asynccontextmanager
async def _workers(
    run: Run, variant: Prepared, measured: Pass, context: TargetContext, workload: Workload
) -> AsyncGenerator[Sequence[Worker]]:
    """One in this process, unless the scenario wants several or another revision is measured; each is prepared."""
    if variant.interpreter is None and not run.hosts.is_apart and len(run.hosts.places) == 1:
        async with run.target.open(context) as target:
            here = LocalWorker(measured, workload, target)
            await here.prepare()
            yield [here]
    else:
        # Workers of this revision say themselves what their sessions did not tell the server.
        ours = variant.interpreter is None
        flushed = ours or run.target.in_process
        tasks = _tasks(run, variant, measured, context, digest(workload) if ours and run.hosts.is_apart else "")
        async with working(tasks, variant.interpreter, run.hosts if ours else None) as processes:
            parts = [
                Part(number, place.host, run.hosts.is_apart, Share(*task.share, task.weights))
                for number, (place, task) in enumerate(zip(run.hosts.places, tasks, strict=False))
            ]
            workers = [
                ProcessWorker(measured, process, flushed=flushed, ends_when_told=ours, part=part if ours else None)
                for process, part in zip(processes, parts, strict=False)
            ]
            await all_of(worker.prepare() for worker in workers)
            yield workers


def _tasks(run: Run, variant: Prepared, measured: Pass, context: TargetContext, requests: str) -> Sequence[Task]:
    """A share of the pass for each worker. One of another revision has it all, and all that it needs of its own."""
    weights = [1] if variant.interpreter else [place.weight for place in run.hosts.places]
    shares = len(weights)
    return [
        Task(
            task="measure",
            scenario=run.scenario.for_worker,
            variant=variant.name,
            strategy=variant.strategy,
            database_url=context.database_url,
            embedding_url=context.embedding_url,
            redis_url=context.redis_url,
            service_url=context.service_url,
            round=measured.round_number,
            share=(index, shares),
            requests=requests,
            weights=tuple(weights) if len(set(weights)) > 1 else (),
            paced=True,
            ends_when_told=variant.interpreter is None,
        )
        for index in range(shares)
    ]


async def _profile(run: Run, variant: Prepared, number: int, workload: Workload) -> None:
    """One variant, one round, in the pass that nothing is timed in."""
    assert run.scenario.profile is not None, "without its settings no round is planned"
    run.progress.preparing(f"{variant.name}: cloning the database to profile")
    requests = requests_of(run.scenario, workload, run.scenario.profile)
    async with (
        placed(run, variant.strategy, f"profile_{number}_{variant.name}", variant.template) as place,
        run.target.open(place.context) as target,
    ):
        await target.prime(workload.primed_texts)
        profiling = ProfilingPass(
            target,
            variant.name,
            number,
            run.scenario.profile,
            run.journal,
            run.progress,
            run.server.admin_url,
            place.database,
            run.target.packages,
        )
        await profiling.run(requests)


async def _rolled_back(place: Place) -> int:
    """By sessions that have ended, or are about to: each tells it as it ends. 0 where nobody says."""
    for _ in range(SESSION_ENDS_POLLED):
        row = await place.ask(ROLLED_BACK, place.database)
        if row is None or not row["sessions"]:
            return row["transactions"] if row else 0
        await asyncio.sleep(SESSION_ENDS_POLL_S)
    return 0


async def not_ours(query: str, *values: object) -> NoReturn:
    """In place of the server's answers where it is not what the target works on: they would say that it did nothing."""
    del query, values
    raise NotObserved("what is measured has a database of its own, which is not the run's")


async def nothing_seen() -> None:
    """In place of the server's processor time, for the same reason."""


def _refuse_failover(scenario: Scenario) -> None:
    if any(entry.action == "fail_over" for entry in scenario.timeline):
        raise ProvisioningError(
            "The timeline wants fail_over, and a latency or cut_network puts a proxy before the server that is lost. "
            "Use the latency `local`, and no cut_network."
        )


@asynccontextmanager
async def _as_far(url: str, latency: LatencyProfile) -> AsyncGenerator[str]:
    """The same database, as far away as the latency model says; what cuts the network to the first leaves it alone."""
    host, port = endpoints(url)[0]
    async with delay_proxy(host, port, one_way_delay_s=latency.database_rtt_ms / 2000) as proxy:
        yield with_endpoint(url, proxy.host, proxy.port)


@asynccontextmanager
async def placed(run: Run, strategy: str, database: str, template: str) -> AsyncGenerator[Place]:
    """A place for the strategy: a clone of its own, as far away as the latency model says."""
    latency = run.scenario.latency
    proxy: DelayProxy | None = None
    async with AsyncExitStack() as stack:
        url = straight = await run.server.clone_database(template, database)
        stack.push_async_callback(run.server.drop_database, database)
        name = unquote(urlsplit(url).path.removeprefix("/"))
        replica_urls: Sequence[str] = run.server.standby_urls(straight)
        embedding_url: str | None = None
        if latency.embedding is not None and run.target.embedder is not None:
            embedding_url = await stack.enter_async_context(
                embedding_server(
                    latency.embedding,
                    faults=run.scenario.faults_of_embedding,
                    embedder=run.target.embedder,
                    seed=run.scenario.seed,
                )
            )
        if latency.database_rtt_ms or run.scenario.cuts_network:
            _refuse_failover(run.scenario)
            host, port = endpoints(url)[0]
            proxy = await stack.enter_async_context(
                delay_proxy(host, port, one_way_delay_s=latency.database_rtt_ms / 2000)
            )
            url = with_endpoint(url, proxy.host, proxy.port)
            replica_urls = [await stack.enter_async_context(_as_far(each, latency)) for each in replica_urls]
        if run.redis:
            await run.redis.empty()
        context = TargetContext(
            strategy,
            url,
            run.scenario.side_by_side,
            embedding_url,
            run.redis.url if run.redis else None,
            replica_urls=tuple(replica_urls),
        )
        ask = await stack.enter_async_context(asking(run.server.admin_url))
        log = ServerLog(run.server.log_on, name)
        sent = SentStatements(straight, run.server.admin_url, log)
        inside = await stack.enter_async_context(asking(straight)) if run.by_table else None
        yield Place(context, run.server, name, Disruptor(run.server, proxy), ask, log, sent, proxy, inside)
