"""The network between a target and its PostgreSQL: a proxy that adds a stated delay, counts round trips, can be cut.

The proxy is a process of its own. Measured with 8 users of 232 statements each, who work 0.5 ms between two of them,
and 20 ms injected per round trip: median 20.7 ms through a process, 25.7 ms through the same proxy in the harness's
event loop, where it waits for the users' work. Without that work and with 0.5 ms injected: 1.0 ms and 3.0 ms, since
the usual event loop sleeps whole milliseconds. A statement alone takes 0.2 to 0.4 ms longer than what is injected
for the way through the proxy, and up to 0.6 ms more where processors fall asleep in between: with 20 ms, 21.1 ms.
"""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit, urlunsplit

from harness.children import environment
from harness.errors import ProvisioningError
from harness.measuring.servers.lifeline import start

HOST: Final = "127.0.0.1"
PROGRAM: Final = Path(__file__).with_name("delay_proxy.py")
BACKLOG: Final = 512


@dataclass(frozen=True, slots=True)
class ProxyCounters:
    """Says what has passed through a proxy. A round trip ends with the server's first data after the client's."""

    connections: int
    round_trips: int
    bytes_to_server: int
    bytes_to_client: int


@dataclass(frozen=True, slots=True)
class DelayProxy:
    """A running proxy: connections to `host`:`port` reach the upstream, each direction `one_way_delay_s` later."""

    host: str
    port: int
    one_way_delay_s: float
    _process: asyncio.subprocess.Process = field(repr=False)
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    async def counters(self) -> ProxyCounters:
        """All that a client has seen before it asks is counted. Raises `ProvisioningError` when the proxy is gone."""
        return await self._ask("")

    @asynccontextmanager
    async def cut(self) -> AsyncGenerator[None]:
        """Lets nothing through within the block, neither data nor new connections; afterwards it all goes on.

        So a pulled cable shows: nobody is told, and who waits goes on waiting until a timeout of its own.
        """
        await self._ask("cut")
        try:
            yield
        finally:
            await self._ask("restore")

    async def _ask(self, question: str) -> ProxyCounters:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._asking:
            self._process.stdin.write(f"{question}\n".encode())
            answer = await self._process.stdout.readline()
        if not answer:
            raise ProvisioningError(
                f"The delay proxy on {self.host}:{self.port} has ended, and the connections through it with it. "
                "Run again; if it ends again, leave the network latency and cut_network out of the scenario."
            )
        return ProxyCounters(**json.loads(answer))


@asynccontextmanager
async def delay_proxy(upstream_host: str, upstream_port: int, *, one_way_delay_s: float) -> AsyncGenerator[DelayProxy]:
    """A proxy on a free port of 127.0.0.1. A round trip through it, TCP's own included, takes twice the delay longer.

    It ends with the block, or with this process, however that ends.
    """
    assert one_way_delay_s >= 0
    with socket.create_server((HOST, 0), backlog=BACKLOG) as listener:
        port: int = listener.getsockname()[1]
        process = await _start(listener, upstream_host, upstream_port, one_way_delay_s)
    assert process.stdin is not None
    try:
        yield DelayProxy(HOST, port, one_way_delay_s, process)
    finally:
        process.stdin.close()
        await process.wait()


async def _start(
    listener: socket.socket, upstream_host: str, upstream_port: int, one_way_delay_s: float
) -> asyncio.subprocess.Process:
    """The listener is made here, so its port is known and clients may connect before the process is up."""
    descriptor = listener.fileno()
    arguments = (descriptor, upstream_host, upstream_port, one_way_delay_s)
    command = (sys.executable, "-IS", str(PROGRAM), *map(str, arguments))
    return await start(*command, env=environment(), pass_fds=(descriptor,))


def with_endpoint(url: str, host: str, port: int) -> str:
    """The database URL with another host and port; user, password, database and parameters stay.

    Raises `ProvisioningError` when TLS is to verify the host's name, which the proxy's address is not.
    """
    parts = urlsplit(url)
    if parse_qs(parts.query).get("sslmode") == ["verify-full"]:
        raise ProvisioningError(
            "A latency is injected by a proxy on this machine, through which sslmode=verify-full finds another name "
            "than the server's. Use sslmode=verify-ca, which verifies the certificate alone, or the latency `local`."
        )
    credentials, at, _ = parts.netloc.rpartition("@")
    endpoint = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return urlunsplit(parts._replace(netloc=f"{credentials}{at}{endpoint}"))
