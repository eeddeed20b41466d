"""The service in the test's own process: with a client that needs no socket, or behind a real one in a thread."""

import threading
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

import httpx
import uvicorn

from anima.assembly import Anima
from anima.embeddings.protocol import EmbeddingSettings
from anima.http.app import Watchers, application
from anima.http.callers import NOBODYS, Callers
from anima.http.server import ServiceOptions, configuration, listening
from anima.strategy import FRONTIER
from tests.waiting import TIMEOUT_S


@asynccontextmanager
async def client_of(
    anima: Anima, watchers: Watchers | None = None, callers: Callers | None = None
) -> AsyncGenerator[httpx.AsyncClient]:
    """An unexpected failure becomes the answer that a client would get, not an exception of the test."""
    transport = httpx.ASGITransport(
        application(callers or Callers({NOBODYS: anima}), watchers=watchers), raise_app_exceptions=False
    )
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        yield client


def options_for(database_url: str) -> ServiceOptions:
    return ServiceOptions(database_url, FRONTIER, EmbeddingSettings(provider="hashing"), port=0)


@contextmanager
def served(options: ServiceOptions) -> Generator[int]:
    """The port of a server that runs as `anima serve` does, but for its signals and its log."""
    server = uvicorn.Server(configuration(options, logging=None))
    with listening(options.host, options.port) as listener:
        port: int = listener.getsockname()[1]
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            deadline = time.monotonic() + TIMEOUT_S
            while not server.started and thread.is_alive() and time.monotonic() < deadline:
                time.sleep(0.01)
            assert server.started, "the server did not start"
            yield port
        finally:
            server.should_exit = True
            thread.join()
