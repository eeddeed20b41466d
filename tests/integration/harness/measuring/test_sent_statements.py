"""What a server tells of the sessions of one database, whoever they are."""

from urllib.parse import urlsplit

import asyncpg
import pytest

from harness.measuring.sent_statements import COUNTER, NOT_TOLD, SentStatements
from harness.measuring.server_log import LogPart, ServerLog
from harness.measuring.servers.provisioners.protocol import Server

LOG_STATEMENT = "SHOW log_statement"


@pytest.fixture
def log(server: Server, database_url: str) -> ServerLog:
    return ServerLog(server.log_on, urlsplit(database_url).path.removeprefix("/"))


async def test_each_statement_is_counted_and_planned_with_the_values_that_it_had(
    server: Server, database_url: str, log: ServerLog
) -> None:
    sent = SentStatements(database_url, server.admin_url, log)
    async with asyncpg.create_pool(database_url, min_size=1, max_size=1) as pool:
        await pool.execute("CREATE TABLE notes (id integer PRIMARY KEY, text text)")
        async with sent.watched("read"):
            for number in range(3):
                await pool.fetch("SELECT text FROM notes WHERE id = $1 AND text <> $2", number, "it's")
        assert sent.take().values == {COUNTER: 3.0}
        async with sent.watched("write"), pool.acquire() as connection, connection.transaction():
            await connection.execute("INSERT INTO notes VALUES (1, 'a;b')")
            await connection.execute("-- name: unread\nSELECT count(*) FROM notes WHERE text = 'a'")
        assert sent.take().values == {COUNTER: 2.0}
        await pool.fetch("SELECT 1")
        assert await pool.fetchval(LOG_STATEMENT) == "none"
    assert sent.take().values == {}, "nobody asked for these"
    assert await log.failed() == 0, "what is looked at does not fail by that"
    assert sent.plans == {}, "a plan is asked for when nothing is counted any more"
    await sent.plan()
    assert {name: (plan.indexes, plan.scans) for name, plan in sent.plans.items()} == {
        "read": (("notes_pkey",), ()),
        "write.1": ((), ()),
        "write.unread": ((), ("notes",)),
    }


async def test_failures_are_counted_whether_or_not_anybody_tells_them(database_url: str, log: ServerLog) -> None:
    assert await log.failed() == 0
    connection = await asyncpg.connect(database_url)
    for _ in range(2):
        with pytest.raises(asyncpg.DivisionByZeroError):
            await connection.fetch("SELECT 1 / 0")
    await connection.close()
    assert (await log.failed(), log.last_failure) == (2, "division by zero")


async def test_where_the_server_tells_nothing_that_is_said(server: Server, database_url: str) -> None:
    async def nothing(_position: int | None) -> LogPart | None:
        return None

    sent = SentStatements(database_url, server.admin_url, ServerLog(nothing, "none"))
    async with sent.watched("read"):
        pass
    assert sent.take().missing == {COUNTER: NOT_TOLD}


@pytest.mark.needs("pg_stat_statements")
async def test_a_server_that_counts_statements_tells_it_by_that(counting_url: str) -> None:
    admin = await asyncpg.connect(counting_url)
    await admin.execute("CREATE DATABASE counted")
    url = f"{counting_url.rpartition('/')[0]}/counted"

    async def nothing(_position: int | None) -> LogPart | None:
        return None

    sent = SentStatements(url, counting_url, ServerLog(nothing, "counted"))
    try:
        async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool:
            await pool.execute("CREATE TABLE notes AS SELECT id, 'a' AS text FROM generate_series(1, 1000) AS id")
            await pool.execute("CREATE UNIQUE INDEX notes_id ON notes (id)")
            async with sent.watched("read"):
                for number in range(3):
                    await pool.fetch("SELECT text FROM notes WHERE id = $1", number)
    finally:
        await admin.close()
    assert sent.take().values == {COUNTER: 3.0}
    await sent.plan()
    assert [(name, plan.indexes) for name, plan in sent.plans.items()] == [("read", ("notes_id",))]
