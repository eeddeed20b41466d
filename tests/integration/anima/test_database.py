"""What a caller is told when PostgreSQL is not there, has no room, or goes away; and that the next caller is served."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from anima.database import Database, PoolSettings, Session, Statement, open_database
from anima.errors import DatabaseBusy, DatabaseConflict, DatabaseUnavailable, InvalidInput
from anima.migrations import status
from anima.model import NewMemory, Query
from anima.strategy import BATCHED
from harness.measuring.servers.addresses import with_database
from harness.measuring.servers.provisioners._shared.databases import PostgresServer
from harness.measuring.servers.provisioners.protocol import Server
from tests.foreign import execute
from tests.memories import EAST, opened, plant, session_on, tables, value
from tests.waiting import until

SLEEP = Statement("test.sleep", "SELECT pg_sleep(60)", reads=True)
PING = Statement("test.ping", "SELECT 1", reads=True)
END_OTHERS = """
    SELECT {function}(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_sleep(60)'
"""


async def test_an_address_where_nobody_listens_is_named() -> None:
    async with open_database("postgresql://someone:secret@127.0.0.1:1/memories") as database:
        with pytest.raises(DatabaseUnavailable, match=r"127\.0\.0\.1:1/memories cannot be used") as told:
            async with database.session():
                pass
    assert "secret" not in str(told.value)


async def test_a_url_of_something_else_is_refused() -> None:
    with pytest.raises(InvalidInput, match="does not begin with postgresql://"):
        async with open_database("mysql://127.0.0.1/memories"):
            pass


async def test_a_connection_whose_server_has_just_said_farewell_is_a_database_that_is_away(database_url: str) -> None:
    async with open_database(database_url) as database:
        with pytest.raises(DatabaseUnavailable, match="another operation"):
            async with database.session():
                raise asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")


async def test_of_several_hosts_the_one_that_answers_and_takes_writes_is_used(database_url: str) -> None:
    parts = urlsplit(database_url)
    credentials, _, host = parts.netloc.rpartition("@")
    url = urlunsplit(parts._replace(netloc=f"{credentials}@127.0.0.1:1,{host}"))
    url = url.replace("&target_session_attrs=any", "").replace("target_session_attrs=any&", "")
    async with open_database(url) as database:
        assert await database.takes_writes()
    await execute(database_url, f"ALTER DATABASE {parts.path[1:]} SET default_transaction_read_only = on")
    async with open_database(url) as database:
        with pytest.raises(DatabaseUnavailable, match="cannot be used"):
            await database.takes_writes()


async def test_a_database_is_reached_whatever_its_name_is(server: PostgresServer) -> None:
    name = f"a-b é%/? {uuid4().hex}"
    await execute(server.admin_url, f'CREATE DATABASE "{name}"')
    assert not any(known.applied for known in await status(with_database(server.admin_url, name)))
    await execute(server.admin_url, f'DROP DATABASE "{name}"')


PASSING = (
    *(asyncpg.ConnectionFailureError, asyncpg.ProtocolViolationError, asyncpg.CannotConnectNowError),
    *(asyncpg.TooManyConnectionsError, asyncpg.DiskFullError, asyncpg.OutOfMemoryError),
    *(asyncpg.IdleSessionTimeoutError, asyncpg.IdleInTransactionSessionTimeoutError, asyncpg.TransactionTimeoutError),
    *(asyncpg.ReadOnlySQLTransactionError, asyncpg.ObjectInUseError, asyncpg.PostgresIOError),
    *(asyncpg.InvalidPasswordError, asyncpg.InvalidCatalogNameError, asyncpg.InsufficientPrivilegeError),
    *(asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError, ConnectionResetError),
)
FAULTS = (asyncpg.UndefinedTableError, asyncpg.UniqueViolationError, asyncpg.DataError, asyncpg.PostgresSyntaxError)


@pytest.mark.parametrize("kind", PASSING)
async def test_what_passes_or_is_mended_at_the_server_is_a_database_that_is_unavailable(
    kind: type[Exception], database_url: str
) -> None:
    async with open_database(database_url) as database:
        with pytest.raises(DatabaseUnavailable, match=r"cannot be used \(so it is\)\. [A-Z]"):
            async with database.session():
                raise kind("so it is")


@pytest.mark.parametrize("kind", FAULTS)
async def test_a_fault_of_ours_stays_what_it_is(kind: type[Exception], database_url: str) -> None:
    async with open_database(database_url) as database:
        with pytest.raises(kind):
            async with database.session():
                raise kind("a fault")


async def test_who_waits_for_a_connection_too_long_is_told(database_url: str) -> None:
    settings = PoolSettings(1, size_min=1, acquire_timeout_s=0.5)
    async with open_database(database_url, settings) as database, database.session():
        with pytest.raises(DatabaseBusy, match=r"within 0\.5 s"):
            async with database.session():
                pass
        assert database.pool_statistics().acquire_timeouts == 1


async def test_many_who_wait_are_warned_of_once(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with open_database(database_url, PoolSettings(1, acquire_timeout_s=60)) as database:

        async def wait() -> None:
            async with database.session():
                pass

        async with asyncio.TaskGroup() as group, database.session():
            waiters = [group.create_task(wait()) for _ in range(20)]
            await until(lambda: waiting(database, len(waiters)))
    assert [record.message.partition(":")[0] for record in caplog.records] == ["requests wait for a connection"]


async def waiting(database: Database, count: int) -> bool:
    return database.pool_statistics().waiting == count


async def test_a_statement_that_takes_too_long_is_ended_by_the_server(database_url: str) -> None:
    async with open_database(database_url, PoolSettings(1, statement_timeout_s=0.01)) as database:
        with pytest.raises(DatabaseUnavailable, match="statement timeout"):
            await database.perform(lambda session: session.fetch(SLEEP))
        assert await database.perform(lambda session: session.fetch(PING))
        assert database.pool_statistics().retries == 0


async def test_a_transaction_in_which_nothing_happens_is_ended_by_the_server(
    database_url: str, session: Session
) -> None:
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"

    async def ended() -> bool:
        return not await value(session, others)

    async def idle(session: Session) -> None:
        async with session.transaction():
            await until(ended)
            await session.fetch(PING)

    async with open_database(database_url, PoolSettings(1, idle_in_transaction_timeout_s=0.01)) as database:
        with pytest.raises(DatabaseUnavailable):
            await database.perform(idle)
        async with database.session() as next_one:
            assert await next_one.fetch_row(PING)


WRITE = Statement("test.write", "INSERT INTO memory_access_log (memory_id) VALUES (gen_random_uuid())")
LOSE_CONNECTION = Statement("test.lose", "SELECT pg_terminate_backend(pg_backend_pid())", reads=True)
WRITTEN = "SELECT count(*) FROM memory_access_log"


@pytest.mark.parametrize("error", [asyncpg.DeadlockDetectedError, asyncpg.SerializationError])
async def test_who_loses_to_another_transaction_is_served_at_the_second_attempt_or_told(
    database_url: str, session: Session, error: type[Exception]
) -> None:
    attempts: list[int] = []

    async def write(session: Session, *, losses: int) -> None:
        async with session.transaction():
            await session.execute(WRITE)
            attempts.append(1)
            if len(attempts) <= losses:
                raise error("lost")

    async with open_database(database_url, PoolSettings(2)) as database:
        await database.perform(lambda session: write(session, losses=1))
        assert (len(attempts), await value(session, WRITTEN)) == (2, 1)
        attempts.clear()
        with pytest.raises(DatabaseConflict, match="won"):
            await database.perform(lambda session: write(session, losses=2))
        assert (len(attempts), await value(session, WRITTEN)) == (2, 1)
        assert database.pool_statistics().retries == 2


async def test_work_is_done_again_after_a_lost_connection_only_where_nothing_of_it_can_be_kept(
    database_url: str, session: Session
) -> None:
    attempts: list[str] = []

    async def lose(session: Session) -> None:
        if len(attempts) == 1:
            await session.fetch(LOSE_CONNECTION)

    async def before_commit(session: Session) -> None:
        attempts.append("before commit")
        await session.fetch(PING)
        async with session.transaction():
            await session.execute(WRITE)
            await lose(session)

    async def after_commit(session: Session) -> None:
        attempts.append("after commit")
        async with session.transaction():
            await session.execute(WRITE)
        await lose(session)

    async def without_transaction(session: Session) -> None:
        attempts.append("without transaction")
        await session.execute(WRITE)
        await lose(session)

    async with open_database(database_url, PoolSettings(2)) as database:
        await database.perform(before_commit)
        assert (attempts, await value(session, WRITTEN)) == (["before commit"] * 2, 1)
        for work in (after_commit, without_transaction):
            attempts.clear()
            with pytest.raises(DatabaseUnavailable):
                await database.perform(work)
            assert len(attempts) == 1
    assert await value(session, WRITTEN) == 3


@pytest.mark.parametrize("function", ["pg_terminate_backend", "pg_cancel_backend"])
async def test_a_statement_that_is_ended_from_outside_leaves_a_pool_that_works(
    database_url: str, session: Session, function: str
) -> None:
    async with open_database(database_url, PoolSettings(1)) as database:

        async def sleep() -> None:
            async with database.session() as sleeping:
                await sleeping.fetch(SLEEP)

        ended = asyncio.create_task(sleep())

        async def asked_to_end() -> bool:
            return bool(await session.connection.fetch(END_OTHERS.format(function=function)))

        await until(asked_to_end)
        with pytest.raises(DatabaseUnavailable, match="cannot be used"):
            await ended
        async with database.session() as next_one:
            assert await next_one.fetch_row(PING)


@pytest.fixture
async def bare_url(server: Server) -> AsyncGenerator[str]:
    """A database without pgvector."""
    name = f"test_{uuid4().hex}"
    url = await server.create_database(name)
    connection = await asyncpg.connect(url)
    await connection.execute("DROP EXTENSION vector")
    await connection.close()
    yield url
    await server.drop_database(name)


async def test_a_database_without_pgvector_is_refused_with_what_to_do(bare_url: str) -> None:
    async with open_database(bare_url) as database:
        with pytest.raises(DatabaseUnavailable, match="run `anima migrate`"):
            async with database.session():
                pass


async def test_a_request_that_is_cancelled_while_it_waits_has_done_nothing_and_frees_its_connection(
    database_url: str, session: Session
) -> None:
    """As when a client goes away. The pool has one connection, so the next request needs that one."""
    memory_id = await plant(session, EAST, content="a day")
    async with opened(database_url, replace(BATCHED, pool_size=1), {"east": EAST}) as anima:
        for request in (
            lambda: anima.memory.query(Query(query="east")),
            lambda: anima.memory.add(NewMemory(content="a day")),
        ):
            before = await tables(session)
            async with session_on(database_url) as holder, holder.transaction():
                await holder.connection.execute("SELECT FROM memories WHERE id = $1 FOR UPDATE", memory_id)
                waiting = asyncio.create_task(request())
                await until(lambda: somebody_waits(session))
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
            assert await tables(session) == before
        assert (await anima.memory.query(Query(query="east"))).memories


async def somebody_waits(session: Session) -> bool:
    waits = "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return bool(await value(session, waits))
