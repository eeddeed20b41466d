"""The delay proxy as a run uses it: a process between real sockets, and between asyncpg and PostgreSQL."""

import asyncio
import hashlib
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import urlsplit

import asyncpg
import pytest

from harness.errors import ProvisioningError
from harness.measuring.servers.network import DelayProxy, delay_proxy, with_endpoint
from tests.waiting import until

DELAY_S = 0.002

RUN_THAT_WAITS = """
import asyncio
from harness.measuring.servers.network import delay_proxy

async def main():
    async with delay_proxy("127.0.0.1", 1, one_way_delay_s=0) as proxy:
        print(proxy.port, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


async def digest(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers only when it has heard all there is to hear."""
    writer.write(hashlib.sha256(await reader.read()).digest())


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def proxy_to(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncGenerator[DelayProxy]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await talk(reader, writer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, backlog=256) as server:
        host, port = server.sockets[0].getsockname()
        async with delay_proxy(host, port, one_way_delay_s=DELAY_S) as proxy:
            yield proxy


@asynccontextmanager
async def client_of(
    proxy: DelayProxy,
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
    yield reader, writer
    writer.close()


async def refuses_connections(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


async def test_more_than_it_holds_back_passes_unchanged_in_both_directions() -> None:
    """Both at once, so waiting in one direction must not stop the other."""
    sent = os.urandom(20 * 2**20)
    async with proxy_to(echo) as proxy, client_of(proxy) as (reader, writer):
        writer.write(sent)
        writer.write_eof()
        assert await reader.read() == sent
        counters = await proxy.counters()
    assert counters.bytes_to_server == counters.bytes_to_client == len(sent)


async def test_a_client_that_has_said_all_still_hears_the_answer() -> None:
    async with proxy_to(digest) as proxy, client_of(proxy) as (reader, writer):
        writer.write(b"question")
        writer.write_eof()
        assert await reader.read() == hashlib.sha256(b"question").digest()


async def test_a_connection_that_the_server_resets_ends_for_the_client() -> None:
    async with proxy_to(reset) as proxy, client_of(proxy) as (reader, writer):
        writer.write(b"x")
        assert await ended(reader)


async def test_a_client_that_goes_away_is_gone_for_the_server() -> None:
    gone = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        assert await ended(reader)
        gone.set()

    async with proxy_to(listen) as proxy:
        _, writer = await asyncio.open_connection(proxy.host, proxy.port)
        writer.transport.abort()
        async with asyncio.timeout(60):
            await gone.wait()


async def test_without_a_server_the_client_is_cut_off_and_the_proxy_stays() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        async with delay_proxy("127.0.0.1", closed.getsockname()[1], one_way_delay_s=DELAY_S) as proxy:
            for expected_connections in (1, 2):
                async with client_of(proxy) as (reader, _):
                    assert await ended(reader)
                assert (await proxy.counters()).connections == expected_connections


async def test_many_connections_are_served_side_by_side() -> None:
    async with proxy_to(echo) as proxy:

        async def talk(number: int) -> bytes:
            async with client_of(proxy) as (reader, writer):
                writer.write(b"%04d" % number)
                return await reader.readexactly(4)

        assert await asyncio.gather(*map(talk, range(200))) == [b"%04d" % number for number in range(200)]
        counters = await proxy.counters()
    assert (counters.connections, counters.round_trips) == (200, 200)


async def test_questions_asked_side_by_side_are_all_answered() -> None:
    async with proxy_to(echo) as proxy:
        assert len(set(await asyncio.gather(*(proxy.counters() for _ in range(20))))) == 1


async def test_an_answer_takes_two_delays_at_least() -> None:
    """A lower bound, which no slow machine breaks; test_delay_proxy.py has the exact time, by a manual clock."""
    async with proxy_to(echo) as proxy, client_of(proxy) as (reader, writer):
        for _ in range(20):
            asked_s = time.monotonic()
            writer.write(b"x")
            await reader.readexactly(1)
            assert time.monotonic() - asked_s >= 2 * DELAY_S


@asynccontextmanager
async def connection_through_proxy(
    database_url: str,
) -> AsyncGenerator[tuple["asyncpg.Connection[asyncpg.Record]", DelayProxy]]:
    upstream = urlsplit(database_url)
    assert upstream.hostname is not None
    assert upstream.port is not None
    async with delay_proxy(upstream.hostname, upstream.port, one_way_delay_s=DELAY_S) as proxy:
        connection = await asyncpg.connect(with_endpoint(database_url, proxy.host, proxy.port))
        yield connection, proxy
        await connection.close()


async def test_statements_awaited_in_turn_are_a_round_trip_each(database_url: str) -> None:
    async with connection_through_proxy(database_url) as (connection, proxy):
        before = (await proxy.counters()).round_trips
        for number in range(232):
            await connection.execute(f"SELECT {number}")
        assert (await proxy.counters()).round_trips - before == 232


async def test_a_new_statement_is_prepared_in_a_round_trip_of_its_own(database_url: str) -> None:
    async with connection_through_proxy(database_url) as (connection, proxy):
        before = (await proxy.counters()).round_trips
        for number in range(5):
            assert await connection.fetchval("SELECT $1::int", number) == number
        assert (await proxy.counters()).round_trips - before == 1 + 5


async def test_a_large_answer_is_one_round_trip(database_url: str) -> None:
    async with connection_through_proxy(database_url) as (connection, proxy):
        before = await proxy.counters()
        await connection.execute("SELECT repeat('x', 1000) FROM generate_series(1, 5000)")
        after = await proxy.counters()
    assert after.round_trips - before.round_trips == 1
    assert after.bytes_to_client - before.bytes_to_client > 5_000_000


async def test_it_ends_with_its_block() -> None:
    async with delay_proxy("127.0.0.1", 1, one_way_delay_s=0) as proxy:
        assert not await refuses_connections(proxy.port)
    assert await refuses_connections(proxy.port)


async def test_it_ends_with_its_run_however_that_ends() -> None:
    run = await asyncio.create_subprocess_exec(sys.executable, "-c", RUN_THAT_WAITS, stdout=asyncio.subprocess.PIPE)
    assert run.stdout is not None
    port = int(await run.stdout.readline())
    assert not await refuses_connections(port)
    run.send_signal(signal.SIGKILL)
    await run.wait()
    await until(partial(refuses_connections, port))


async def test_a_proxy_that_has_died_is_said_to_have() -> None:
    async with delay_proxy("127.0.0.1", 1, one_way_delay_s=0) as proxy:
        proxy._process.kill()
        await proxy._process.wait()
        with pytest.raises(ProvisioningError, match=f"proxy on 127.0.0.1:{proxy.port} has ended"):
            await proxy.counters()


async def ended(reader: asyncio.StreamReader) -> bool:
    """Waits until the other side says nothing more, by an end or by a reset."""
    try:
        return await reader.read(1) == b""
    except ConnectionResetError:
        return True
