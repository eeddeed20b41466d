"""The contract of anima/access_records/protocol.py, for every way of recording in the registry."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from anima.access_records import ACCESS_RECORDS
from anima.access_records.protocol import Access, AccessRecords
from anima.database import Session
from anima.model import Promotion, Tier
from tests.memories import NOON, plant, rows, tables, value

LATER = NOON + timedelta(hours=1)


@pytest.fixture(params=ACCESS_RECORDS)
def records(request: pytest.FixtureRequest) -> AccessRecords:
    return ACCESS_RECORDS[request.param]


async def state(session: Session, memory_id: UUID) -> dict[str, Any]:
    (row,) = await rows(session, "SELECT * FROM current_memories WHERE id = $1", memory_id)
    return row


async def test_each_memory_is_accessed_once_however_often_it_is_named(records: AccessRecords, session: Session) -> None:
    first, second = await plant(session), await plant(session, access_count=2, phi=1.0)
    other = await plant(session)
    untouched = await state(session, other)

    assert await records.record(session, Access([second, first, second], "c", LATER)) == ()

    for memory_id, access_count, phi in ((first, 1, 0.1), (second, 3, 1.1)):
        row = await state(session, memory_id)
        assert (row["access_count"], row["last_accessed"]) == (access_count, LATER)
        assert row["updated_at"] >= LATER
        assert row["resonance_phi"] == pytest.approx(phi, abs=1e-15)
        assert row["accessed_in_conversation_ids"] == ["c"]
    assert await state(session, other) == untouched
    log = await rows(session, "SELECT memory_id, accessed_at FROM current_access_log ORDER BY memory_id")
    assert log == [{"memory_id": memory_id, "accessed_at": LATER} for memory_id in sorted((first, second))]


async def test_conversations_are_remembered_as_a_set(records: AccessRecords, session: Session) -> None:
    memory_id = await plant(session)
    for conversation_id in ("a", None, "b", "a", "b"):
        await records.record(session, Access([memory_id], conversation_id, LATER))
    row = await state(session, memory_id)
    assert row["access_count"] == 5
    assert row["accessed_in_conversation_ids"] == ["a", "b"]


@pytest.mark.parametrize(("before", "after"), [(4.8, 4.9), (4.9, 5.0), (4.95, 5.0), (5.0, 5.0)])
async def test_phi_is_capped(records: AccessRecords, session: Session, before: float, after: float) -> None:
    memory_id = await plant(session, phi=before)
    await records.record(session, Access([memory_id], None, LATER))
    phi = await value(session, "SELECT resonance_phi FROM current_memories")
    assert phi == pytest.approx(after, abs=1e-15)
    assert phi <= 5


@pytest.mark.parametrize(
    ("tier", "access_count", "after"),
    [
        (Tier.ACTIVE, 3, Tier.ACTIVE),
        (Tier.ACTIVE, 4, Tier.THREAD),
        (Tier.ACTIVE, 30, Tier.THREAD),
        (Tier.THREAD, 4, Tier.THREAD),
        (Tier.THREAD, 18, Tier.THREAD),
        (Tier.THREAD, 19, Tier.STABLE),
        (Tier.STABLE, 100, Tier.STABLE),
        (Tier.NETWORK, 100, Tier.NETWORK),
    ],
)
async def test_promotion_is_by_the_count_after_this_access(
    records: AccessRecords, session: Session, tier: Tier, access_count: int, after: Tier
) -> None:
    memory_id = await plant(session, tier=tier, access_count=access_count)
    since = await value(session, "SELECT tier_last_updated FROM current_memories")

    promotions = await records.record(session, Access([memory_id], None, LATER))

    audit = await rows(session, "SELECT * FROM tier_promotions")
    row = await state(session, memory_id)
    assert row["tier"] == after
    if tier is after:
        assert (promotions, audit, row["tier_last_updated"]) == ((), [], since)
        return
    assert promotions == (Promotion(memory_id, tier, after),)
    assert row["tier_last_updated"] == LATER
    (audited,) = audit
    del audited["id"]
    assert audited == {
        "memory_id": memory_id,
        "from_tier": tier,
        "to_tier": after,
        "reason": "access_threshold",
        "access_count_at_promotion": access_count + 1,
        "created_at": LATER,
    }


async def test_promotions_are_ordered_by_id_and_are_those_that_happened(
    records: AccessRecords, session: Session
) -> None:
    named = [UUID(int=number) for number in (4, 2, 3, 1)]
    for memory_id, access_count in zip(named, (4, 4, 3, 19), strict=True):
        await plant(session, memory_id=memory_id, access_count=access_count)
    promotions = await records.record(session, Access(named, None, LATER))
    assert [promotion.memory_id for promotion in promotions] == [UUID(int=1), UUID(int=2), UUID(int=4)]


async def test_a_memory_that_is_gone_is_left_alone(records: AccessRecords, session: Session) -> None:
    deleted = await plant(session, access_count=4, deleted_at=NOON)
    before = await tables(session)
    assert await records.record(session, Access([deleted, uuid4()], "c", LATER)) == ()
    assert await tables(session) == before


@pytest.mark.parametrize("count", [0, 1, 100])
async def test_any_number_of_memories_is_recorded(records: AccessRecords, session: Session, count: int) -> None:
    planted = [await plant(session) for _ in range(count)]
    await records.record(session, Access(planted, "c", LATER))
    assert await value(session, "SELECT count(*) FROM current_access_log") == count
    assert await value(session, "SELECT count(*) FROM current_memories WHERE access_count = 1") == count
