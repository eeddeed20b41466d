"""What the owner of a database, a role or a server has set: requests work as usual, or are told to come back."""

import asyncio
import math

import httpx
import pytest

from anima.database import PoolSettings, Session, Statement, open_database
from anima.errors import DatabaseBusy, DatabaseUnavailable
from anima.migrations import migrate
from anima.model import BootstrapRequest, NewMemory, Query
from anima.strategy import BATCHED, FRONTIER
from tests.foreign import execute, role_on
from tests.memories import EAST, NOON, opened, plant, session_on, value
from tests.service import client_of

ADD, QUERY = "/api/v1/memories/add", "/api/v1/memories/query"
SHOW = Statement("test.show", "SELECT current_setting($1)", reads=True)


async def alter_database(session: Session, setting: str) -> None:
    """For the connections that are opened from now on."""
    name = await value(session, "SELECT quote_ident(current_database())")
    await session.connection.execute(f"ALTER DATABASE {name} {setting}")


async def answers(client: httpx.AsyncClient, count: int) -> list[int]:
    asked = (
        client.post(QUERY, json={"query": f"memory {number % 5}", "conversationId": "c"}) for number in range(count)
    )
    return [answer.status_code for answer in await asyncio.gather(*asked)]


@pytest.mark.parametrize("default", ["repeatable read", "serializable"])
async def test_another_default_isolation_makes_no_query_fail(database_url: str, session: Session, default: str) -> None:
    for number in range(5):
        await plant(session, content=f"memory {number}")
    await alter_database(session, f"SET default_transaction_isolation = '{default}'")
    async with opened(database_url, BATCHED) as anima, client_of(anima) as client:
        assert set(await answers(client, 32)) == {200}
        async with anima.memory.database.session() as used, used.transaction():
            (row,) = await used.fetch(SHOW, "transaction_isolation")
    assert row[0] == "read committed"


async def test_a_database_that_is_read_only_is_not_ready_and_recovers_by_itself(
    database_url: str, session: Session
) -> None:
    await alter_database(session, "SET default_transaction_read_only = on")
    async with opened(database_url, BATCHED) as anima, client_of(anima) as client:
        refused = await client.post(ADD, json={"content": "a day"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "DATABASE_UNAVAILABLE")
        assert refused.headers["retry-after"] == "1"
        assert (await client.get("/ready")).status_code == 503
        assert (await client.get("/api/v1/memories/bootstrap?conversationId=c")).status_code == 200
        await alter_database(session, "RESET default_transaction_read_only")
        assert (await client.get("/ready")).status_code == 503  # What it finds out makes it try another connection.
        assert (await client.get("/ready")).status_code == 200
        assert (await client.post(ADD, json={"content": "a day"})).status_code == 201


async def test_a_read_only_database_is_not_migrated_and_told_as_such(empty_url: str) -> None:
    async with session_on(empty_url) as session:
        await alter_database(session, "SET default_transaction_read_only = on")
    with pytest.raises(DatabaseUnavailable, match="takes no writes now"):
        await migrate(empty_url)


async def test_a_lock_that_is_not_free_within_the_owners_limit_is_503(database_url: str, session: Session) -> None:
    memory_id = await plant(session, content="a day")
    await alter_database(session, "SET lock_timeout = '10ms'")
    async with opened(database_url, BATCHED) as anima, client_of(anima) as client, session.transaction():
        await session.connection.execute("SELECT FROM memories WHERE id = $1 FOR UPDATE", memory_id)
        refused = await client.post(ADD, json={"content": "a day"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "DATABASE_BUSY")
        assert "retry-after" in refused.headers


async def test_the_services_own_limits_hold_whatever_the_owner_has_set(database_url: str, session: Session) -> None:
    for name in ("statement_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout"):
        await alter_database(session, f"SET {name} = '2s'")
    settings = PoolSettings(1, statement_timeout_s=7)
    async with open_database(database_url, settings) as database, database.session() as used:
        assert (await used.fetch(SHOW, "statement_timeout"))[0][0] == "7s"
        assert (await used.fetch(SHOW, "idle_in_transaction_session_timeout"))[0][0] == "1min"
        assert (await used.fetch(SHOW, "idle_session_timeout"))[0][0] == "0"
    assert await migrate(database_url) == ()


ODD = {
    "DateStyle": "'SQL, DMY'",
    "IntervalStyle": "sql_standard",
    "TimeZone": "'Asia/Kathmandu'",
    "bytea_output": "escape",
    "standard_conforming_strings": "off",
    "extra_float_digits": "-10",
    "jit": "on",
    "transform_null_equals": "on",
    "array_nulls": "off",
    "row_security": "off",
    "search_path": "nowhere, public",
}


async def test_odd_defaults_change_no_digit_of_what_bootstrap_reads_as_json(empty_url: str) -> None:
    async with session_on(empty_url) as session:
        for name, setting in ODD.items():
            await alter_database(session, f"SET {name} = {setting}")
    await migrate(empty_url)
    async with session_on(empty_url) as session:
        metadata = f'{{"huge": 1{"0" * 400}.5, "ten": 10}}'
        memory_id = await plant(session, content='"a\\b"\n', phi=1 / 3, metadata=metadata, last_accessed=NOON)
    request = BootstrapRequest(conversation_id="c")
    async with opened(empty_url, FRONTIER) as frontier, opened(empty_url, BATCHED) as batched:
        bootstrap = await frontier.memory.bootstrap(request)
        assert bootstrap == await batched.memory.bootstrap(request)
    (memory,) = bootstrap.active
    assert (memory.id, memory.resonance_phi, memory.last_accessed) == (memory_id, 1 / 3, NOON)
    assert memory.metadata == {"huge": math.inf, "ten": 10}


async def test_odd_defaults_change_neither_answers_nor_what_is_kept(empty_url: str) -> None:
    async with session_on(empty_url) as session:
        for name, setting in ODD.items():
            await alter_database(session, f"SET {name} = {setting}")
    await migrate(empty_url)
    async with opened(empty_url, BATCHED, {"first": EAST, "second": EAST}) as anima:
        await anima.memory.add(NewMemory(content="first", tags=("a\\b", "null")))
        await anima.memory.add(NewMemory(content="second"))
        await anima.background.drain()
        found = await anima.memory.query(Query(query="first", conversation_id="c"))
    assert [(memory.memory.content, memory.memory.tags) for memory in found.memories] == [("first", ("a\\b", "null"))]
    async with session_on(empty_url) as session:
        variant = await value(
            session, "SELECT metadata #>> '{semantic_variants,0,merged_at}' FROM memories WHERE deleted_at IS NULL"
        )
    assert str(variant).endswith("+00:00")


async def test_who_finds_no_connection_left_for_the_role_waits_for_one(database_url: str) -> None:
    async with session_on(database_url) as session:
        for number in range(5):
            await plant(session, content=f"memory {number}")
    async with role_on(database_url, "CONNECTION LIMIT 3") as (name, url):
        async with session_on(database_url) as session:
            await session.connection.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}")
            await session.connection.execute(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {name}")
        async with opened(url, BATCHED) as anima, client_of(anima) as client:
            assert set(await answers(client, 48)) == {200}
            assert anima.memory.database.pool_statistics().size == 3


async def test_a_server_that_lets_nobody_in_is_waited_for_until_the_time_is_up(database_url: str) -> None:
    async with role_on(database_url, "CONNECTION LIMIT 0") as (name, url):
        async with open_database(url, PoolSettings(2, acquire_timeout_s=0.05)) as database:
            with pytest.raises(DatabaseBusy, match=r"within 0\.05 s"):
                await database.takes_writes()
        await execute(database_url, f"ALTER ROLE {name} CONNECTION LIMIT 1")
        async with open_database(url, PoolSettings(2)) as database:
            assert await database.takes_writes()
