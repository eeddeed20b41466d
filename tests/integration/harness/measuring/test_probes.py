"""The probes against work whose size is known."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import pytest

from anima.connections import Connection
from anima.database import PoolSettings, open_database
from harness.measuring.observation import asking, take_reading
from harness.measuring.operations import Request
from harness.measuring.probes.protocol import AskServer, NotObserved, Observable
from harness.measuring.servers.provisioners.protocol import Server
from harness.measuring.targets.anima.target import AnimaTarget
from harness.measuring.targets.protocol import TargetContext
from tests.waiting import until

ROWS = 1_000
WORK = f"INSERT INTO numbers SELECT n FROM generate_series(1, {ROWS}) AS n"
SCAN = "SELECT count(*) FROM numbers"
BUSY = "SELECT sum(sqrt(n)) FROM generate_series(1, 2000000) AS n"


async def able() -> bool:
    return True


async def no_service() -> None:
    return None


@pytest.fixture
async def ask(server: Server) -> AsyncIterator[AskServer]:
    async with asking(server.admin_url) as ask:
        yield ask


@pytest.fixture
def database(database_url: str) -> str:
    return urlsplit(database_url).path.removeprefix("/")


async def test_rows_and_log_of_sessions_that_are_still_open_are_counted(
    server: Server, ask: AskServer, database_url: str, database: str
) -> None:
    async with open_database(database_url) as opened:
        observable = Observable(ask, database, server.cpu_s, opened.report_statistics, no_service)
        async with opened.session() as one, opened.session() as other:
            await one.connection.execute("CREATE TABLE numbers (n integer)")
            await other.connection.fetchval("SELECT 1")
        before = await take_reading(observable, "whole", before=True)
        async with opened.session() as session:
            await session.connection.execute(WORK)
            await session.connection.fetchval(SCAN)
        counted = (await take_reading(observable, "whole", before=False)).since(before)
    assert counted.values["rows_written"] == ROWS
    # What the planner asked the catalogs is in it too.
    assert ROWS <= counted.values["rows_read"] <= ROWS + 200
    assert counted.values["wal_bytes"] >= ROWS * 20


async def test_a_session_that_is_in_use_tells_what_it_did_once_it_is_given_back(
    server: Server, ask: AskServer, database_url: str, database: str
) -> None:
    async with open_database(database_url) as opened:

        async def none_is_idle() -> bool:
            return opened.pool.get_idle_size() == 0

        observable = Observable(ask, database, server.cpu_s, opened.report_statistics, no_service)
        async with opened.session() as one, opened.session() as other:
            await one.connection.execute("CREATE TABLE numbers (n integer)")
            await other.connection.fetchval("SELECT 1")
        before = await take_reading(observable, "whole", before=True)
        async with opened.session() as session:
            await session.connection.execute(WORK)
            reading = asyncio.ensure_future(take_reading(observable, "whole", before=False))
            await until(none_is_idle)
        counted = (await reading).since(before)
    assert counted.values["rows_written"] == ROWS


async def test_a_session_that_is_not_given_back_leaves_its_counts_untold(
    server: Server, ask: AskServer, database_url: str, database: str
) -> None:
    async with open_database(database_url, PoolSettings(acquire_timeout_s=1)) as opened:
        observable = Observable(ask, database, server.cpu_s, opened.report_statistics, no_service)
        async with opened.session():
            reading = await take_reading(observable, "whole", before=False)
    assert "rows_written" in reading.missing


async def test_processor_time_of_a_session_that_has_ended_is_the_servers(
    server: Server, ask: AskServer, database_url: str
) -> None:
    observable = Observable(ask, "none", server.cpu_s, able, no_service)
    before = await take_reading(observable, "whole", before=True)
    connection = await asyncpg.connect(database_url, connection_class=Connection)
    await connection.fetchval(BUSY)
    await connection.close()
    counted = (await take_reading(observable, "whole", before=False)).since(before)
    assert counted.values["server_cpu_s"] >= 0.05
    assert counted.values["client_cpu_s"] < counted.values["server_cpu_s"] * 10
    assert counted.missing["rows_written"] == "the server has no statistics of none"


async def test_a_target_has_its_sessions_report(
    server: Server, ask: AskServer, database_url: str, database: str
) -> None:
    async with AnimaTarget().open(TargetContext("batched", database_url)) as target:
        observable = Observable(ask, database, server.cpu_s, target.report_statistics, no_service)
        await target.perform(Request("add", {"content": "one"}))
        await target.drain()
        before = await take_reading(observable, "whole", before=True)
        await target.perform(Request("add", {"content": "two"}))
        await target.drain()
        counted = (await take_reading(observable, "whole", before=False)).since(before)
    # The memory, and what becomes of the piece of background work that it leaves.
    assert 2 <= counted.values["rows_written"] <= 30


async def test_a_session_that_the_server_has_ended_is_opened_again(ask: AskServer) -> None:
    first = await ask("SELECT pg_backend_pid() AS pid")
    again = await ask("SELECT pg_backend_pid() AS pid")
    assert first is not None
    assert again == first
    with pytest.raises(NotObserved, match="terminating connection"):
        await ask("SELECT pg_terminate_backend(pg_backend_pid())")
    reopened = await ask("SELECT pg_backend_pid() AS pid")
    assert reopened is not None
    assert reopened != first
