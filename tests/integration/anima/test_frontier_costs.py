"""What an operation of `frontier` costs the server, in counts: rows read, updates in place, bytes written ahead."""

import json
from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any, Final
from uuid import UUID

import numpy as np
import pytest

from anima.assembly import Anima
from anima.bootstraps.ranked import RankedBootstrap
from anima.connections import Row
from anima.database import Session
from anima.embeddings.protocol import DIMENSIONS, Vector
from anima.model import BootstrapRequest, NewMemory, Query
from anima.recalls.one_statement import RECALL
from anima.strategy import FRONTIER
from tests.memories import EAST, NOON, PLANT, opened, rows

CORPUS: Final = ("memories", "memory_states", "memory_keys", "memory_ranks")
WAL_BYTES_MAX: Final = 8_000
RESULTS: Final = 20
ALL_BY_INDEX: Final = -1
REST: Final = (False, "{}", NOON, NOON, None)
READ: Final = """
    SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::int FROM pg_stat_user_tables WHERE relname = ANY($1)
"""
READ_BY_QUERY: Final = """
    SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::int FROM pg_stat_xact_user_tables
"""
ROWS_OF_A_QUERY_MAX: Final = 400
UPDATES: Final = """
    SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'memory_states'
"""


async def plant_all(session: Session, planted: Iterable[tuple[Vector, float]]) -> None:
    """Numbered from 1 on, each with its phi."""
    await session.connection.executemany(
        PLANT.sql,
        [
            (UUID(int=number), f"memory {number}", f"{number:064x}", vector, "active", 0, phi, *REST)
            for number, (vector, phi) in enumerate(planted, start=1)
        ],
    )


async def plant_many(session: Session, size: int) -> None:
    drawn = np.random.default_rng(3).normal(0, 1, (size, DIMENSIONS)).astype(np.float32)
    await plant_all(session, ((vector, 0.0) for vector in drawn))


async def plant_at(session: Session, planted: Sequence[tuple[float, float]]) -> None:
    """Each at a similarity to EAST, in any direction from there, and with a phi."""
    drawn = np.random.default_rng(9)
    await plant_all(session, [(at_similarity(near, drawn), phi) for near, phi in planted])
    await session.connection.execute("VACUUM ANALYZE")


def at_similarity(near: float, drawn: np.random.Generator) -> Vector:
    aside = drawn.normal(0, 1, DIMENSIONS) * (1 - EAST)
    found: Vector = (near * EAST + np.sqrt(1 - near**2) * aside / np.linalg.norm(aside)).astype(np.float32)
    return found


async def recalled(session: Session, threshold: float = 0, limit: int = RESULTS) -> tuple[Sequence[Row], int]:
    """What is found for EAST, and how many rows were read."""
    async with session.transaction():
        before = await session.connection.fetchval(READ_BY_QUERY)
        found = await session.fetch(RECALL, EAST, [], threshold, limit, ALL_BY_INDEX, threshold > 0, None, NOON)
        return found, await session.connection.fetchval(READ_BY_QUERY) - before


async def counted(anima: Anima, session: Session, sql: str, *arguments: object) -> dict[str, Any]:
    """After all that was done has been told to the server's statistics."""
    await anima.memory.database.report_statistics()
    await session.connection.execute("SELECT pg_stat_force_next_flush()")
    await session.connection.execute("SELECT pg_stat_clear_snapshot()")
    (row,) = await rows(session, sql, *arguments)
    return row


async def rows_read_by_background_work(url: str, session: Session, size: int) -> int:
    """Of the tables that have a row for each memory: by folding, new keys, look-ups of duplicates and of catalysts."""
    await plant_many(session, size)
    await session.connection.execute("VACUUM ANALYZE")
    (row,) = await rows(session, "SELECT quote_ident(current_database()) AS name")
    # As for a large table, whose index is asked although it takes less to sort this one.
    await session.connection.execute(f"ALTER DATABASE {row['name']} SET enable_sort = off")
    async with opened(url, FRONTIER) as anima:
        for number in range(10):
            await anima.memory.add(NewMemory(content=f"a new one, the {number}th of {size}"))
        for number in range(10):
            await anima.memory.query(Query(query=f"question {number % 2}", similarity_threshold=0, conversation_id="c"))
        before = await counted(anima, session, READ, CORPUS)
        await anima.background.drain()
        after = await counted(anima, session, READ, CORPUS)
    return int(after["sum"]) - int(before["sum"])


@pytest.mark.slow
async def test_background_work_reads_as_much_of_a_large_corpus_as_of_a_small_one(
    database_url: str, session: Session
) -> None:
    small = await rows_read_by_background_work(database_url, session, 200)
    await session.connection.execute("TRUNCATE memories, memory_associations, memory_access_log")
    large = await rows_read_by_background_work(database_url, session, 800)
    assert 0 < large < small + 300


async def test_a_session_that_began_with_no_memory_reads_one_for_each_that_it_writes(
    database_url: str, session: Session
) -> None:
    """Where the statistics of the planner are those of empty tables."""
    for table in CORPUS:
        await session.connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
    async with opened(database_url, FRONTIER) as anima:
        await plant_many(session, 400)
        found = await counted(anima, session, READ, CORPUS)
    assert found["sum"] <= 400 * 8


async def test_each_update_of_an_access_is_in_place(database_url: str, session: Session) -> None:
    """With promotions, new conversations and the cap of phi on the way."""
    await plant_many(session, 200)
    async with opened(database_url, FRONTIER) as anima:
        for number in range(60):
            query = Query(query=f"question {number % 3}", similarity_threshold=0, conversation_id=f"c {number % 10}")
            await anima.memory.query(query)
        found = await counted(anima, session, UPDATES)
    assert found["n_tup_upd"] == 60 * RESULTS
    assert found["n_tup_hot_upd"] == found["n_tup_upd"]


@pytest.mark.parametrize("ranked_at_once", [ALL_BY_INDEX, 1_000], ids=["by index", "ranked"])
async def test_a_query_with_all_that_it_records_writes_little_ahead(session: Session, ranked_at_once: int) -> None:
    await plant_many(session, 200)
    questions = np.random.default_rng(5).normal(0, 1, (8, DIMENSIONS)).astype(np.float32)
    written: list[int] = []
    for number, question in zip(count(), questions, strict=False):
        arguments: Sequence[object] = (question, [], 0.0, RESULTS, ranked_at_once, False, f"c {number}", NOON)
        (plan,) = await rows(session, f"EXPLAIN (ANALYZE, WAL, FORMAT JSON) {RECALL.sql}", *arguments)
        (explained,) = json.loads(plan["QUERY PLAN"])
        assert explained["Plan"]["Actual Rows"] == RESULTS
        written.append(explained["Plan"]["WAL Bytes"])
    assert 0 < max(written) <= WAL_BYTES_MAX


async def test_a_query_by_itself_reads_few_rows(session: Session) -> None:
    """One memory in ten is resonant, so that both indexes are asked; a scan of one table would read 600 rows."""
    drawn = np.random.default_rng(5)
    question = drawn.normal(0, 1, DIMENSIONS).astype(np.float32)
    await plant_many(session, 560)
    await session.connection.executemany(
        PLANT.sql,
        [
            (UUID(int=number), f"near {number}", f"{number:064x}", near, "active", 0, 3.0, *REST)
            for number, near in enumerate(
                (question + drawn.normal(0, 0.5, (40, DIMENSIONS))).astype(np.float32), start=1_001
            )
        ],
    )
    await session.connection.execute("VACUUM ANALYZE")
    for number in range(3):
        async with session.transaction():
            before = await session.connection.fetchval(READ_BY_QUERY)
            found = await session.fetch(RECALL, question, [], 0.0, RESULTS, ALL_BY_INDEX, False, f"c {number}", NOON)
            read = await session.connection.fetchval(READ_BY_QUERY) - before
        assert len(found) == RESULTS
        assert RESULTS < read <= ROWS_OF_A_QUERY_MAX


async def test_a_search_that_either_index_proves_in_an_order_of_its_own_looks_at_few(session: Session) -> None:
    """Below the threshold many weigh more than those above it, and above it the quiet ones are many."""
    planted = [
        *((0.38, 5.0) for _ in range(150)),
        *((0.7, 1.0) for _ in range(10)),
        *((0.6, 0.0) for _ in range(100)),
        *((0.3, 0.0) for _ in range(50)),
    ]
    await plant_at(session, planted)
    found, read = await recalled(session, threshold=0.5, limit=5)
    assert len(found) == 5
    assert all(150 < row["id"].int <= 160 for row in found)
    assert all(row["is_proven"] for row in found)
    assert read <= ROWS_OF_A_QUERY_MAX


@pytest.mark.parametrize("threshold", [0.0, 0.2])
@pytest.mark.parametrize("phi", [0.0, 2.0])
async def test_a_search_is_proven_where_one_of_the_indexes_is_empty(
    session: Session, threshold: float, phi: float
) -> None:
    """As the index of resonant memories is while nothing has been asked yet."""
    await plant_at(session, [(0.9 - number / 400, phi) for number in range(300)])
    found, read = await recalled(session, threshold=threshold)
    assert [row["id"].int for row in found] == [*range(1, RESULTS + 1)]
    assert all(row["is_proven"] for row in found)
    assert read <= ROWS_OF_A_QUERY_MAX


async def test_a_search_leaves_no_cursor_open(session: Session) -> None:
    """A transaction may have many queries, and each search holds what it has visited."""
    await plant_many(session, 300)
    async with session.transaction():
        for threshold in (0.0, 0.2, 0.9):
            await session.fetch(RECALL, EAST, [], threshold, RESULTS, ALL_BY_INDEX, threshold > 0, None, NOON)
            await session.fetch(RECALL, EAST, ["thread"], threshold, RESULTS, ALL_BY_INDEX, False, None, NOON)
        assert await rows(session, "SELECT statement FROM pg_cursors WHERE name <> ''") == []


async def test_a_search_looks_at_little_of_what_is_far_below_its_answer(session: Session) -> None:
    """And at all that lies close below it, of which some could have come late."""
    read = {}
    for similarity in (0.62, 0.3):
        await session.connection.execute("TRUNCATE memories CASCADE")
        await plant_at(session, [*((0.7, 2.0) for _ in range(30)), *((similarity, 2.0) for _ in range(400))])
        found, read[similarity] = await recalled(session)
        assert all(row["id"].int <= 30 and row["is_proven"] for row in found)
    assert read[0.3] <= ROWS_OF_A_QUERY_MAX < read[0.62]


async def test_a_bootstrap_reads_only_what_it_returns_and_is_not_planned_anew_each_time(session: Session) -> None:
    """Of a table that is small enough for a plan to read all of it."""
    await plant_many(session, 400)
    await session.connection.execute(
        "UPDATE memories AS m SET tier = (ARRAY['active', 'thread', 'stable'])[1 + number % 3]"
        " FROM (SELECT id, row_number() OVER (ORDER BY id) AS number FROM memories) AS n WHERE n.id = m.id"
    )
    await session.connection.execute("VACUUM ANALYZE")
    for _ in range(10):
        async with session.transaction():
            before = await session.connection.fetchval(READ_BY_QUERY)
            loaded = await RankedBootstrap().load(session, BootstrapRequest(conversation_id="c", active_limit=35))
            read = await session.connection.fetchval(READ_BY_QUERY) - before
        assert loaded.distribution == {"active": 35, "thread": 11, "stable": 4, "total": 50}
        assert read <= 3 * 50
    planned = "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement ~ 'ids_of_bootstra[p]'"
    assert await rows(session, planned) == [{"generic_plans": 5, "custom_plans": 5}]


async def test_a_bootstrap_reads_the_state_of_what_is_not_folded_once(session: Session) -> None:
    """And not for each tier."""
    await plant_many(session, 400)
    questions = np.random.default_rng(5).normal(0, 1, (10, DIMENSIONS)).astype(np.float32)
    for question in questions:
        await session.fetch(RECALL, question, [], 0.0, RESULTS, ALL_BY_INDEX, False, "c", NOON)
    await session.connection.execute("VACUUM ANALYZE")
    unfolded = await session.connection.fetchval(
        "SELECT count(DISTINCT one) FROM memory_recalls, unnest(memory_ids) AS one"
    )
    assert unfolded > RESULTS * 4
    async with session.transaction():
        before = await session.connection.fetchval(READ_BY_QUERY)
        loaded = await RankedBootstrap().load(session, BootstrapRequest(conversation_id="c", active_limit=35))
        read = await session.connection.fetchval(READ_BY_QUERY) - before
    assert loaded.distribution["active"] == 35
    assert read <= len(questions) + unfolded + 3 * 35
