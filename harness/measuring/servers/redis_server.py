"""A Redis of a run's own, where its scenario wants the cache's second tier: a container, or the program `redis-server`.

It listens on 127.0.0.1 with a password drawn for the run, keeps nothing on disk, and is gone however the run ends.
"""

import asyncio
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Final, cast

from harness.children import environment
from harness.errors import ProvisioningError
from harness.measuring.section import Section
from harness.measuring.servers.provisioners import AUTO, engine_answers
from harness.measuring.servers.provisioners._shared.databases import free_port
from harness.measuring.servers.reaper import outliving

LOCAL: Final = "127.0.0.1"
PORT: Final = 6379
PROGRAM: Final = "redis-server"
START_TIMEOUT_S: Final = 30.0
POLL_INTERVAL_S: Final = 0.02

# A command line would show the password, so it comes through the environment and standard input.
IN_CONTAINER: Final = (
    "sh",
    "-c",
    'printf \'requirepass %s\\nsave ""\\nappendonly no\\n\' "$REDIS_PASSWORD" | redis-server -',
)


class CacheSettings(Section, frozen=True):
    """Tells what a scenario's `[cache]` says."""

    redis: str | None = None
    """Where the second tier's Redis comes from; none unless stated."""
    image: str = "redis:7"
    """container: Redis."""


@dataclass(frozen=True, slots=True)
class RedisServer:
    """A Redis that answers. `source` is what it runs as: `container` or `program`."""

    url: str = field(repr=False)
    source: str
    version: str

    async def empty(self) -> None:
        """Forgets everything, so that no variant finds what another one has kept."""
        await _command(self.url, "FLUSHALL")


@asynccontextmanager
async def redis_server(settings: CacheSettings) -> AsyncGenerator[RedisServer | None]:
    """None where the scenario wants none. Raises `ProvisioningError` when it cannot be had here."""
    async with AsyncExitStack() as stack:
        if settings.redis is None:
            yield None
        elif settings.redis == AUTO:
            yield await _any(settings, stack)
        else:
            yield await stack.enter_async_context(REDIS[settings.redis](settings))


async def _any(settings: CacheSettings, stack: AsyncExitStack) -> RedisServer:
    """In a container where an engine has the image or can pull it, else the program."""
    if await asyncio.to_thread(engine_answers):
        try:
            return await stack.enter_async_context(_container(settings))
        except ProvisioningError:
            if shutil.which(PROGRAM) is None:
                raise
    return await stack.enter_async_context(_program(settings))


@asynccontextmanager
async def _program(_settings: CacheSettings) -> AsyncGenerator[RedisServer]:
    if shutil.which(PROGRAM) is None:
        raise ProvisioningError(
            "There is no `redis-server` on the PATH for the scenario's second cache tier. Install it (Debian and "
            "Ubuntu: apt-get install redis-server), start a container engine, or leave `redis` out of [cache]."
        )
    port, password = free_port(LOCAL), secrets.token_urlsafe(32)
    async with outliving(f"{__name__}:running", port=str(port), password=password):
        yield await _answering(f"redis://:{password}@{LOCAL}:{port}/0", "program")


@contextmanager
def running(port: str, password: str) -> Generator[None]:
    """The program until the block ends. Entered in the child that outlives the run."""
    settings = {"bind": LOCAL, "port": port, "requirepass": password, "save": '""', "appendonly": "no"}
    process = subprocess.Popen(  # noqa: S603 -- its settings come through standard input
        [shutil.which(PROGRAM) or PROGRAM, "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        cwd=tempfile.gettempdir(),
        env=environment(),
    )
    try:
        assert process.stdin is not None
        process.stdin.write("".join(f"{name} {value}\n" for name, value in settings.items()).encode())
        process.stdin.close()
        yield
    finally:
        process.terminate()
        process.wait()


@asynccontextmanager
async def _container(settings: CacheSettings) -> AsyncGenerator[RedisServer]:
    from harness.measuring.servers.provisioners.testcontainers import place_of, within_container  # noqa: PLC0415 -- an extra

    password = secrets.token_urlsafe(32)
    variables = {"REDIS_PASSWORD": password}
    async with within_container(settings.image, PORT, variables, IN_CONTAINER) as container:
        place = await asyncio.to_thread(place_of, container, PORT)
        yield await _answering(f"redis://:{password}@{place}/0", "container")


REDIS: Final[Mapping[str, Callable[[CacheSettings], AbstractAsyncContextManager[RedisServer]]]] = {
    "container": _container,
    "program": _program,
}


async def _answering(url: str, source: str) -> RedisServer:
    """The server, as soon as it answers."""
    from redis.exceptions import RedisError  # noqa: PLC0415 -- an extra

    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            while True:
                try:
                    found = cast("Mapping[str, object]", await _command(url, "INFO", "server"))
                    return RedisServer(url, source, str(found["redis_version"]))
                except (RedisError, OSError):
                    await asyncio.sleep(POLL_INTERVAL_S)
    except TimeoutError:
        raise ProvisioningError(
            f"Redis ({source}) did not answer within {START_TIMEOUT_S:g} s. Try again when the machine is less busy."
        ) from None


async def _command(url: str, *command: str) -> object:
    from redis.asyncio import Redis  # noqa: PLC0415 -- an extra

    from_url = cast("Callable[[str], Redis]", Redis.from_url)  # pyright: ignore[reportUnknownMemberType]
    async with from_url(url) as client:
        return await cast("Awaitable[object]", client.execute_command(*command))  # type: ignore[no-untyped-call]  # pyright: ignore[reportUnknownMemberType]
