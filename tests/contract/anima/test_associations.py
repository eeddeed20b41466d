"""The contract of anima/associations/protocol.py, for every way of recording in the registry."""

import math
from datetime import datetime, timedelta
from itertools import combinations
from uuid import UUID

import pytest

from anima.associations import ASSOCIATIONS
from anima.associations.protocol import Associations, CoOccurrence, strength_of
from anima.database import Session
from tests.memories import NOON, plant, rows, value

LATER = NOON + timedelta(hours=1)


@pytest.fixture(params=ASSOCIATIONS)
def associations(request: pytest.FixtureRequest) -> Associations:
    return ASSOCIATIONS[request.param]


async def planted(session: Session, count: int) -> list[UUID]:
    return [await plant(session, memory_id=UUID(int=number)) for number in range(1, count + 1)]


async def recorded(session: Session) -> list[dict[str, object]]:
    written = await rows(session, "SELECT * FROM current_associations ORDER BY memory_a_id, memory_b_id")
    return [{column: value for column, value in row.items() if column != "updated_at"} for row in written]


def pair(memories: tuple[UUID, UUID], contexts: list[str], since: datetime, at: datetime) -> dict[str, object]:
    """A pair that was seen in these contexts, once in each."""
    return {
        "memory_a_id": memories[0],
        "memory_b_id": memories[1],
        "co_occurrence_count": len(contexts),
        "strength": pytest.approx(math.log10(1 + len(contexts)) / 10, abs=1e-15),
        "conversation_contexts": contexts,
        "first_co_occurred_at": since,
        "last_co_occurred_at": at,
        "created_at": since,
    }


async def test_every_unordered_pair_is_recorded_once_the_smaller_id_first(
    associations: Associations, session: Session
) -> None:
    one, two, three = await planted(session, 3)
    await associations.record(session, CoOccurrence([three, one, two, one], "c", NOON))
    assert await recorded(session) == [
        pair((one, two), ["c"], NOON, NOON),
        pair((one, three), ["c"], NOON, NOON),
        pair((two, three), ["c"], NOON, NOON),
    ]


async def test_a_known_pair_is_counted_and_its_strength_follows_the_new_count(
    associations: Associations, session: Session
) -> None:
    one, two, three = await planted(session, 3)
    await associations.record(session, CoOccurrence([one, two], "c", NOON))
    await associations.record(session, CoOccurrence([two, one, three], "d", LATER))
    assert await recorded(session) == [
        pair((one, two), ["c", "d"], NOON, LATER),
        pair((one, three), ["d"], LATER, LATER),
        pair((two, three), ["d"], LATER, LATER),
    ]


async def test_conversations_are_remembered_as_a_set(associations: Associations, session: Session) -> None:
    one, two = await planted(session, 2)
    for conversation_id in ("b", "a", "b", "a"):
        await associations.record(session, CoOccurrence([one, two], conversation_id, NOON))
    (row,) = await recorded(session)
    assert row["co_occurrence_count"] == 4
    assert row["conversation_contexts"] in (["a", "b"], ["b", "a"])


@pytest.mark.parametrize("count", [0, 1, 2, 20, 100])
async def test_n_memories_make_n_times_n_minus_1_halves_pairs(
    associations: Associations, session: Session, count: int
) -> None:
    memory_ids = await planted(session, count)
    await associations.record(session, CoOccurrence(memory_ids[::-1], "c", NOON))
    written = await rows(session, "SELECT memory_a_id, memory_b_id FROM current_associations ORDER BY 1, 2")
    assert [tuple(row.values()) for row in written] == list(combinations(memory_ids, 2))


async def test_a_memory_named_twice_is_no_pair(associations: Associations, session: Session) -> None:
    (one,) = await planted(session, 1)
    await associations.record(session, CoOccurrence([one, one], "c", NOON))
    assert await value(session, "SELECT count(*) FROM current_associations") == 0


@pytest.mark.parametrize(("count", "strength"), [(1, math.log10(2) / 10), (9, 0.1), (99, 0.2), (999, 0.3)])
async def test_strength_is_a_tenth_of_the_logarithm_of_one_more_than_the_count(
    count: int, strength: float, session: Session
) -> None:
    assert await session.connection.fetchval(f"SELECT {strength_of(str(count))}") == pytest.approx(strength, abs=1e-15)
