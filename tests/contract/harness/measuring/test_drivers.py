"""What every driver promises: a new one in the registry is held to this without an edit, but for how it is asked."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import django
import psycopg
import pytest
import sqlalchemy
from django.conf import settings
from django.db import connections
from sqlalchemy.ext.asyncio import create_async_engine

from harness.measuring import drivers
from harness.measuring.drivers import DRIVERS
from harness.measuring.drivers._shared.telling import SentStatement
from harness.measuring.drivers.sqlalchemy import LISTENERS

Ask = Callable[[str], Awaitable[object]]
HERE = "tests/contract/harness/measuring/test_drivers.py"


@asynccontextmanager
async def by_asyncpg(url: str) -> AsyncGenerator[Ask]:
    connection = await asyncpg.connect(url)
    yield connection.fetch
    await connection.close()


@asynccontextmanager
async def by_psycopg(url: str) -> AsyncGenerator[Ask]:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        yield connection.execute


@asynccontextmanager
async def by_psycopg_that_blocks(url: str) -> AsyncGenerator[Ask]:
    with psycopg.connect(url, autocommit=True) as connection:

        async def ask(sql: str) -> object:
            return connection.execute(sql)

        yield ask


def by_sqlalchemy(driver: str) -> Callable[[str], AbstractAsyncContextManager[Ask]]:
    @asynccontextmanager
    async def by(url: str) -> AsyncGenerator[Ask]:
        engine = create_async_engine(url.replace("postgresql:", f"postgresql+{driver}:"))
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")

            async def ask(sql: str) -> object:
                return await connection.execute(sqlalchemy.text(sql))

            yield ask
        await engine.dispose()

    return by


@asynccontextmanager
async def by_sqlalchemy_on_sqlite(url: str) -> AsyncGenerator[Ask]:
    """sqlite3 tells nothing by itself."""
    del url
    engine = sqlalchemy.create_engine("sqlite://", poolclass=sqlalchemy.StaticPool)
    with engine.connect() as connection:

        async def ask(sql: str) -> object:
            return connection.execute(sqlalchemy.text(sql)).all()

        yield ask
    engine.dispose()


@asynccontextmanager
async def by_django(url: str) -> AsyncGenerator[Ask]:
    if not settings.configured:
        settings.configure()
        django.setup()
    parts = urlsplit(url)
    named = {"NAME": parts.path[1:], "USER": parts.username, "PASSWORD": parts.password, "PORT": parts.port}
    connections.databases["default"] = connections.configure_settings(
        {"default": named | {"ENGINE": "django.db.backends.postgresql", "HOST": parts.hostname}}
    )["default"]
    with django_in_this_thread() as connection, connection.cursor() as cursor:

        async def ask(sql: str) -> object:
            return cursor.execute(sql)

        yield ask


@contextmanager
def django_in_this_thread() -> Generator[Any]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        connection = connections.create_connection("default")
        try:
            yield connection
        finally:
            connection.close()


WAYS: dict[str, tuple[str, Callable[[str], AbstractAsyncContextManager[Ask]]]] = {
    "asyncpg": ("asyncpg", by_asyncpg),
    "psycopg": ("psycopg", by_psycopg),
    "psycopg that blocks": ("psycopg", by_psycopg_that_blocks),
    "SQLAlchemy over asyncpg": ("SQLAlchemy", by_sqlalchemy("asyncpg")),
    "SQLAlchemy over psycopg": ("SQLAlchemy", by_sqlalchemy("psycopg")),
    "SQLAlchemy over sqlite3": ("SQLAlchemy", by_sqlalchemy_on_sqlite),
    "Django": ("Django", by_django),
}


@pytest.fixture
def plain_url(database_url: str) -> str:
    return urlunsplit(urlsplit(database_url)._replace(query=""))


def test_every_driver_is_asked() -> None:
    assert {driver for driver, _ in WAYS.values()} == DRIVERS.keys()


@pytest.mark.parametrize("way", WAYS)
async def test_each_statement_is_told_once_with_its_line_and_its_time(way: str, plain_url: str) -> None:
    async with WAYS[way][1](plain_url) as ask:
        heard: list[SentStatement] = []
        with drivers.told_to(heard.append):
            await ask("SELECT 1 AS one")
            for _ in range(3):
                await ask("SELECT 2 AS two")
        assert [each.text for each in heard] == ["SELECT 1 AS one", *["SELECT 2 AS two"] * 3]
        assert {each.where.partition(":")[0] for each in heard} == {HERE}
        assert len({each.where for each in heard[1:]}) == 1
        assert {each.rows for each in heard} == ({None} if "sqlite3" in way else {1})
        assert all(each.elapsed_s > 0 for each in heard)


@pytest.mark.parametrize("way", WAYS)
async def test_what_the_server_refuses_was_sent_and_transactions_are_no_statements(way: str, plain_url: str) -> None:
    async with WAYS[way][1](plain_url) as ask:
        heard: list[SentStatement] = []
        with drivers.told_to(heard.append):
            with pytest.raises(Exception, match=r"no such column|does not exist"):
                await ask("SELECT missing")
            if "sqlite3" not in way:
                await ask("BEGIN")
                await ask(" /* which nobody needs */ ROLLBACK;")
        assert [each.text for each in heard] == ["SELECT missing"]


@pytest.mark.parametrize("way", WAYS)
async def test_nothing_is_left_of_it(way: str, plain_url: str) -> None:
    async with WAYS[way][1](plain_url) as ask:
        await ask("SELECT 0 AS none")
        before = hooked_places()
        heard: list[SentStatement] = []
        with drivers.told_to(heard.append), drivers.told_to(heard.append):
            assert hooked_places() != before
            await ask("SELECT 1 AS one")
        assert hooked_places() == before
        await ask("SELECT 2 AS two")
        assert [each.text for each in heard] == ["SELECT 1 AS one"]  # By one listener, who listens twice.


def hooked_places() -> list[object]:
    from django.db.backends.utils import CursorWrapper  # noqa: PLC0415

    return [
        dict(vars(asyncpg.protocol.Protocol)),
        dict(vars(psycopg.Cursor.__mro__[1])),
        dict(vars(psycopg.Copy)),
        dict(vars(CursorWrapper)),
        sqlalchemy.event.contains(sqlalchemy.Engine, "before_cursor_execute", LISTENERS["before_cursor_execute"]),
    ]
