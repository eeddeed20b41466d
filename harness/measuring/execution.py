"""From a scenario to a journal: provision, load the corpus, then measure each variant on its own clone.

Variants are measured in turn on one server, from the same database, with the same requests in the same order.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Final

from harness.errors import UsageError
from harness.journal import Journal, Resumable, read
from harness.measuring.arrivals.protocol import Share
from harness.measuring.cooling import cooling
from harness.measuring.driving import LocalWorker
from harness.measuring.environment import fingerprint
from harness.measuring.hosts import hosts_of, is_here
from harness.measuring.hosts.protocol import Hosts, Interpreter
from harness.measuring.operations import Workload
from harness.measuring.passes import Pass, Worker, all_of, measure
from harness.measuring.places import Run, SampleWatch, placed
from harness.measuring.profiling import ProfilingPass, requests_of
from harness.measuring.progress import Progress
from harness.measuring.resumption import refuse_unlike
from harness.measuring.scenario import Scenario, Variant
from harness.measuring.servers.provisioners import provisioner
from harness.measuring.servers.provisioners.protocol import Provisioner, Server
from harness.measuring.servers.redis_server import redis_server
from harness.measuring.servers.service import ServiceProcesses
from harness.measuring.surroundings import AtPlace
from harness.measuring.targets import open_target
from harness.measuring.targets.protocol import TargetContext, nothing_shared
from harness.measuring.timeline import refuse_impossible
from harness.measuring.turns import Gate, TurnTaker, at_once, in_turns
from harness.measuring.worker import Task, digest, drawn_digest
from harness.measuring.worker_processes import Part, ProcessWorker, working
from harness.record import RunRecord
from harness.redaction import all_without_secrets, without_secrets

LOG_FILE: Final = "server.log"

DRAWN_FROM: Final = "drawn_from"

Wanting = Callable[[RunRecord], Mapping[str, str]]
"""Of a run until now: the variants that need more samples, each with the reason."""


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
        workload = _held(run, workload or run.scenario.workload_of(1))
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
            workload = _held(run, scenario.workload_of(number))
        except UsageError as error:
            run.progress.note(f"No further round: {error}")
            return
        begun = perf_counter()
        for reason in dict.fromkeys(wanted.values()):
            names = ", ".join(name for name in wanted if wanted[name] == reason)
            run.progress.note(f"Sampling on, {names}: {reason}")
        await rounds.measure(list(wanted), number, workload)
        spent_s += perf_counter() - begun


def _held(run: Run, workload: Workload) -> Workload:
    """Without its requests where only workers on their hosts send them: ten million take a gigabyte."""
    needed = not run.hosts.is_apart or run.scenario.profile is not None
    return workload if needed else Workload(workload.primed_texts, {}, digest(workload))


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
