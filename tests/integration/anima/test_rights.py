"""What a role has to be allowed, and that who may not do all of it is told at the start what to run."""

from uuid import uuid4

import pytest

from anima.database import open_database
from anima.errors import DatabaseUnavailable, DatabaseUnfit, MigrationFailed
from anima.migrations import all_migrations, migrate, status
from anima.model import BootstrapRequest, NewMemory, Query
from anima.rights import refuse_missing_rights
from anima.strategy import BATCHED, NAIVE, Strategy
from harness.measuring.servers.addresses import with_database
from harness.measuring.servers.provisioners._shared.databases import PostgresServer
from tests.foreign import execute, role_on, value
from tests.memories import AT_098, EAST, opened


async def what_is_missing(url: str) -> list[str]:
    """The statements that an owner is told to run."""
    try:
        await refuse_missing_rights(url)
    except DatabaseUnfit as told:
        return [f"GRANT{grant}".strip() for grant in str(told).split("GRANT")[1:]]
    return []


@pytest.mark.parametrize("strategy", [NAIVE, BATCHED], ids=["naive", "batched"])
async def test_what_a_role_is_said_to_lack_is_all_that_the_service_needs(database_url: str, strategy: Strategy) -> None:
    async with role_on(database_url) as (name, url):
        missing = await what_is_missing(url)
        assert f"GRANT INSERT, SELECT, UPDATE ON memories TO {name};" in {
            grant.replace("SELECT, INSERT", "INSERT, SELECT") for grant in missing
        }
        await execute(database_url, *missing)
        assert await what_is_missing(url) == []
        async with opened(url, strategy, {"first": EAST, "second": AT_098}) as anima:
            for content in ("first", "second", "first", "a breakthrough"):
                await anima.memory.add(NewMemory(content=content))
            for _ in range(5):
                await anima.memory.query(Query(query="first", similarity_threshold=0.0, conversation_id="c"))
            await anima.memory.bootstrap(BootstrapRequest(conversation_id="c"))
            assert await anima.background.drain() == 0
            assert await anima.background.prune_once() == 0


async def test_a_right_that_is_taken_away_later_is_a_database_that_is_unavailable(database_url: str) -> None:
    async with role_on(database_url) as (_, url), opened(url, BATCHED) as anima:
        with pytest.raises(DatabaseUnavailable, match=r"permission denied for table memories\). Have its owner grant"):
            await anima.memory.add(NewMemory(content="a day"))


async def test_a_role_that_may_not_connect_is_told_so(database_url: str) -> None:
    name = await value(database_url, "SELECT current_database()")
    await execute(database_url, f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC")
    async with role_on(database_url) as (_, url):
        with pytest.raises(DatabaseUnavailable, match=r"permission denied for database .* Have its owner grant"):
            await status(url)


async def test_a_role_that_may_use_no_schema_is_told_what_to_run(database_url: str) -> None:
    await execute(database_url, "REVOKE ALL ON SCHEMA public FROM PUBLIC")
    async with role_on(database_url) as (name, url):
        for act in (status, migrate):
            with pytest.raises(DatabaseUnfit, match=f"GRANT USAGE ON SCHEMA name TO {name};"):
                await act(url)


async def test_a_role_that_may_make_no_tables_is_told_so(empty_url: str) -> None:
    async with role_on(empty_url) as (_, url):
        with pytest.raises(MigrationFailed, match="Use a role that may create tables"):
            await migrate(url)


async def test_a_role_that_may_make_no_extension_is_told_what_to_run_and_migrates_where_it_is_there(
    empty_url: str,
) -> None:
    await execute(empty_url, "DROP EXTENSION vector")
    async with role_on(empty_url) as (name, url):
        await execute(empty_url, f"GRANT CREATE ON SCHEMA public TO {name}")
        with pytest.raises(MigrationFailed, match=r"run in this database: CREATE EXTENSION vector;"):
            await migrate(url)
        await execute(empty_url, "CREATE SCHEMA ext", "CREATE EXTENSION vector SCHEMA ext")
        with pytest.raises(DatabaseUnavailable, match=f'GRANT USAGE ON SCHEMA "ext" TO {name};'):
            await migrate(url)
        await execute(empty_url, f"GRANT USAGE ON SCHEMA ext TO {name}")
        assert len(await migrate(url)) == len(all_migrations())
        async with opened(url, BATCHED) as anima:
            await anima.memory.add(NewMemory(content="a day at sea"))
            found = await anima.memory.query(Query(query="a day at sea"))
        assert [memory.memory.content for memory in found.memories] == ["a day at sea"]


async def test_pgvector_without_the_index_is_too_old(database_url: str) -> None:
    await execute(database_url, "UPDATE pg_extension SET extversion = '0.4.4' WHERE extname = 'vector'")
    async with open_database(database_url) as database:
        with pytest.raises(DatabaseUnavailable, match=r"pgvector 0\.4, and 0\.5 is the first .* ALTER EXTENSION"):
            await database.takes_writes()


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1", "EUC_JP"])
async def test_an_encoding_that_does_not_hold_all_texts_is_refused(server: PostgresServer, encoding: str) -> None:
    name = f"test_{uuid4().hex}"
    template = "TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
    await execute(server.admin_url, f"CREATE DATABASE {name} ENCODING '{encoding}' {template}")
    url = with_database(server.admin_url, name)
    for act in (migrate, status):
        with pytest.raises(DatabaseUnfit, match=f"has the encoding {encoding}, .* ENCODING 'UTF8'"):
            await act(url)
    await execute(server.admin_url, f"DROP DATABASE {name}")
