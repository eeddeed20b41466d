"""Places: where each variant of a run is measured, on a clone of its own, as far away as the scenario says."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from harness.errors import ProvisioningError
from harness.journal import Journal
from harness.measuring.cooling import Cooling
from harness.measuring.hosts.protocol import Hosts
from harness.measuring.latencies import LatencyProfile
from harness.measuring.observation import asking
from harness.measuring.probes.protocol import AskServer
from harness.measuring.progress import Progress
from harness.measuring.scenario import Scenario
from harness.measuring.sent_statements import SentStatements
from harness.measuring.server_log import ServerLog
from harness.measuring.servers.addresses import endpoints
from harness.measuring.servers.embedding_server import embedding_server
from harness.measuring.servers.network import DelayProxy, delay_proxy, with_endpoint
from harness.measuring.servers.provisioners.protocol import Server
from harness.measuring.servers.redis_server import RedisServer
from harness.measuring.targets.protocol import Target, TargetContext
from harness.measuring.timeline import Disruptor
from harness.samples import Sample

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
