"""A comparison on somebody's database leaves it as it was."""

from collections.abc import AsyncGenerator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from anima.errors import DatabaseUnavailable
from anima.migrations import migrate
from harness.measuring.servers.provisioners.protocol import Server
from harness.measuring.targets.anima.equivalence.schemas import own_schemas

CONTENTS = """
    SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema)'
    UNION SELECT 'extension ' || extname FROM pg_extension
    UNION SELECT 'relation ' || oid::regclass FROM pg_class WHERE relnamespace = 'public'::regnamespace
"""


@pytest.fixture
async def url(server: Server) -> AsyncGenerator[str]:
    """A database without pgvector."""
    name = f"plain_{uuid4().hex}"
    created = await server.create_database(name)
    await execute(created, "DROP EXTENSION vector")
    yield created
    await server.drop_database(name)


async def execute(url: str, sql: str) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        return [row[0] for row in await connection.fetch(sql)]
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "enable", ["", "CREATE EXTENSION vector", 'CREATE SCHEMA "Odd"; CREATE EXTENSION vector SCHEMA "Odd"']
)
async def test_each_url_is_a_world_of_its_own_and_all_are_gone_afterwards(url: str, enable: str) -> None:
    for statement in filter(None, enable.split(";")):
        await execute(url, statement)
    before = await execute(url, CONTENTS)
    async with own_schemas(url, 2) as (first, second):
        await migrate(first)
        await migrate(second, to=6)
        await execute(first, "INSERT INTO memory_access_log (memory_id) VALUES (gen_random_uuid())")
        assert await execute(first, "SELECT count(*) FROM memory_access_log") == [1]
        assert await execute(second, "SELECT count(*) FROM memory_access_log") == [0]
        assert await execute(first, "SELECT max(version) > 6 FROM anima_migrations") == [True]
        assert await execute(second, "SELECT max(version) FROM anima_migrations") == [6]
    assert await execute(url, CONTENTS) == before


async def test_they_are_gone_after_a_failure_too(url: str) -> None:
    before = await execute(url, CONTENTS)
    with pytest.raises(ZeroDivisionError):
        async with own_schemas(url, 2):
            raise ZeroDivisionError
    assert await execute(url, CONTENTS) == before


async def test_what_a_killed_one_left_goes_and_what_a_live_one_uses_stays(url: str) -> None:
    await execute(url, "CREATE SCHEMA anima_equivalence_0badcafe_0")
    await execute(url, "CREATE SCHEMA anima_equivalence_of_mine")
    async with own_schemas(url, 1):
        others = await execute(url, CONTENTS)
        assert "schema anima_equivalence_0badcafe_0" not in others
        async with own_schemas(url, 1):
            assert set(others) < set(await execute(url, CONTENTS))
        assert await execute(url, CONTENTS) == others
    assert "schema anima_equivalence_of_mine" in await execute(url, CONTENTS)


async def test_a_database_that_is_away_is_named() -> None:
    with pytest.raises(DatabaseUnavailable, match=r"127\.0\.0\.1:1/x"):
        async with own_schemas("postgresql://127.0.0.1:1/x", 1):
            pass
