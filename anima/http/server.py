"""A server process: uvicorn around the application, from its start to its graceful end."""

import asyncio
import multiprocessing
import os
import signal
import socket
import tempfile
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Final, NamedTuple, NoReturn

import click
import uvicorn
from pydantic import ValidationError
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from anima.assembly import Anima, open_anima, open_tenants, provider_for
from anima.background import is_set_within
from anima.database import Executed, Observer, PoolSettings
from anima.embeddings.protocol import EmbeddingProvider, EmbeddingSettings, SharedCacheSettings
from anima.errors import AnimaError, InvalidInput, extra
from anima.http.api_keys import tenants_of
from anima.http.app import Watchers, application
from anima.http.callers import NOBODYS, Callers
from anima.http.guards import UNGUARDED, GuardSettings, guard_settings, guarding
from anima.http.metrics import Metrics
from anima.http.protocol import TimedHttpProtocol
from anima.http.trace_log import OperationObserver, TraceLog, TraceLogSettings, unobserved
from anima.http.warming import texts_in, warm
from anima.provider_choice import warn_of_another_maker
from anima.settings import Settings, variable_of
from anima.strategy import Strategy
from anima.tenants import schemas_of

BACKLOG: Final = 2048
METRICS_INTERVAL_S: Final = 5.0
WORKER_START_S_MAX: Final = 60
"""After so long without a sign of life a worker is replaced; to start one takes long on a busy machine."""

DEFAULT_PROVIDER: Final = "ollama"
LOGGING: Final[dict[str, object]] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {"httpx": {"level": "WARNING"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
}
"""Each worker configures it anew, since it is a new interpreter. httpx would log every call to a provider."""


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """Says what a server process is made from; it travels to each of them."""

    database_url: str = field(repr=False)
    """The database, as postgresql://."""
    strategy: Strategy
    """The strategy by which requests are answered."""
    embeddings: EmbeddingSettings
    """What the embedding provider is made from."""
    replica_urls: tuple[str, ...] = field(default=(), repr=False)
    """The servers that follow the database and may answer reads."""
    shared_cache: SharedCacheSettings | None = None
    """The cache in Redis; None where there is none."""
    host: str = "127.0.0.1"
    """The address at which the service listens."""
    port: int = 7100
    """The port at which it listens; 0 is any that is free."""
    workers: int = 1
    """How many server processes share the port."""
    shutdown_timeout_s: int = 30
    """How many seconds requests in flight may take after the signal to end."""
    pool: PoolSettings | None = None
    """The pool of connections; None leaves it to the strategy."""
    metrics_directory: Path | None = None
    """Where server processes leave their measurements for each other; None where there is one process."""
    otlp_endpoint: str | None = None
    """Where traces are sent; None where none are."""
    trace_log: TraceLogSettings | None = None
    """The log of operations for replay; None where none is written."""
    guards: GuardSettings = UNGUARDED
    """Who may ask how much."""
    warm_texts: Sequence[str] = ()
    """Texts that are embedded before the first request."""


def options_from(settings: Settings, strategy: Strategy, database_url: str) -> ServiceOptions:
    """Raises `InvalidInput`."""
    return ServiceOptions(
        database_url=database_url,
        strategy=strategy,
        replica_urls=tuple(settings.replica_urls.split()),
        embeddings=embeddings_from(settings),
        shared_cache=shared_cache_from(settings),
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        shutdown_timeout_s=settings.shutdown_timeout_s,
        pool=pool_from(settings, strategy),
        otlp_endpoint=settings.otlp_endpoint,
        trace_log=TraceLogSettings(settings.trace_log, settings.trace_contents) if settings.trace_log else None,
        guards=guard_settings(settings),
        warm_texts=texts_in(settings.warm_texts) if settings.warm_texts else (),
    )


def pool_from(settings: Settings, strategy: Strategy) -> PoolSettings:
    """One worker's share: the size is that of all workers, since it is the database that has to bear it."""
    return PoolSettings(
        size=max(1, (settings.pool_size or strategy.pool_size) // settings.workers),
        acquire_timeout_s=settings.acquire_timeout_s or strategy.acquire_timeout_s,
        command_timeout_s=settings.command_timeout_s,
        statement_timeout_s=settings.statement_timeout_s,
        idle_in_transaction_timeout_s=settings.idle_in_transaction_timeout_s,
    )


def embeddings_from(settings: Settings) -> EmbeddingSettings:
    try:
        return EmbeddingSettings(
            provider=settings.embedding_provider or DEFAULT_PROVIDER,
            ollama_url=settings.ollama_url,
            openai_url=settings.openai_url,
            openai_key=settings.openai_key,
            timeout_s=settings.embedding_timeout_s,
            load_timeout_s=settings.embedding_load_timeout_s,
        )
    except ValidationError as error:
        issue = error.errors()[0]
        raise InvalidInput(f"{variable_of(str(issue['loc'][0]))}: {issue['msg']}") from None


def shared_cache_from(settings: Settings) -> SharedCacheSettings | None:
    try:
        return None if settings.redis_url is None else SharedCacheSettings(url=settings.redis_url)
    except ValidationError as error:
        raise InvalidInput(f"{variable_of('redis_url')}: {error.errors()[0]['msg']}") from None


def serve(options: ServiceOptions) -> None:
    """Serves until SIGTERM or SIGINT, then answers what is in flight and returns. Raises `InvalidInput`."""
    with listening(options.host, options.port) as listener:
        if options.trace_log is not None:
            options.trace_log.create()
        host, port = listener.getsockname()[:2]
        click.echo(f"Serving on http://{f'[{host}]' if ':' in host else host}:{port}", err=True)
        if options.workers == 1:
            with failing_start():
                uvicorn.Server(configuration(options)).run([listener])
            return
        import_nothing_local()
        with shared_metrics() as directory:
            supervisor = Multiprocess(configuration(replace(options, metrics_directory=directory)), [listener])
            supervisor.run()
        if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
            raise NotStarted


class NotStarted(AnimaError):
    """A server process ended before it served; it has logged why."""

    def __init__(self) -> None:
        super().__init__("The service did not start; the lines above say why.")


@contextmanager
def failing_start() -> Generator[None]:
    """Where uvicorn would end the process itself, a start fails as other commands do."""
    try:
        yield
    except SystemExit as end:
        if end.code == STARTUP_FAILURE:
            raise NotStarted from None
        raise


def configuration(options: ServiceOptions, logging: dict[str, object] | None = LOGGING) -> uvicorn.Config:
    return uvicorn.Config(
        Service(options),
        loop="uvloop",
        http=TimedHttpProtocol,
        ws="none",
        lifespan="on",
        access_log=False,
        server_header=False,
        log_config=logging,
        workers=options.workers,
        backlog=BACKLOG,
        timeout_worker_healthcheck=WORKER_START_S_MAX,
        timeout_graceful_shutdown=options.shutdown_timeout_s,
    )


@contextmanager
def shared_metrics() -> Generator[Path]:
    """Where the workers keep what they measure. prometheus_client reads the variable when a worker imports it."""
    with tempfile.TemporaryDirectory(prefix="anima-metrics-") as directory:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = directory
        yield Path(directory)


def import_nothing_local() -> None:
    """Starts the workers' interpreters with `-P`: a select.py where the service is started is none of theirs."""
    os.environ["PYTHONSAFEPATH"] = "1"


def listening(host: str, port: int) -> socket.socket:
    try:
        listener = socket.create_server((host, port), family=family_of(host), backlog=BACKLOG)
    except OSError as error:
        raise InvalidInput(
            f"The service cannot listen on {host}:{port} ({error.strerror}). Choose another with --host and --port."
        ) from None
    # Accepted connections inherit this. Without it, an answer's body can wait for the client to acknowledge its head.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def family_of(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


class Service:
    """The application of one server process: opened when it starts, closed when its last request is answered."""

    def __init__(self, options: ServiceOptions) -> None:
        self._options = options
        self._application: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            assert self._application is not None, "requests come after the start"
            await self._application(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        end_with_supervisor()
        await receive()
        try:
            async with opened(self._options) as self._application:
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except AnimaError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
        else:
            await send({"type": "lifespan.shutdown.complete"})


@asynccontextmanager
async def opened(options: ServiceOptions) -> AsyncGenerator[ASGIApp]:
    """The application with its background work. Work that is not done at the end stays accepted in the database."""
    metrics = Metrics(options.metrics_directory)
    async with AsyncExitStack() as stack:
        tracer = stack.enter_context(tracer_of(options))
        watchers = Watchers(metrics, operations=stack.enter_context(operations_log(options)))
        provider = provider_for(options.embeddings)
        observer = told_in_turn(metrics.observe_statement, *(tracer.observers if tracer else ()))
        animas = await stack.enter_async_context(opened_for_all(options, provider, observer))
        for anima in animas.values():
            await stack.enter_async_context(running(anima.background.run))
            await stack.enter_async_context(running(partial(warn_of_another_maker, anima.memory.database, provider)))
            if anima.cache is not None and options.warm_texts:
                await stack.enter_async_context(running(partial(warm, anima.cache, options.warm_texts)))
        await stack.enter_async_context(running(partial(keep_fresh, metrics, [*animas.values()])))
        guards = await stack.enter_async_context(guarding(options.guards))
        middleware = (*(tracer.middleware if tracer else ()), *guards)
        callers = Callers(animas, is_alone=options.workers == 1)
        yield application(callers, middleware=middleware, watchers=watchers)


@asynccontextmanager
async def opened_for_all(
    options: ServiceOptions, provider: EmbeddingProvider, observer: Observer
) -> AsyncGenerator[Mapping[str, Anima]]:
    """A memory system for each tenant, by name; where there are none, the one that is `NOBODYS`."""
    opening: dict[str, Any] = {
        "shared_cache": options.shared_cache,
        "observer": observer,
        "pool": options.pool,
        "replica_urls": options.replica_urls,
        "has_peers": True,  # Of this server or of another, here or on another machine.
    }
    tenants = tenants_of(options.guards.digests)
    if tenants:
        async with open_tenants(
            options.database_url, options.strategy, provider, schemas_of(tenants), **opening
        ) as animas:
            yield animas
    else:
        async with open_anima(options.database_url, options.strategy, provider, **opening) as anima:
            yield {NOBODYS: anima}


@asynccontextmanager
async def running(loop: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> AsyncGenerator[None]:
    """A loop beside the requests. At the end it is told to stop, and awaited."""
    stop = asyncio.Event()
    task = asyncio.create_task(loop(stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def keep_fresh(metrics: Metrics, animas: Sequence[Anima], stop: asyncio.Event) -> None:
    """Keeps what this process says of itself current, also while other processes are asked for it."""
    metrics.refresh(animas)
    while not await is_set_within(stop, METRICS_INTERVAL_S):
        metrics.refresh(animas)


def told_in_turn(*observers: Observer) -> Observer:
    def observe(executed: Executed, /) -> None:
        for observe in observers:
            observe(executed)

    return observers[0] if len(observers) == 1 else observe


@contextmanager
def operations_log(options: ServiceOptions) -> Generator[OperationObserver]:
    if options.trace_log is None:
        yield unobserved
        return
    with closing(TraceLog(options.trace_log)) as log:
        yield log


class Traced(NamedTuple):
    """Makes spans: of requests, and of statements."""

    middleware: tuple[Middleware, ...]
    observers: tuple[Observer, ...]


@contextmanager
def tracer_of(options: ServiceOptions) -> Generator[Traced | None]:
    if options.otlp_endpoint is None:
        yield None
        return
    try:
        # The packages are those of an extra.
        from anima.http.tracing import StatementSpans, TracingMiddleware, otlp_exporter, tracing  # noqa: PLC0415 -- see above
    except ImportError as error:
        raise InvalidInput(
            f"ANIMA_OTLP_ENDPOINT is set, and the package {error.name} is not installed. "
            f"Install the extra `otel`, or unset the variable: {extra('otel')}."
        ) from None

    with tracing(otlp_exporter(options.otlp_endpoint)) as tracer:
        yield Traced((Middleware(TracingMiddleware, tracer=tracer),), (StatementSpans(tracer),))


def end_with_supervisor() -> None:
    """Lets a worker end in order when the process that started it is gone, which cannot tell it so after `kill -9`."""
    supervisor = multiprocessing.parent_process()
    if supervisor is None:
        return

    def wait() -> None:
        supervisor.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def end_on_signals() -> None:
    """A signal ends the process in order, with exit code 0, whatever it is at; while uvicorn runs, it handles them."""

    def end(signum: int, frame: FrameType | None) -> NoReturn:
        del signum, frame
        raise SystemExit(0)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
