"""PgBouncer between the service and PostgreSQL: in session mode it works, in the others it is refused at the start."""

import asyncio

import pytest

from anima.database import Database, PoolSettings, Statement, open_database
from anima.errors import DatabaseUnavailable, DatabaseUnfit
from anima.migrations import all_migrations, migrate, status
from anima.model import NewMemory, Query
from anima.strategy import BATCHED
from tests.memories import opened, session_on, value
from tests.poolers import Mode, pgbouncer

PROCESS = Statement("test.process", "SELECT pg_backend_pid()", reads=True)
SHOW = Statement("test.show", "SELECT current_setting('hnsw.iterative_scan')", reads=True)


async def test_in_session_mode_everything_works_and_the_settings_of_a_session_hold(empty_url: str) -> None:
    with pgbouncer(empty_url, "session") as url:
        assert len(await migrate(url)) == len(all_migrations())
        async with opened(url, BATCHED) as anima:
            for content in ("a day at sea", "a day on land"):
                await anima.memory.add(NewMemory(content=content))
            found = await anima.memory.query(Query(query="a day at sea", conversation_id="c"))
            assert found.memories[0].memory.content == "a day at sea"
            assert await anima.background.drain() == 0
            async with anima.memory.database.session() as session:
                assert (await session.fetch(SHOW))[0][0] == "strict_order"


@pytest.mark.parametrize("further", ["", "server_round_robin = 1"], ids=["last in, first out", "round robin"])
@pytest.mark.parametrize("mode", ["transaction", "statement"])
async def test_in_another_mode_the_start_is_refused_with_the_setting(empty_url: str, mode: Mode, further: str) -> None:
    with pgbouncer(empty_url, mode, further=further) as url:
        for act in (status, migrate):
            with pytest.raises((DatabaseUnfit, DatabaseUnavailable), match="set pool_mode = session for this"):
                await act(url)
    async with session_on(empty_url) as session:
        assert await value(session, "SELECT to_regclass('anima_migrations')") is None


async def test_a_pooler_with_fewer_connections_than_the_pool_makes_requests_wait(database_url: str) -> None:
    async def ask(database: Database) -> int:
        async with database.session() as session:
            return int((await session.fetch(PROCESS))[0][0])

    with pgbouncer(database_url, "session", size=2) as url:
        async with open_database(url, PoolSettings(6, acquire_timeout_s=6)) as database:
            await ask(database)
            processes = await asyncio.gather(*(ask(database) for _ in range(40)))
    assert len(set(processes)) == 2


async def test_a_pooler_that_shares_later_on_is_told_as_such(database_url: str) -> None:
    """What the start has found may change: another client's statement of the same name is in the way."""
    taken = Statement("test.taken", "EXECUTE nothing")
    async with open_database(database_url) as database:
        with pytest.raises(DatabaseUnavailable, match="set pool_mode = session"):
            await database.perform(lambda session: session.fetch(taken))
