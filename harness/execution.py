"""From a scenario to a journal: provision, load the corpus, then measure each variant on its own clone.

Variants are measured in turn on one server, from the same database, with the same requests in the same order.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Final
from urllib.parse import urlsplit

from harness.embedding_server import embedding_server
from harness.environment import fingerprint
from harness.journal import Journal
from harness.network import DelayProxy, delay_proxy, with_endpoint
from harness.passes import CLOCK, Pass
from harness.progress import Progress
from harness.provisioners import provisioner
from harness.provisioners.protocol import Server
from harness.scenario import Phase, Scenario, Variant
from harness.targets import TARGETS
from harness.targets.protocol import LoadedMemory, OpenTarget, Target, TargetContext
from harness.timeline import Disruptor, Timeline, refuse_impossible
from harness.workloads.protocol import Workload

LOG_FILE: Final = "server.log"


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
    """One variant, one round."""
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

        def timeline(phase: Phase, zero: float, begun: float) -> AbstractAsyncContextManager[None]:
            entries = [entry for entry in run.scenario.timeline if entry.phase == phase.name]
            record = partial(run.journal.disruption, variant.name)
            return Timeline(entries, round_number, zero, begun, CLOCK, disruptor, record).playing()

        pass_ = Pass(
            run.scenario, run.workload, variant.name, round_number, target, run.journal, run.progress, timeline
        )
        await pass_.prepare()
        await pass_.measure()


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
        context = TargetContext(strategy, url, run.scenario.side_by_side, embedding_url, run.scenario.service_url)
        yield await stack.enter_async_context(run.target.open(context)), Disruptor(run.server, proxy)
