"""From a scenario to a journal: provision, load the corpus, then measure each variant on its own clone.

Variants are measured in turn on one server, from the same database, with the same requests in the same order.
Each begins with what is declared and discarded: priming (texts that a running service would know) and warm-up.
"""

import gc
from bisect import bisect_right
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Final
from urllib.parse import urlsplit

from harness.arrivals.closed_loop import ClosedLoopSettings
from harness.arrivals.protocol import Bounds
from harness.arrivals.virtual_users import USERS_MAX
from harness.clock import MonotonicClock
from harness.draws import Draws
from harness.embedding_server import embedding_server
from harness.environment import fingerprint
from harness.errors import TargetError
from harness.journal import Journal
from harness.network import DelayProxy, delay_proxy, with_endpoint
from harness.progress import Progress
from harness.provisioners import provisioner
from harness.provisioners.protocol import Server
from harness.record import PhaseRecord, Sample
from harness.scenario import Phase, Scenario, Variant
from harness.targets import TARGETS
from harness.targets.protocol import LoadedMemory, OpenTarget, Request, Response, Target, TargetContext
from harness.timeline import Disruptor, Timeline, refuse_impossible
from harness.workloads.protocol import Workload

LOG_FILE: Final = "server.log"
CLOCK: Final = MonotonicClock()


@dataclass(frozen=True, slots=True)
class Run:
    """What stays the same while a run's variants are measured."""

    scenario: Scenario
    workload: Workload
    target: Target
    server: Server
    journal: Journal
    progress: Progress


async def execute(scenario: Scenario, journal: Journal, progress: Progress) -> None:
    """Measures every variant of the scenario into the journal."""
    started = perf_counter()
    corpus = scenario.open_corpus()
    workload = scenario.open_workload(corpus)
    target = TARGETS[scenario.target]()
    progress.preparing("starting PostgreSQL")
    starting = await provisioner(scenario.database)
    async with starting.start(scenario.database.settings) as server, keeping_log(server, journal.path.parent):
        refuse_impossible(scenario.timeline, server)
        run = Run(scenario, workload, target, server, journal, progress)
        journal.write("environment", {"environment": fingerprint(server.facts).model_dump(mode="json")})
        templates = await _load(run, scenario.loaded(corpus))
        for round_number, variant in scenario.schedule():
            await _measure(run, variant, round_number, templates[target.schema_version(variant.strategy)])
            journal.write("elapsed", {"elapsed_s": perf_counter() - started})


@asynccontextmanager
async def keeping_log(server: Server, directory: Path) -> AsyncGenerator[None]:
    """Writes the end of the server's log beside the journal when the run fails."""
    try:
        yield
    except Exception:
        if log := await server.log():
            (directory / LOG_FILE).write_text(log, encoding="utf-8")
        raise


async def _load(run: Run, corpus: Sequence[LoadedMemory]) -> Mapping[int, str]:
    """A template for each schema version that a variant needs: the corpus is loaded once, and cloned from there."""
    templates: dict[int, str] = {}
    for version in sorted({run.target.schema_version(variant) for variant in run.scenario.strategies}):
        name = f"template_{version}"
        if templates:
            run.progress.preparing(f"migrating the corpus to {version:03d}")
            url = await run.server.clone_database(templates[max(templates)], name)
            await run.target.migrate(url, version)
        else:
            run.progress.preparing(f"loading {len(corpus):,} memories")
            url = await run.server.create_database(name)
            await run.target.prepare(url, version, corpus)
        templates[version] = name
    return templates


async def _measure(run: Run, variant: Variant, round_number: int, template: str) -> None:
    """One variant, one round: clone, prime, warm up, measure, drain."""
    run.progress.preparing(f"{variant.name}: cloning the database and warming up")
    run.journal.write(
        "variant",
        {
            "name": variant.name,
            "description": run.target.variants()[variant.strategy],
            "schema_version": run.target.schema_version(variant.strategy),
            "control_of": variant.control_of,
        },
    )
    database = f"round_{round_number}_{variant.name}"
    async with _open(run, variant.strategy, database, template) as (target, disruptor):
        await target.prime(run.workload.primed_texts)
        pass_ = Pass(run, variant.name, round_number, target, disruptor, perf_counter())
        phases = [(phase, run.workload.by_phase[phase.name]) for phase in run.scenario.phases]
        for phase, requests in phases:
            await pass_.warm_up(phase, requests[: phase.warm_up])
        await target.drain()
        keep_from_collector()
        before = await target.statistics()
        pass_ = replace(pass_, started=perf_counter())
        for phase, requests in phases:
            await pass_.measure(phase, requests[phase.warm_up :])
        run.progress.preparing(f"{variant.name}: finishing the background work")
        drain_started = perf_counter()
        await target.drain()
        statistics = (await target.statistics()).since(before)
        run.journal.write(
            "variant_end",
            {
                "name": variant.name,
                "complete": True,
                "drain_s": perf_counter() - drain_started,
                "cache": cache_figures(statistics.cache),
                "pool": dict(statistics.pool),
                "background": [asdict(work) for work in statistics.background],
            },
        )


def keep_from_collector() -> None:
    """Else Python's collector goes through all texts and requests of the run while a request is timed."""
    gc.collect()
    gc.freeze()


def cache_figures(counters: Mapping[str, int]) -> dict[str, float]:
    """The counters with the share of hits in all look-ups; empty where there is no cache."""
    lookups = sum(counters.get(name, 0) for name in ("hits", "misses", "coalesced"))
    return {**counters, "hit_rate": counters["hits"] / lookups} if lookups else {}


@asynccontextmanager
async def _open(run: Run, strategy: str, database: str, template: str) -> AsyncGenerator[tuple[OpenTarget, Disruptor]]:
    """The strategy on a clone of its own, as far away as the latency model says, and what can disrupt it there."""
    latency = run.scenario.latency
    proxy: DelayProxy | None = None
    async with AsyncExitStack() as stack:
        url = await run.server.clone_database(template, database)
        stack.push_async_callback(run.server.drop_database, database)
        embedding_url: str | None = None
        if latency.embedding is not None:
            embedding_url = await stack.enter_async_context(
                embedding_server(
                    latency.embedding,
                    faults=run.scenario.embedding_faults,
                    embedder=run.target.embedder,
                    seed=run.scenario.seed,
                )
            )
        if latency.database_rtt_ms or run.scenario.cuts_network:
            upstream = urlsplit(url)
            assert upstream.hostname is not None, "a server's URL names its host"
            proxy = await stack.enter_async_context(
                delay_proxy(upstream.hostname, upstream.port or 5432, one_way_delay_s=latency.database_rtt_ms / 2000)
            )
            url = with_endpoint(url, proxy.host, proxy.port)
        context = TargetContext(strategy, url, run.scenario.side_by_side, embedding_url)
        yield await stack.enter_async_context(run.target.open(context)), Disruptor(run.server, proxy)


@dataclass(frozen=True, slots=True)
class Pass:
    """One variant's pass over the phases; `started` is the zero of its samples' times."""

    run: Run
    variant: str
    round_number: int
    target: OpenTarget
    disruptor: Disruptor
    started: float

    async def warm_up(self, phase: Phase, requests: Sequence[Request]) -> None:
        """Discards what it measures; a failure shows again in the timed pass, where it is counted."""

        async def issue(request: Request, _intended: float) -> None:
            await self._perform(request)

        # Twice as many users, since background work shares the connections, and each prepares its own statements.
        users = min(2 * phase.open(self.run.scenario.seed).side_by_side, USERS_MAX)
        crowd = ClosedLoopSettings(users=users).open(Bounds(time_s=phase.duration_s / 2), lambda _: Draws(0, ""))
        await crowd.drive(requests, issue, CLOCK)

    async def measure(self, phase: Phase, requests: Sequence[Request]) -> None:
        self.run.progress.phase(self.variant, phase.name, len(requests), phase.duration_s)
        arrival = phase.open(self.run.scenario.seed)
        begun = CLOCK.now()
        started = 0
        ended = begun
        stage_starts = [begun + stage.start_s for stage in phase.arrival.stage_records]

        async def issue(request: Request, intended: float) -> None:
            nonlocal started, ended
            started += 1
            actual = CLOCK.now()
            response, error = await self._perform(request)
            ended = CLOCK.now()
            sample = Sample(
                operation=request.operation,
                round=self.round_number,
                phase=phase.name,
                stage=bisect_right(stage_starts, intended) - 1 if stage_starts else None,
                scheduled=arrival.loop == "open",
                intended_s=intended - self.started,
                started_s=actual - self.started,
                ended_s=ended - self.started,
                error=error,
                first_time_text=request.first_time_text,
                **asdict(response),
            )
            self.run.journal.sample(self.variant, sample)
            self.run.progress.sample(sample)

        async with self._timeline(phase, begun).playing():
            dropped = await arrival.drive(requests, issue, CLOCK)
        record = PhaseRecord(
            name=phase.name,
            workload=phase.workload or phase.arrival.kind,
            round=self.round_number,
            arrival=phase.arrival.kind,
            loop=arrival.loop,
            users=arrival.users,
            rate_per_s_target=arrival.starts / phase.duration_s if arrival.starts and phase.duration_s else None,
            planned=arrival.starts,
            started=started,
            dropped=dropped,
            started_s=begun - self.started,
            ended_s=ended - self.started,
            stages=phase.arrival.stage_records,
        )
        self.run.journal.phase(self.variant, record)

    def _timeline(self, phase: Phase, begun: float) -> Timeline:
        entries = [entry for entry in self.run.scenario.timeline if entry.phase == phase.name]
        record = partial(self.run.journal.disruption, self.variant)
        return Timeline(entries, self.round_number, self.started, begun, CLOCK, self.disruptor, record)

    async def _perform(self, request: Request) -> tuple[Response, str | None]:
        try:
            return await self.target.perform(request), None
        except TargetError as error:
            self.run.progress.failure(self.variant, request.operation, error)
            return Response(), error.kind
