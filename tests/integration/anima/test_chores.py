"""What `frontier` leaves for later: folded once, for whoever lives by then, and keys that follow phi."""

from uuid import UUID

import pytest

from anima.chores import APART, FOLD, REKEY
from anima.database import Session
from anima.model import Query
from anima.strategy import FRONTIER
from tests.memories import EAST, leaning, opened, plant, rows, session_on, value

RETIRE = "UPDATE memories SET merged_into = $2, deleted_at = now() WHERE id = $1"
QUERY = Query(query="east", similarity_threshold=0.1, conversation_id="c")


async def ask(url: str, times: int) -> None:
    async with opened(url, FRONTIER, {"east": EAST}) as anima:
        for _ in range(times):
            await anima.memory.query(QUERY)


async def test_what_is_folded_is_what_was_current_before_and_nothing_is_folded_twice(
    database_url: str, session: Session
) -> None:
    for number in range(5):
        await plant(session, leaning(0.9 - number / 10))
    await ask(database_url, 3)
    seen = {
        table: await rows(session, f"SELECT * FROM current_{table} ORDER BY 1, 2")
        for table in ("associations", "access_log")
    }
    assert [await APART[FOLD].do(session) for _ in range(2)] == [3, 0]
    pairs = await rows(session, "SELECT * FROM memory_associations ORDER BY 1, 2")
    logged = await rows(session, "SELECT memory_id, accessed_at FROM memory_access_log ORDER BY 1, 2")
    assert (len(pairs), len(logged)) == (10, 15)
    assert {pair["co_occurrence_count"] for pair in pairs} == {3}
    assert logged == seen["access_log"]
    assert [pair["strength"] for pair in pairs] == pytest.approx([pair["strength"] for pair in seen["associations"]])


async def test_a_recall_before_a_merge_is_folded_for_the_survivor(database_url: str, session: Session) -> None:
    survivor, merged, other = [await plant(session, leaning(0.9 - number / 10)) for number in range(3)]
    await ask(database_url, 1)
    await session.connection.execute(RETIRE, merged, survivor)
    await APART[FOLD].do(session)
    (pair,) = await rows(session, "SELECT memory_a_id, memory_b_id, co_occurrence_count FROM memory_associations")
    assert ({pair["memory_a_id"], pair["memory_b_id"]}, pair["co_occurrence_count"]) == ({survivor, other}, 1)


async def test_one_folds_at_a_time(database_url: str, session: Session) -> None:
    await plant(session, EAST)
    await ask(database_url, 1)
    async with session_on(database_url) as another, another.transaction():
        assert await APART[FOLD].do(another) == 1
        assert await APART[FOLD].do(session) == 0


async def test_a_key_follows_phi_when_it_lags_by_more_than_half(database_url: str, session: Session) -> None:
    memory_id = await plant(session, EAST, memory_id=UUID(int=1))
    await ask(database_url, 5)
    assert await APART[REKEY].left(session) == 0
    await ask(database_url, 1)
    assert await APART[REKEY].left(session) == 1
    assert await APART[REKEY].do(session) == 1
    assert await APART[REKEY].left(session) == 0
    key_phi = await value(session, "SELECT phi FROM memory_keys WHERE id = $1", memory_id)
    assert key_phi == pytest.approx(1.1)
    assert await value(session, "SELECT key_phi FROM memory_states") == key_phi
