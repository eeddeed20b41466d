"""Tenants share a pool and nothing else: what that costs, what happens when it is cut off, and what is refused."""

import asyncio
from typing import Any, cast
from uuid import uuid4

import pytest

from anima.database import ENTER, Executed, Session, enter
from anima.errors import DatabaseUnfit
from anima.migrations import migrate
from anima.model import NewMemory, Query
from anima.strategy import BATCHED, FRONTIER, NAIVE, Strategy
from anima.tenants import make_schema, refuse_common_tables, url_of
from harness.measuring.servers.provisioners.protocol import Server
from tests.memories import opened, rows, session_on
from tests.tenancy import tenants_on

QUERY = Query(query="a walk by the river", similarity_threshold=0, conversation_id="c")


def names(seen: list[Executed]) -> list[str]:
    return [executed.name for executed in seen]


@pytest.mark.parametrize("strategy", [NAIVE, BATCHED, FRONTIER], ids=lambda strategy: strategy.name)
async def test_a_tenant_costs_a_statement_when_a_connection_changes_hands_and_else_none(
    tenants_url: str, database_url: str, strategy: Strategy
) -> None:
    alone: list[Executed] = []
    async with opened(database_url, strategy, observer=alone.append) as anima:
        await anima.memory.add(NewMemory(content="a walk by the river"))
        await anima.memory.query(QUERY)
    seen: list[Executed] = []
    async with tenants_on(tenants_url, strategy, pool=1, observer=seen.append) as animas:
        await animas["acme"].memory.add(NewMemory(content="a walk by the river"))
        await animas["acme"].memory.query(QUERY)
        assert names(seen) == ["tenant.enter", *names(alone)]
        assert [(each.sql, each.rows) for each in seen[1:]] == [(each.sql, each.rows) for each in alone]
        seen.clear()
        assert (await animas["globex"].memory.query(QUERY)).memories == ()
        assert len((await animas["acme"].memory.query(QUERY)).memories) == 1
        assert names(seen).count("tenant.enter") == 2


class Cancelled:
    """A connection whose statement is cancelled when the server may have done it."""

    schema: str | None = "anima_acme"

    def note_schema(self, schema: str | None) -> None:
        self.schema = schema

    async def fetch(self, *_: object) -> list[Any]:
        raise asyncio.CancelledError

    def is_in_transaction(self) -> bool:
        return False


async def test_a_connection_of_which_nobody_knows_where_it_is_enters_anew() -> None:
    connection = Cancelled()
    with pytest.raises(asyncio.CancelledError):
        await enter(Session(cast("Any", connection)), "anima_globex")
    assert connection.schema is None


@pytest.mark.slow
async def test_a_small_tenant_gets_as_many_results_as_it_has_beside_a_large_one(tenants_url: str) -> None:
    async with tenants_on(tenants_url, FRONTIER) as animas:
        for number in range(20):
            await animas["acme"].memory.add(NewMemory(content=f"{number} walks by the river {number}"))
        async with session_on(url_of(tenants_url, "globex")) as session:
            await session.connection.execute(
                "INSERT INTO memories (id, content, content_hash, embedding)"
                " SELECT gen_random_uuid(), n::text, encode(sha256(n::text::bytea), 'hex'),"
                " array_fill(0.1 + n, ARRAY[768])::vector FROM generate_series(1, 3000) AS n"
            )
        found = await animas["acme"].memory.query(QUERY)
        assert len(found.memories) == 20
        assert all("river" in each.memory.content for each in found.memories)


async def test_a_database_whose_common_tables_all_would_reach_is_refused(database_url: str) -> None:
    for refused in (refuse_common_tables(database_url), make_schema(database_url, "acme")):
        with pytest.raises(DatabaseUnfit, match=r"The schema public.*CREATE SCHEMA extensions"):
            await refused
    async with session_on(database_url) as session:
        await session.connection.execute("CREATE SCHEMA extensions; ALTER EXTENSION vector SET SCHEMA extensions")
    await make_schema(database_url, "acme")


async def test_services_that_start_together_make_the_same_tenant(server: Server) -> None:
    name = f"test_{uuid4().hex}"
    url = await server.create_database(name)
    async with session_on(url) as session:
        await session.connection.execute("DROP EXTENSION vector")
    await asyncio.gather(*(make_schema(url, "acme") for _ in range(8)))
    await server.drop_database(name)


async def test_a_schema_that_is_not_migrated_finds_nobody_elses_tables(tenants_url: str) -> None:
    async with tenants_on(tenants_url, FRONTIER, tenants=("acme", "initech")) as animas:
        await animas["acme"].memory.add(NewMemory(content="a walk by the river"))
        with pytest.raises(Exception, match="recall_memories"):
            await animas["initech"].memory.query(QUERY)
    await make_schema(tenants_url, "initech")
    await migrate(url_of(tenants_url, "initech"))
    async with tenants_on(tenants_url, FRONTIER, tenants=("acme", "initech")) as animas:
        assert (await animas["initech"].memory.query(QUERY)).memories == ()


async def test_each_schema_has_tables_of_its_own(tenants_url: str) -> None:
    async with session_on(tenants_url) as session:
        found = await rows(session, "SELECT schemaname AS name FROM pg_tables WHERE tablename = 'memories' ORDER BY 1")
    assert [row["name"] for row in found] == ["anima_acme", "anima_globex"]
    assert ENTER.reads
