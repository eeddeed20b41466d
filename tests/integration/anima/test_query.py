"""What a query answers and records, for both presets and every placement."""

from itertools import combinations
from uuid import UUID

import pytest

from anima.database import Session
from anima.model import Promotion, Query, Tier
from anima.strategy import Strategy
from tests.memories import EAST, PLACED, leaning, opened, plant, rows, tables, value

VECTORS = {"east": EAST, "nothing near": leaning(0.0, towards=700)}


async def planted(session: Session, count: int) -> list[UUID]:
    """In the order in which a query for east finds them."""
    return [await plant(session, leaning(0.9 - number / 100)) for number in range(count)]


async def test_rows_show_what_the_search_saw_with_the_tier_after_it(
    database_url: str, session: Session, strategy: Strategy
) -> None:
    promoted = await plant(session, EAST, access_count=4)
    not_yet = await plant(session, leaning(0.9), access_count=3)
    async with opened(database_url, strategy, VECTORS) as anima:
        found = await anima.memory.query(Query(query="east"))
    assert found.promotions == (Promotion(promoted, Tier.ACTIVE, Tier.THREAD),)
    assert [
        (result.memory.id, result.memory.tier, result.memory.access_count, result.memory.resonance_phi)
        for result in found.memories
    ] == [(promoted, Tier.THREAD, 4, 0.0), (not_yet, Tier.ACTIVE, 3, 0.0)]
    assert await value(session, "SELECT tier FROM current_memories WHERE id = $1", promoted) == "thread"


async def test_an_access_is_recorded_for_what_was_returned_and_for_nothing_else(
    database_url: str, session: Session, strategy: Strategy
) -> None:
    memory_ids = await planted(session, 5)
    async with opened(database_url, strategy, VECTORS) as anima:
        await anima.memory.query(Query(query="east", limit=3, conversation_id="c"))
        await anima.background.drain()
    accessed = await rows(session, "SELECT id FROM current_memories WHERE access_count = 1 AND resonance_phi = 0.1")
    logged = await rows(session, "SELECT memory_id FROM current_access_log")
    assert {row["id"] for row in accessed} == {row["memory_id"] for row in logged} == set(memory_ids[:3])
    assert len(logged) == 3
    pairs = await rows(session, "SELECT memory_a_id, memory_b_id FROM current_associations ORDER BY 1, 2")
    assert [tuple(row.values()) for row in pairs] == list(combinations(sorted(memory_ids[:3]), 2))


@pytest.mark.parametrize("query", [Query(query="nothing near"), Query(query="east", tiers=(Tier.NETWORK,))])
async def test_finding_nothing_writes_nothing(
    database_url: str, session: Session, strategy: Strategy, query: Query
) -> None:
    await planted(session, 3)
    before = await tables(session)
    async with opened(database_url, strategy, VECTORS) as anima:
        found = await anima.memory.query(query)
        await anima.background.drain()
    assert (found.memories, found.promotions) == ((), ())
    assert await tables(session) == before


@pytest.mark.parametrize(("count", "conversation_id"), [(2, None), (1, "c")])
async def test_without_a_conversation_or_a_pair_nothing_co_occurs(
    database_url: str, session: Session, strategy: Strategy, count: int, conversation_id: str | None
) -> None:
    await planted(session, count)
    async with opened(database_url, strategy, VECTORS) as anima:
        await anima.memory.query(Query(query="east", conversation_id=conversation_id))
        await anima.background.drain()
    assert await value(session, "SELECT count(*) FROM current_associations") == 0
    assert await value(session, "SELECT count(*) FROM current_access_log") == count


async def test_thirty_queries_lead_from_active_to_stable_and_phi_to_its_cap(
    database_url: str, session: Session, strategy: Strategy
) -> None:
    memory_id = await plant(session, EAST, phi=3.0)
    async with opened(database_url, strategy, VECTORS) as anima:
        reported = [(await anima.memory.query(Query(query="east"))).promotions for _ in range(30)]
    assert {number: promotions for number, promotions in enumerate(reported, start=1) if promotions} == {
        5: (Promotion(memory_id, Tier.ACTIVE, Tier.THREAD),),
        20: (Promotion(memory_id, Tier.THREAD, Tier.STABLE),),
    }
    audit = await rows(session, "SELECT from_tier, to_tier, access_count_at_promotion FROM tier_promotions ORDER BY id")
    assert [tuple(row.values()) for row in audit] == [("active", "thread", 5), ("thread", "stable", 20)]
    assert await value(session, "SELECT resonance_phi FROM current_memories") == 5.0
    assert await value(session, "SELECT count(*) FROM current_access_log") == 30


@pytest.mark.parametrize("strategy", sorted(PLACED.keys() - {"frontier"}), indirect=True)
async def test_pairs_are_written_or_accepted_before_any_row_is_locked_by_its_access(
    database_url: str, session: Session, strategy: Strategy
) -> None:
    """Locked rows stay locked until the transaction ends; a merge that waits for them may hold what pairs wait for."""
    await planted(session, 3)
    seen: list[str] = []
    async with opened(database_url, strategy, VECTORS, observer=lambda executed: seen.append(executed.name)) as anima:
        await anima.memory.query(Query(query="east", conversation_id="c"))
    paired = [number for number, name in enumerate(seen) if name.startswith(("association.", "queue"))]
    accessed = [number for number, name in enumerate(seen) if name.startswith(("access.", "promotion."))]
    assert paired
    assert max(paired) < min(accessed)
