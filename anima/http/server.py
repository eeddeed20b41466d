"""A server process: uvicorn around the application, from its start to its graceful end."""

import asyncio
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Final, NoReturn

import uvicorn
from pydantic import ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.supervisors import Multiprocess

from anima.assembly import open_anima
from anima.embeddings.protocol import EmbeddingSettings, SharedCacheSettings
from anima.errors import AnimaError, InvalidInput
from anima.http.app import application
from anima.settings import Settings, variable_of
from anima.strategy import Strategy, preset

BACKLOG: Final = 2048
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
    """What a server process is made from; it travels to each worker."""

    database_url: str
    strategy: Strategy
    embeddings: EmbeddingSettings
    shared_cache: SharedCacheSettings | None = None
    host: str = "127.0.0.1"
    port: int = 7100
    workers: int = 1
    shutdown_timeout_s: int = 30


def options_from(settings: Settings, database_url: str) -> ServiceOptions:
    """Raises `InvalidInput`."""
    return ServiceOptions(
        database_url=database_url,
        strategy=preset(settings.strategy),
        embeddings=embeddings_from(settings),
        shared_cache=shared_cache_from(settings),
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
    )


def embeddings_from(settings: Settings) -> EmbeddingSettings:
    try:
        return EmbeddingSettings(
            provider=settings.embedding_provider,
            ollama_url=settings.ollama_url,
            openai_url=settings.openai_url,
            openai_key=settings.openai_key,
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
    configuration = uvicorn.Config(
        Service(options),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        server_header=False,
        log_config=LOGGING,
        workers=options.workers,
        backlog=BACKLOG,
        timeout_graceful_shutdown=options.shutdown_timeout_s,
    )
    with listening(options.host, options.port) as listener:
        if options.workers > 1:
            Multiprocess(configuration, [listener]).run()
        else:
            uvicorn.Server(configuration).run([listener])


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
    async with open_anima(
        options.database_url, options.strategy, options.embeddings, shared_cache=options.shared_cache
    ) as anima:
        stop = asyncio.Event()
        workers = asyncio.create_task(anima.background.run(stop))
        try:
            yield application(anima)
        finally:
            stop.set()
            await workers


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
