"""From one table to what changes often apart: with data, while an older release goes on, and after an interruption."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from anima import migrations
from anima.database import Session
from anima.errors import MigrationFailed
from anima.migrations import Migration, all_migrations, migrate
from anima.model import NewMemory, Query, Tier
from anima.strategy import BATCHED, FRONTIER
from tests.memories import EAST, NOON, leaning, opened, plant, rows, session_on, value

VECTORS = {"east": EAST, "a day": leaning(0.3)}
CURRENT = "SELECT to_jsonb(t) FROM current_memories t ORDER BY id"
AS_WRITTEN = """
    SELECT to_jsonb(t) - 'embedding' FROM memories t ORDER BY id
"""


async def seen(session: Session, sql: str) -> list[Any]:
    return [row[0] for row in await session.connection.fetch(sql)]


async def with_history(url: str) -> None:
    """At the last version of one table, with memories in several states."""
    await migrate(url, to=BATCHED.schema_version)
    async with session_on(url) as session:
        for number in range(30):
            await plant(
                session, leaning(0.9 - number / 100), memory_id=UUID(int=number), phi=number / 10, access_count=4
            )
        await plant(session, EAST, memory_id=UUID(int=99), deleted_at=NOON)
        await plant(session, leaning(0.8, towards=3), tier=Tier.STABLE, phi=5.0)


async def test_what_was_there_is_the_same_apart(empty_url: str) -> None:
    await with_history(empty_url)
    await migrate(empty_url)
    async with session_on(empty_url) as session:
        assert await seen(session, CURRENT) == await seen(session, AS_WRITTEN)
        assert await value(session, "SELECT count(*) FROM memory_keys") == 31
        assert await value(session, "SELECT count(*) FROM memory_ranks") == 31


async def test_what_an_older_release_writes_on_the_new_schema_is_carried_on(empty_url: str) -> None:
    """Each step of it: a query with promotions, an exact duplicate, a merge, a deletion."""
    await with_history(empty_url)
    await migrate(empty_url)
    async with opened(empty_url, BATCHED, VECTORS) as older, session_on(empty_url) as session:
        await older.memory.query(Query(query="east", conversation_id="c"))
        await older.memory.add(NewMemory(content="a day"))
        await older.memory.add(NewMemory(content="a day"))
        await older.memory.add(NewMemory(content="east"))
        await older.background.drain()
        await session.connection.execute("UPDATE memories SET deleted_at = now() WHERE id = $1", UUID(int=3))
        assert await seen(session, CURRENT) == await seen(session, AS_WRITTEN)
        keys = await rows(session, "SELECT id FROM memory_keys ORDER BY id")
        assert keys == await rows(session, "SELECT id FROM memories WHERE deleted_at IS NULL ORDER BY id")
        ranks = "SELECT id, tier, last_accessed, resonance_phi, access_count FROM {} ORDER BY id"
        assert await rows(session, ranks.format("memory_ranks")) == await rows(
            session, ranks.format("memories WHERE deleted_at IS NULL")
        )


async def test_what_both_releases_count_is_the_sum(empty_url: str) -> None:
    await with_history(empty_url)
    await migrate(empty_url)
    async with opened(empty_url, BATCHED, VECTORS) as older, opened(empty_url, FRONTIER, VECTORS) as newer:
        for anima in (older, newer, older, newer, newer):
            await anima.memory.query(Query(query="east", limit=1, similarity_threshold=0.0))
    async with session_on(empty_url) as session:
        assert await value(session, "SELECT sum(access_count) FROM current_memories") == 30 * 4 + 5


async def test_filling_goes_on_where_it_was_interrupted(empty_url: str) -> None:
    await with_history(empty_url)
    await migrate(empty_url, to=10)
    async with session_on(empty_url) as session:
        await session.connection.execute("SELECT add_side_rows(ARRAY(SELECT id FROM memories ORDER BY id LIMIT 7))")
        await session.connection.execute("UPDATE memory_states SET access_count = 77 WHERE id = $1", UUID(int=1))
        await migrate(empty_url)
        assert await value(session, "SELECT access_count FROM memory_states WHERE id = $1", UUID(int=1)) == 77
        assert await value(session, "SELECT count(*) FROM memory_states") == 32


async def test_a_memory_that_is_brought_back_is_found_again(database_url: str) -> None:
    async with opened(database_url, FRONTIER, VECTORS) as anima, session_on(database_url) as session:
        memory_id = await plant(session, EAST)
        for change in ("deleted_at = now()", "deleted_at = NULL"):
            await session.connection.execute(f"UPDATE memories SET {change} WHERE id = $1", memory_id)
        found = await anima.memory.query(Query(query="east"))
    assert [result.memory.id for result in found.memories] == [memory_id]


async def test_removed_rows_leave_nothing_beside_them(database_url: str) -> None:
    async with session_on(database_url) as session:
        first = await plant(session, EAST)
        await plant(session, leaning(0.5))
        for statement, left in ((f"DELETE FROM memories WHERE id = '{first}'", 1), ("TRUNCATE memories", 0)):
            await session.connection.execute(statement)
            for table in ("memory_states", "memory_keys", "memory_ranks"):
                assert await value(session, f"SELECT count(*) FROM {table}") == left


async def test_a_pgvector_that_can_spoil_the_index_is_refused_with_what_to_do(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No server of these tests is as old, so the migration asks for more than there is."""

    def asking_for_more() -> tuple[Migration, ...]:
        return tuple(replace(each, sql=each.sql.replace("pgvector 0.8.4", "pgvector 99.8.4")) for each in originals)

    originals = all_migrations()
    assert {each.version for each in originals if each.pgvector_version != "0"} == {9}
    monkeypatch.setattr(migrations, "all_migrations", asking_for_more)
    with pytest.raises(MigrationFailed, match=r"needs pgvector 99\.8\.4, and the database has .*--to 8.*batched"):
        await migrate(empty_url)
    connection = await asyncpg.connect(empty_url)
    assert await connection.fetchval("SELECT max(version) FROM anima_migrations") == BATCHED.schema_version
    await connection.close()
