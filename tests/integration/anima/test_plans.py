"""Which indexes each statement uses on 10,000 memories, and which scan is left as it was before the fixes.

A plan is asked for with the values of a call and without any, as PostgreSQL makes both.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import numpy as np
import pytest

from anima import catalysts, merges, store
from anima.access_records import batched as access_batched
from anima.access_records import per_memory
from anima.bootstraps import one_query, three_queries
from anima.consolidations import full_scan, nearest
from anima.consolidations.protocol import Candidate
from anima.database import Session, Statement
from anima.embeddings.protocol import DIMENSIONS
from anima.migrations import migrate
from anima.model import PROMOTIONS, content_hash
from anima.searches import exact, exact_once, hnsw
from anima.strategy import BATCHED, NAIVE
from harness.measuring.servers.provisioners.protocol import Server
from tests.memories import AT_098, EAST, NOON, plant, rows, session_on
from tests.specimens import fix5_bootstrap

pytestmark = pytest.mark.slow

COUNT: Final = 10_000
LATER: Final = NOON + timedelta(days=365)
TIERS: Final = ("active", "thread", "stable", "network")
FIRST, SECOND = UUID(int=1), UUID(int=2)

# PostgreSQL plans for unknown values only what is written in one text.
GENERIC_PLAN = """
    CREATE FUNCTION pg_temp.generic_plan(statement text) RETURNS json LANGUAGE plpgsql AS $$
    DECLARE plan json;
    BEGIN
        EXECUTE 'EXPLAIN (GENERIC_PLAN, FORMAT JSON) ' || statement INTO plan;
        RETURN plan;
    END $$
"""


@pytest.fixture(scope="session")
def large_template(runner: asyncio.Runner, server: Server) -> str:
    """The name of a database before the fixes, with memories, associations and accesses."""
    runner.run(_load(runner.run(server.create_database("template_large"))))
    return "template_large"


async def _load(url: str) -> None:
    """The vectors have few components that differ, so that their index is built soon."""
    await migrate(url, to=4)
    vectors = np.zeros((COUNT, DIMENSIONS), dtype=np.float32)
    vectors[:, :8] = np.random.default_rng(1).standard_normal((COUNT, 8))
    async with session_on(url) as session:
        await session.connection.copy_records_to_table(
            "memories",
            columns=[
                "id", "content", "content_hash", "embedding", "tier", "resonance_phi", "access_count", "last_accessed",
                "created_at",
            ],
            records=[
                (
                    UUID(int=number), f"memory {number}", content_hash(f"memory {number}"), vector,
                    TIERS[number % 4], number % 50 / 10, number % 30, NOON + timedelta(seconds=number * 7_919 % COUNT),
                    NOON + timedelta(seconds=number),
                )
                for number, vector in enumerate(vectors, start=1)
            ],
        )  # fmt: skip
        await session.connection.execute(
            "INSERT INTO memory_associations (memory_a_id, memory_b_id, strength) SELECT a.id, b.id, 0"
            " FROM (SELECT id FROM memories ORDER BY id LIMIT 200) a, (SELECT id FROM memories ORDER BY id LIMIT 200) b"
            " WHERE a.id < b.id"
        )
        await session.connection.execute(
            "INSERT INTO memory_access_log (memory_id, accessed_at) SELECT id, last_accessed FROM memories"
        )
    await migrate(url, to=6)
    async with session_on(url) as session:
        await session.connection.execute("VACUUM (ANALYZE)")


@asynccontextmanager
async def at_version(server: Server, template: str, version: int) -> AsyncGenerator[Session]:
    name = f"plans_{uuid4().hex}"
    url = await server.clone_database(template, name)
    await migrate(url, to=version)
    async with session_on(url) as session:
        await session.connection.execute("VACUUM (ANALYZE)")
        await session.connection.execute(GENERIC_PLAN)
        yield session
    await server.drop_database(name)


def ways(node: dict[str, Any]) -> Iterator[str]:
    """How the tables are reached below this node of a plan."""
    if "Index Name" in node:
        yield node["Index Name"]
    elif "Relation Name" in node and node["Node Type"] == "Seq Scan":
        yield f"every row of {node['Relation Name']}"
    for child in node.get("Plans", ()):
        yield from ways(child)


async def reached(session: Session, statement: Statement, *arguments: object) -> set[str]:
    """The same for both kinds of plan, or the test ends here."""
    custom = await session.connection.fetchval("EXPLAIN (FORMAT JSON) " + statement.sql, *arguments)
    generic = await session.connection.fetchval("SELECT pg_temp.generic_plan($1)", statement.sql)
    custom_ways, generic_ways = (set(ways(json.loads(plan)[0]["Plan"])) for plan in (custom, generic))
    assert custom_ways == generic_ways, statement.name
    return custom_ways


async def ways_of_all(session: Session, calls: dict[Statement, tuple[object, ...]]) -> dict[str, set[str]]:
    return {statement.name: await reached(session, statement, *arguments) for statement, arguments in calls.items()}


NEW = Candidate(EAST, UUID(int=COUNT + 1), LATER)
BOOTSTRAP = (50, True, 5, True, True)
STEPS = (list(PROMOTIONS), [count for count, _ in PROMOTIONS.values()], [tier for _, tier in PROMOTIONS.values()])

BEFORE_THE_FIXES: dict[Statement, tuple[object, ...]] = {
    exact.FIND: (EAST, [], 0.5, 20),
    full_scan.MATCH: (NEW.embedding, 0.95, NEW.created_at, NEW.id),
    three_queries.ACTIVE: (None,),
    three_queries.BY_PHI: ("thread", 35),
}

ALWAYS: dict[Statement, tuple[object, ...]] = {
    store.COUNT_DUPLICATE: (content_hash("memory 5"), LATER),
    per_memory.TOUCH: ([FIRST, SECOND], LATER, "c"),
    per_memory.RAISE_PHI: (FIRST, 0.1, 5.0, LATER),
    per_memory.READ_TIER: (FIRST,),
    access_batched.RECORD: ([FIRST, SECOND], LATER, "c", 0.1, 5.0, *STEPS),
    catalysts.READ: (FIRST,),
    catalysts.COUNT_ACCESSES: (FIRST, LATER),
    catalysts.COUNT_ASSOCIATIONS: (FIRST,),
    catalysts.IN_TABLES: ([FIRST, SECOND], [LATER, LATER]),
    merges.LOCK: (FIRST,),
    merges.LOCK_IF_FREE: (FIRST,),
    merges.SURVIVORS: ([FIRST, SECOND],),
    merges.MOVE_ASSOCIATIONS: (FIRST, SECOND, LATER),
    hnsw.FIND: (EAST, [], 0.5, 20, 100),
    nearest.MATCH: (NEW.embedding, 0.95, NEW.created_at, NEW.id),
    nearest.OLDER: (NEW.embedding, 0.95, NEW.created_at, NEW.id),
}


async def test_before_the_fixes_search_consolidation_and_bootstrap_read_every_memory(
    server: Server, large_template: str
) -> None:
    async with at_version(server, large_template, 6) as session:
        found = await ways_of_all(session, BEFORE_THE_FIXES)
    assert found == {name: {"every row of memories"} for name in found}


@pytest.mark.parametrize("version", [NAIVE.schema_version, BATCHED.schema_version])
async def test_statements_on_single_memories_use_their_indexes(
    server: Server, large_template: str, version: int
) -> None:
    async with at_version(server, large_template, version) as session:
        assert await ways_of_all(session, ALWAYS) == {
            "add.count_duplicate": {"memories_content_hash_live_key"},
            "access.touch": {"memories_pkey"},
            "access.raise_phi": {"memories_pkey"},
            "promotion.read": {"memories_pkey"},
            "access.record": {"memories_pkey"},
            "catalyst.read": {"memories_pkey"},
            "catalyst.count_accesses": {"memory_access_log_memory_id_accessed_at_idx"},
            "catalyst.count_associations": {"memory_associations_pkey", "memory_associations_memory_b_id_idx"},
            "catalyst.read_evidence": {
                "memories_pkey",
                "memory_access_log_memory_id_accessed_at_idx",
                "memory_associations_pkey",
                "memory_associations_memory_b_id_idx",
            },
            "merge.lock": {"memories_pkey"},
            "merge.lock_if_free": {"memories_pkey"},
            "merge.survivors": {"memories_pkey"},
            "merge.move_associations": {"memory_associations_pkey", "memory_associations_memory_b_id_idx"},
            "query.search": {"idx_memories_embedding"},
            "consolidation.match": {"idx_memories_embedding"},
            "consolidation.match_older": {"idx_memories_embedding"},
        }


async def test_an_exact_search_reads_every_memory_whatever_indexes_there_are(
    server: Server, large_template: str
) -> None:
    async with at_version(server, large_template, BATCHED.schema_version) as session:
        for statement in (exact.FIND, exact_once.FIND):
            assert await reached(session, statement, EAST, [], 0.5, 20) == {"every row of memories"}


async def test_with_the_guides_indexes_bootstrap_reads_no_further_than_its_limits(
    server: Server, large_template: str
) -> None:
    both = {"idx_memories_tier_accessed", "idx_memories_tier_phi_accessed"}
    async with at_version(server, large_template, 7) as session:
        assert await reached(session, one_query.LOAD, *BOOTSTRAP) == both
        assert await reached(session, three_queries.BY_PHI, "thread", 35) == {"idx_memories_tier_phi_accessed"}
        assert await rows_read(session, one_query.LOAD, *BOOTSTRAP) == {5, 32, 13}
        guides = await analysed(session, Statement("guide", fix5_bootstrap.THAT_RUNS))
    assert max(node["Actual Rows"] for node in nodes(guides) if node["Node Type"] == "WindowAgg") == COUNT * 3 // 4


async def test_with_the_newest_indexes_bootstrap_reads_a_tier_and_keeps_no_more_than_its_limits(
    server: Server, large_template: str
) -> None:
    async with at_version(server, large_template, BATCHED.schema_version) as session:
        assert await reached(session, one_query.LOAD, *BOOTSTRAP) == {"idx_memories_live_tier"}
        plan = await analysed(session, one_query.LOAD, *BOOTSTRAP)
    sorts = [node for node in nodes(plan) if node["Node Type"] == "Sort"]
    assert sorted(node["Actual Rows"] for node in sorts) == [5, 13, 32, 50]
    assert {node["Sort Method"] for node in sorts if node["Actual Rows"] < 50} == {"top-N heapsort"}


async def analysed(session: Session, statement: Statement, *arguments: object) -> dict[str, Any]:
    explained = await session.connection.fetchval("EXPLAIN (ANALYZE, FORMAT JSON) " + statement.sql, *arguments)
    plan: dict[str, Any] = json.loads(explained)[0]["Plan"]
    return plan


async def rows_read(session: Session, statement: Statement, *arguments: object) -> set[int]:
    """How many rows each index scan has given."""
    return {
        round(node["Actual Rows"])
        for node in nodes(await analysed(session, statement, *arguments))
        if node["Node Type"] == "Index Scan"
    }


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from nodes(child)


async def test_by_the_index_as_by_a_scan_the_oldest_of_many_equally_near_is_found(
    server: Server, large_template: str
) -> None:
    """More than the index looks at in one go."""
    async with at_version(server, large_template, BATCHED.schema_version) as session:
        for age in range(120):
            await plant(session, AT_098 * 20, memory_id=uuid4(), created_at=NOON - timedelta(minutes=age))
        candidate = Candidate(AT_098, NEW.id, LATER)
        assert await reached(session, nearest.MATCH, AT_098, 0.95, LATER, NEW.id) == {"idx_memories_embedding"}
        by_index = await nearest.NearestConsolidation().match(session, candidate)
        assert by_index == await full_scan.FullScanConsolidation().match(session, candidate)
        (oldest,) = await rows(session, "SELECT id FROM memories ORDER BY created_at LIMIT 1")
        assert by_index.older is not None
        assert by_index.older.memory_id == oldest["id"]
