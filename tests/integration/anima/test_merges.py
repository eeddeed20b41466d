"""How a written memory becomes part of an older one: nothing of the newer one is lost."""

import json
import math
from datetime import timedelta
from uuid import UUID

import pytest

from anima import merges
from anima.consolidations import CONSOLIDATIONS
from anima.database import Session
from anima.strategy import BATCHED
from anima.work import RecordCoOccurrence
from tests.memories import AT_095, AT_098, EAST, NOON, leaning, opened, plant, rows, tables

LATER = NOON + timedelta(hours=1)
NEAREST = CONSOLIDATIONS["nearest"]

ASSOCIATE = """
    INSERT INTO memory_associations (
        memory_a_id, memory_b_id, co_occurrence_count, strength, conversation_contexts,
        first_co_occurred_at, last_co_occurred_at
    )
    VALUES (least($1::uuid, $2::uuid), greatest($1::uuid, $2::uuid), $3, 0, $4, $5, $5)
"""

RETIRE = "UPDATE memories SET merged_into = $2, deleted_at = now() WHERE id = $1"


async def associate(session: Session, pair: tuple[UUID, UUID], count: int, contexts: list[str], day: int) -> None:
    await session.connection.execute(ASSOCIATE, *pair, count, contexts, NOON + timedelta(days=day))


async def consolidate(session: Session, memory_id: UUID) -> None:
    async with session.transaction():
        await merges.consolidate(session, NEAREST, memory_id, LATER)


@pytest.mark.parametrize("turn", range(6))
async def test_associations_move_to_the_survivor_and_their_counts_add_up(session: Session, turn: int) -> None:
    """Whichever way the ids of those involved are ordered."""
    ids = [UUID(int=number) for number in (1, 2, 3)]
    shared, older, newer = ids[turn % 3 :] + ids[: turn % 3] if turn < 3 else [ids[turn - 3 - n] for n in range(3)]
    only_newer, only_older = UUID(int=4), UUID(int=5)
    for memory_id, created, leans in ((older, 0, 1.0), (newer, 1, 0.99), (shared, 2, 0.1), (only_newer, 3, 0.2)):
        await plant(session, leaning(leans), memory_id=memory_id, created_at=NOON + timedelta(minutes=created))
    await plant(session, leaning(0.3), memory_id=only_older)
    await associate(session, (older, newer), 4, ["x"], 1)
    await associate(session, (older, shared), 2, ["a", "b"], 3)
    await associate(session, (newer, shared), 3, ["b", "c"], 2)
    await associate(session, (newer, only_newer), 1, ["d"], 1)
    await associate(session, (older, only_older), 7, ["e"], 1)

    await consolidate(session, newer)

    found = await rows(session, "SELECT * FROM memory_associations ORDER BY co_occurrence_count")
    assert [
        ({row["memory_a_id"], row["memory_b_id"]}, row["co_occurrence_count"], sorted(row["conversation_contexts"]))
        for row in found
    ] == [
        ({older, only_newer}, 1, ["d"]),
        ({older, shared}, 5, ["a", "b", "c"]),
        ({older, only_older}, 7, ["e"]),
    ]
    added_up = found[1]
    assert added_up["strength"] == pytest.approx(math.log10(6) / 10, abs=1e-15)
    assert added_up["first_co_occurred_at"] == NOON + timedelta(days=2)
    assert added_up["last_co_occurred_at"] == NOON + timedelta(days=3)


async def test_the_newer_memory_is_soft_deleted_and_says_where_it_went(session: Session) -> None:
    older = await plant(session, EAST)
    newer = await plant(session, AT_098, created_at=LATER)
    await consolidate(session, newer)
    (row,) = await rows(session, "SELECT id, deleted_at, merged_into FROM memories WHERE deleted_at IS NOT NULL")
    assert (row["id"], row["deleted_at"], row["merged_into"]) == (newer, LATER, older)


async def test_what_the_newer_memory_had_absorbed_goes_with_it(session: Session) -> None:
    """A chain: the last into the middle, then the middle into the first."""
    first = await plant(session, EAST, content="first", metadata='{"kept": 1}')
    middle = await plant(session, AT_098, content="middle", created_at=NOON + timedelta(minutes=1))
    last = await plant(session, leaning(0.93), content="last", created_at=NOON + timedelta(minutes=2))
    await consolidate(session, last)
    await consolidate(session, middle)
    (row,) = await rows(session, "SELECT id, access_count, metadata FROM memories WHERE deleted_at IS NULL")
    metadata = json.loads(row["metadata"])
    assert (row["id"], row["access_count"], metadata["kept"]) == (first, 1, 1)
    assert [variant["content"] for variant in metadata["semantic_variants"]] == ["last", "middle"]


async def test_consolidating_again_changes_nothing(session: Session) -> None:
    await plant(session, EAST)
    newer = await plant(session, AT_095, created_at=LATER)
    await consolidate(session, newer)
    before = await tables(session)
    await consolidate(session, newer)
    assert await tables(session) == before


async def test_the_oldest_memory_of_all_stays_as_it_is(session: Session) -> None:
    older = await plant(session, EAST)
    await plant(session, AT_095, created_at=LATER)
    before = await tables(session)
    await consolidate(session, older)
    assert await tables(session) == before


async def test_a_co_occurrence_accepted_before_a_merge_is_recorded_for_the_survivor(
    database_url: str, session: Session
) -> None:
    first, middle, last, other = [
        await plant(session, leaning(1 - number / 1_000), created_at=NOON + timedelta(minutes=number))
        for number in (0, 1, 2, 900)
    ]
    await session.connection.execute(RETIRE, middle, first)
    await session.connection.execute(RETIRE, last, middle)
    async with opened(database_url, BATCHED) as anima, session.transaction():
        work = RecordCoOccurrence(memory_ids=(last, middle, other), conversation_id="c", at=LATER)
        await anima.background.accept(session, [work])
    async with opened(database_url, BATCHED) as anima:
        await anima.background.drain()
    (pair,) = await rows(session, "SELECT memory_a_id, memory_b_id, co_occurrence_count FROM memory_associations")
    assert {pair["memory_a_id"], pair["memory_b_id"]} == {first, other}
    assert pair["co_occurrence_count"] == 1


async def test_survivors_are_the_live_ends_of_what_was_merged(session: Session) -> None:
    live = await plant(session)
    merged = await plant(session)
    deleted = await plant(session, deleted_at=LATER)
    await session.connection.execute(RETIRE, merged, live)
    assert await merges.survivors(session, (merged, deleted, live)) == [live]
    assert await merges.survivors(session, (deleted,)) == []
