"""What adding leaves behind, after background work is drained, for both presets and every placement."""

import json
from dataclasses import replace
from typing import Any

import pytest

from anima.assembly import Anima
from anima.database import Session
from anima.model import Added, NewMemory, Tier
from anima.strategy import Strategy
from tests.memories import AT_095, AT_098, EAST, NOON, Clock, leaning, opened, plant, rows, value
from tests.providers import TEXT, VARIANTS

VECTORS = {"first": EAST, "second": AT_098, "third": AT_095, "far": leaning(0.94)}


async def add(anima: Anima, content: str, **fields: Any) -> Added:
    """Adds, and waits for what follows."""
    added = await anima.memory.add(NewMemory.parse(content=content, **fields))
    assert await anima.background.drain() == 0
    return added


async def live(session: Session) -> list[dict[str, Any]]:
    return await rows(session, "SELECT * FROM current_memories WHERE deleted_at IS NULL ORDER BY created_at")


async def test_a_new_memory_starts_active_and_without_accesses(
    database_url: str, session: Session, strategy: Strategy
) -> None:
    clock = Clock()
    async with opened(database_url, strategy, clock=clock) as anima:
        added = await add(anima, "a day", category="life", tags=["x", "y"], source="diary")
    assert (added.duplicate, added.is_duplicate, added.embedding_provider) == (None, False, "stated")
    memory = added.memory
    assert (memory.tier, memory.access_count, memory.resonance_phi) == (Tier.ACTIVE, 0, 0.0)
    assert (memory.category, memory.tags, memory.source) == ("life", ("x", "y"), "diary")
    assert (memory.metadata, memory.is_catalyst, memory.accessed_in_conversation_ids) == ({}, False, ())
    assert memory.created_at == memory.updated_at == memory.last_accessed == memory.tier_last_updated > NOON
    (row,) = await live(session)
    assert (row["id"], row["content"], row["content_hash"]) == (memory.id, "a day", memory.content_hash)


async def test_a_new_catalyst_starts_with_phi_1_and_is_not_examined(
    database_url: str, session: Session, strategy: Strategy
) -> None:
    async with opened(database_url, strategy) as anima:
        added = await add(anima, "eureka", is_catalyst=True)
    assert (added.memory.resonance_phi, added.memory.is_catalyst) == (1.0, True)
    assert await value(session, "SELECT metadata FROM current_memories") == "{}"


async def test_an_exact_duplicate_is_counted_and_comes_back(
    database_url: str, session: Session, strategy: Strategy
) -> None:
    async with opened(database_url, strategy) as anima:
        first = await add(anima, "a day")
        second = await add(anima, "a day", category="ignored", is_catalyst=True)
    assert second.duplicate == "exact"
    assert (second.memory.id, second.memory.access_count, second.memory.category) == (first.memory.id, 1, None)
    (row,) = await live(session)
    assert (row["access_count"], row["resonance_phi"], row["is_catalyst"]) == (1, 0.0, False)
    assert row["last_accessed"] == row["updated_at"] == second.memory.last_accessed > first.memory.last_accessed
    assert await value(session, "SELECT count(*) FROM current_access_log") == 0


async def test_an_exact_duplicate_brings_nothing_but_its_access(
    database_url: str, session: Session, strategy: Strategy
) -> None:
    """All columns but the access stay, whatever else the second add says."""
    async with opened(database_url, strategy) as anima:
        await add(anima, "a day", category="life", tags=["x"], source="diary")
        (before,) = await live(session)
        second = await add(anima, "a day", category="work", tags=["x", "y"], source="letter", is_catalyst=True)
    (after,) = await live(session)
    accessed = {"access_count", "last_accessed", "updated_at"}
    assert {name for name in after if name != "embedding" and after[name] != before[name]} == accessed
    assert (second.memory.category, second.memory.tags, second.memory.source) == ("life", ("x",), "diary")


async def test_only_the_very_same_text_is_an_exact_duplicate(
    database_url: str, session: Session, strategy: Strategy
) -> None:
    async with opened(database_url, replace(strategy, consolidation="off")) as anima:
        for text in (TEXT, *VARIANTS):
            assert [(await add(anima, text)).duplicate for _ in range(2)] == [None, "exact"], repr(text)
    assert [row["content"] for row in await live(session)] == [TEXT, *VARIANTS]


async def test_soft_deleted_content_can_be_added_again(database_url: str, session: Session, strategy: Strategy) -> None:
    async with opened(database_url, strategy) as anima:
        first = await add(anima, "a day")
        await session.connection.execute("UPDATE memories SET deleted_at = now()")
        again = await add(anima, "a day")
    assert again.duplicate is None
    assert again.memory.id != first.memory.id
    assert [row["id"] for row in await live(session)] == [again.memory.id]


async def test_merged_content_can_be_added_again_and_is_merged_again(
    database_url: str, session: Session, strategy: Strategy
) -> None:
    async with opened(database_url, strategy, VECTORS) as anima:
        for content in ("first", "second", "second"):
            await add(anima, content)
    (row,) = await live(session)
    assert (row["content"], row["access_count"]) == ("first", 2)
    variants = json.loads(row["metadata"])["semantic_variants"]
    assert [variant["content"] for variant in variants] == ["second", "second"]


@pytest.mark.parametrize("was_catalyst", [False, True])
@pytest.mark.parametrize("content", ["second", "third"])
async def test_a_semantic_duplicate_becomes_a_variant_of_the_older_memory(
    database_url: str, session: Session, strategy: Strategy, content: str, was_catalyst: bool
) -> None:
    similarity, share = {"second": (0.98, 1.0), "third": (0.95, 0.9)}[content]
    async with opened(database_url, strategy, VECTORS) as anima:
        survivor = await add(anima, "first")
        merged = await add(anima, content, is_catalyst=was_catalyst)
    at = merged.memory.last_accessed
    step = pytest.approx((1.0 if was_catalyst else 0.1) * share, abs=1e-15)
    (row,) = await live(session)
    assert row["id"] == survivor.memory.id
    assert (row["access_count"], row["is_catalyst"], row["resonance_phi"]) == (1, was_catalyst, step)
    assert row["last_accessed"] == row["updated_at"] == at
    assert json.loads(row["metadata"]) == {
        "semantic_variants": [
            {
                "content": content,
                "merged_at": at.isoformat(),
                "phi_contributed": step,
                "similarity": similarity,
                "was_catalyst": was_catalyst,
            }
        ]
    }


@pytest.mark.parametrize("content", ["far", "unrelated"])
async def test_what_is_less_near_than_095_stays_a_memory_of_its_own(
    database_url: str, session: Session, strategy: Strategy, content: str
) -> None:
    async with opened(database_url, strategy, VECTORS) as anima:
        await add(anima, "first")
        assert not (await add(anima, content)).is_duplicate
    assert len(await live(session)) == 2


async def test_phi_of_a_survivor_is_capped(database_url: str, session: Session, strategy: Strategy) -> None:
    await plant(session, EAST, phi=4.5, is_catalyst=True)
    async with opened(database_url, strategy, VECTORS) as anima:
        await add(anima, "second", is_catalyst=True)
    assert (await live(session))[0]["resonance_phi"] == 5.0


async def test_of_several_near_memories_the_nearest_survives(
    database_url: str, session: Session, strategy: Strategy
) -> None:
    older = await plant(session, AT_095)
    nearest = await plant(session, AT_098)
    async with opened(database_url, strategy, VECTORS) as anima:
        await add(anima, "first")
    assert {row["id"]: row["access_count"] for row in await live(session)} == {older: 0, nearest: 1}


async def test_without_consolidation_only_exact_duplicates_are_known(
    database_url: str, session: Session, strategy: Strategy
) -> None:
    async with opened(database_url, replace(strategy, consolidation="off"), VECTORS) as anima:
        for content in ("first", "second", "third", "first"):
            await add(anima, content)
    assert [row["access_count"] for row in await live(session)] == [1, 0, 0]


async def test_a_marker_in_the_content_is_a_reason_to_look_at_it(
    database_url: str, session: Session, strategy: Strategy
) -> None:
    async with opened(database_url, strategy) as anima:
        added = await add(anima, "What a BREAKTHROUGH today")
        await add(anima, "What an ordinary evening yesterday")
    found = await rows(
        session, "SELECT id, metadata -> 'potential_catalyst' -> 'reasons' AS reasons FROM current_memories"
    )
    assert {row["id"]: row["reasons"] for row in found if row["reasons"]} == {
        added.memory.id: "[\"content says 'breakthrough'\"]"
    }
    assert not await value(session, "SELECT bool_or(is_catalyst) FROM current_memories")
