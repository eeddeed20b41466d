"""Cursors, prepared statements, COPY, pipelines and many sets of values: each is one statement, with its rows."""

import asyncio
import os
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import psycopg
import pytest
import sqlalchemy
from psycopg import sql
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from harness.measuring import drivers
from harness.measuring.drivers._shared.telling import SentStatement, own_context, said

TABLE = "CREATE TABLE things (id int, name text)"
TEN = "INSERT INTO things SELECT n FROM generate_series(1, 10) AS n"


@pytest.fixture
def plain_url(database_url: str) -> str:
    return urlunsplit(urlsplit(database_url)._replace(query=""))


@pytest.fixture
def heard() -> Iterator[list[SentStatement]]:
    heard: list[SentStatement] = []
    with drivers.told_to(heard.append):
        yield heard


def told(heard: list[SentStatement]) -> list[tuple[str, int | None]]:
    """Each with its rows, since it was asked last."""
    found = [(each.text, each.rows) for each in heard]
    heard.clear()
    return found


async def test_asyncpg_tells_of_whatever_it_sends(plain_url: str, heard: list[SentStatement]) -> None:
    connection = await asyncpg.connect(plain_url)
    await connection.execute(TABLE)
    await connection.execute(TEN)
    assert told(heard) == [(TABLE, 0), (TEN, 10)]

    some = await connection.prepare("SELECT id FROM things WHERE id <= $1")
    assert told(heard) == []
    assert len(await some.fetch(4)) == 4
    assert await some.fetchval(1) == 1
    assert told(heard) == [("SELECT id FROM things WHERE id <= $1", 4), ("SELECT id FROM things WHERE id <= $1", 1)]

    async with connection.transaction():
        assert len([row async for row in connection.cursor("SELECT id FROM things", prefetch=3)]) == 10
        assert told(heard) == [("SELECT id FROM things", 10)]
        cursor = await connection.cursor("SELECT id FROM things")
        assert len(await cursor.fetch(3)) == 3
        assert len(await cursor.fetch(30)) == 7
        assert told(heard) == [("SELECT id FROM things", 10)]

    await connection.executemany("INSERT INTO things VALUES ($1)", [(n,) for n in range(5)])
    await connection.execute("UPDATE things SET name = $1", "new")
    assert told(heard) == [("INSERT INTO things VALUES ($1)", 5), ("UPDATE things SET name = $1", 15)]

    await connection.copy_records_to_table("things", records=[(1, "a"), (2, "b")])
    await connection.copy_from_query("SELECT id FROM things", output=Path(os.devnull))
    copies = told(heard)
    assert [(text.partition(" ")[0], rows) for text, rows in copies] == [("COPY", 2), ("COPY", 17)]
    await connection.close()


async def test_what_a_pool_resets_and_what_asyncpg_asks_about_types_is_nobodys(
    plain_url: str, heard: list[SentStatement]
) -> None:
    async with asyncpg.create_pool(plain_url, min_size=1, max_size=1) as pool:
        await pool.execute("CREATE TYPE mood AS ENUM ('happy')")
        assert await pool.fetchval("SELECT $1::mood", "happy") == "happy"
        assert told(heard) == [("CREATE TYPE mood AS ENUM ('happy')", 0), ("SELECT $1::mood", 1)]


async def test_psycopg_tells_of_whatever_it_sends(plain_url: str, heard: list[SentStatement]) -> None:
    async with await psycopg.AsyncConnection.connect(plain_url) as connection, connection.cursor() as cursor:
        await cursor.execute(TABLE)
        await cursor.execute(TEN)
        await cursor.execute(sql.SQL("SELECT {} FROM things").format(sql.Identifier("id")))
        assert told(heard) == [(TABLE, 0), (TEN, 10), ('SELECT "id" FROM things', 10)]

        values = [(n,) for n in range(5)]
        await cursor.executemany("INSERT INTO things VALUES (%s)", values)
        await cursor.executemany("INSERT INTO things VALUES (%s) RETURNING id", values, returning=True)
        assert [rows for _, rows in told(heard)] == [5, 5]

        async with connection.cursor("on_the_server") as served:
            await served.execute("SELECT id FROM things WHERE id < %s", [100])
            await served.fetchmany(3)
            await served.fetchall()
        assert heard[0].planned == "SELECT id FROM things WHERE id < $1"
        assert told(heard) == [("SELECT id FROM things WHERE id < %s", 20)]

        assert len([row async for row in cursor.stream("SELECT id FROM things LIMIT 4")]) == 4
        async with cursor.copy("COPY things FROM STDIN") as copy:
            await copy.write_row((1, "a"))
        async with connection.pipeline():
            await connection.execute("SELECT 1")
            await connection.execute("SELECT 2")
        assert told(heard) == [
            ("SELECT id FROM things LIMIT 4", 4),
            ("COPY things FROM STDIN", 1),
            ("SELECT 1", 1),
            ("SELECT 2", 1),
        ]


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_a_line_is_found_where_sqlalchemy_runs_what_does_not_await(
    driver: str, plain_url: str, heard: list[SentStatement]
) -> None:
    def repeat(connection: sqlalchemy.Connection) -> None:
        for number in range(3):
            connection.execute(sqlalchemy.text("SELECT :n + 1"), {"n": number})

    engine = create_async_engine(plain_url.replace("postgresql:", f"postgresql+{driver}:"))
    async with engine.connect() as connection:
        assert isinstance(connection, AsyncConnection)
        heard.clear()
        await connection.run_sync(repeat)
        line = repeat.__code__.co_firstlineno + 2
        assert {each.where for each in heard} == {f"tests/integration/{PATH}:{line}"}
        assert len(heard) == 3
        heard.clear()
        await connection.execute(sqlalchemy.text("SELECT :n + 1"), [{"n": 1}, {"n": 2}])
        assert len(heard) == 1
    await engine.dispose()


PATH = "harness/measuring/test_what_drivers_send.py"


async def test_statements_side_by_side_are_each_ones_own(plain_url: str, heard: list[SentStatement]) -> None:
    async with asyncpg.create_pool(plain_url, min_size=3, max_size=3) as pool:
        await asyncio.gather(*(pool.fetchval("SELECT $1::int", n) for n in range(3)))
    assert sorted(each.values for each in heard) == [(0,), (1,), (2,)]


async def test_what_the_harness_sends_itself_is_nobodys(plain_url: str, heard: list[SentStatement]) -> None:
    async def ask() -> None:
        connection = await asyncpg.connect(plain_url)
        await connection.execute("SELECT 1")
        await connection.close()

    await asyncio.create_task(ask(), context=own_context())
    assert heard == []
    await ask()
    assert told(heard) == [("SELECT 1", 1)]


def test_a_version_that_lacks_what_is_hooked_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = types.ModuleType("psycopg")
    for name in ("Cursor", "ServerCursor", "Copy", "AsyncCopy"):
        setattr(unknown, name, type(name, (), {}))
    monkeypatch.setitem(sys.modules, "psycopg", unknown)
    with drivers.told_to(lambda _: None):
        assert "psycopg hides its statements here: Cursor has no _execute_gen" in drivers.hidden()[0]
    assert drivers.HOOKS.refused == {}


def test_a_driver_that_tells_nothing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg2", types.ModuleType("psycopg2"))
    assert "psycopg2 hides its statements" in drivers.hidden()


async def test_what_a_hook_has_told_of_and_no_driver_sent_is_heard_when_it_is_sent_later(plain_url: str) -> None:
    with drivers.told_to(lambda _: None):
        said("SELECT 1")
    heard: list[SentStatement] = []
    with drivers.told_to(heard.append):
        connection = await asyncpg.connect(plain_url)
        await connection.execute("SELECT 1")
        assert told(heard) == [("SELECT 1", 1)]
        said("SELECT 1")
        await connection.execute("SELECT 1")
        assert told(heard) == []
        await connection.close()
