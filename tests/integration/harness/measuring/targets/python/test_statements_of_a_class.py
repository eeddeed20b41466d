"""A class that is measured tells its statements by its driver, without a line of its own."""

import asyncio
import sys
from types import ModuleType
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine

from harness.measuring.operations import Request
from harness.measuring.targets.protocol import Response, TargetContext
from harness.measuring.targets.python.scenario import PythonScenario
from harness.measuring.targets.python.target import PythonTarget
from harness.testing import operation


class Shop:
    async def open(self, url: str) -> None:
        plain = urlunsplit(urlsplit(url)._replace(query=""))
        self.connection = await psycopg.AsyncConnection.connect(plain, autocommit=True)
        self.engine = create_async_engine(plain.replace("postgresql:", "postgresql+asyncpg:"))

    async def close(self) -> None:
        await self.connection.close()
        await self.engine.dispose()

    @operation()
    async def loop(self) -> None:
        for number in range(3):
            await self.connection.execute("SELECT n FROM generate_series(1, 2) AS n -- name: things\n", [])
            await asyncio.to_thread(self.block, number)

    def block(self, number: int) -> None:
        with psycopg.connect(self.connection.info.dsn, password=self.connection.info.password) as connection:
            connection.execute(f"SELECT {number}")

    @operation()
    async def above(self) -> None:
        async with self.engine.connect() as connection:
            await connection.execute(sqlalchemy.text("SELECT 7 AS seven"))

    @operation()
    async def own(self) -> Response:
        await self.connection.execute("SELECT 1")
        return Response(statements=9, results=4)


class Silent:
    async def open(self) -> None: ...

    async def close(self) -> None: ...

    @operation()
    async def ask(self) -> None: ...


def target(name: str) -> PythonTarget:
    document = {"name": "telling", "target": f"{__name__}:{name}", "phases": [{"requests": 1}]}
    return PythonTarget(PythonScenario.model_validate(document))


async def test_statements_rows_and_time_are_counted_of_each_request(database_url: str) -> None:
    async with target("Shop").open(TargetContext("current", database_url)) as opened:
        looped = await opened.perform(Request("loop", {}))
        assert (looped.statements, looped.rows) == (6, 9)
        assert looped.calls == {"things": 3, "SELECT …": 3}
        assert looped.elapsed_s.keys() == looped.calls.keys()
        assert all(elapsed_s > 0 for elapsed_s in looped.elapsed_s.values())
        assert looped.round_trips is None
        await opened.perform(Request("above", {}))  # Connects, which SQLAlchemy has statements for.
        both = await asyncio.gather(opened.perform(Request("above", {})), opened.perform(Request("loop", {})))
        assert [each.statements for each in both] == [1, 6]


async def test_what_a_method_says_itself_goes_before(database_url: str) -> None:
    async with target("Shop").open(TargetContext("current", database_url)) as opened:
        own = await opened.perform(Request("own", {}))
        assert (own.statements, own.rows, own.results) == (9, 1, 4)


async def test_a_driver_that_hides_its_statements_is_named_and_not_taken_for_none(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg2", ModuleType("psycopg2"))
    async with target("Silent").open(TargetContext("current", database_url)) as opened:
        assert await opened.perform(Request("ask", {})) == Response()
    assert "psycopg2 hides its statements, so `statements` is not told" in capsys.readouterr().err
