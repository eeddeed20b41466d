"""Which reasons are recorded for a potential catalyst, from what the tables say."""

import json
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

import pytest

from anima.catalysts import WITH_UNFOLDED, Detection, DetectionAtOnce, StepwiseDetection
from anima.database import Session
from anima.model import Query
from anima.strategy import BATCHED, NAIVE, Strategy
from tests.memories import EAST, NOON, Clock, opened, plant, rows, value

LOG = "INSERT INTO memory_access_log (memory_id, accessed_at) VALUES ($1, $2)"
ASSOCIATE = """
    INSERT INTO memory_associations (memory_a_id, memory_b_id, strength)
    VALUES (least($1::uuid, $2::uuid), greatest($1::uuid, $2::uuid), 0)
"""


WAYS: Mapping[str, Detection] = {
    "stepwise": StepwiseDetection(),
    "at once": DetectionAtOnce(),
    "with unfolded": DetectionAtOnce(WITH_UNFOLDED),
}


async def reasons(session: Session, memory_id: UUID) -> list[str]:
    """Each way says the same, and leaves the rows as they were for the next."""
    told = [await reasons_by(session, memory_id, detection) for detection in WAYS.values()]
    assert told == told[:1] * len(told)
    return told[0]


async def reasons_by(session: Session, memory_id: UUID, detection: Detection) -> list[str]:
    transaction = session.connection.transaction()
    await transaction.start()
    await detection.detect(session, {memory_id: NOON})
    metadata = json.loads(await value(session, "SELECT metadata FROM memories WHERE id = $1", memory_id))
    assert metadata.get("kept", 1) == 1
    await transaction.rollback()
    found: list[str] = metadata.get("potential_catalyst", {}).get("reasons", [])
    return found


@pytest.mark.parametrize(
    ("minutes_ago", "found"),
    [
        ([1, 5, 9.9], ["3 accesses in 10 minutes"]),
        ([0, 1, 2, 3], ["4 accesses in 10 minutes"]),
        ([1, 5], []),
        ([1, 5, 10.1], []),
    ],
)
async def test_three_accesses_count_when_they_are_of_the_last_ten_minutes(
    session: Session, minutes_ago: list[float], found: list[str]
) -> None:
    memory_id, other = await plant(session), await plant(session)
    for minutes in minutes_ago:
        await session.connection.execute(LOG, memory_id, NOON - timedelta(minutes=minutes))
        await session.connection.execute(LOG, other, NOON)
    assert await reasons(session, memory_id) == found


@pytest.mark.parametrize(("count", "found"), [(4, []), (5, ["5 associations"])])
async def test_five_associations_count_on_whichever_side_of_the_pair(
    session: Session, count: int, found: list[str]
) -> None:
    memory_id = await plant(session, memory_id=UUID(int=3))
    for number in (1, 2, 4, 5, 6)[:count]:
        other = await plant(session, memory_id=UUID(int=number))
        await session.connection.execute(ASSOCIATE, memory_id, other)
    assert await reasons(session, memory_id) == found


async def test_reasons_add_up_beside_what_the_metadata_holds(session: Session) -> None:
    memory_id = await plant(session, content="Eureka!", metadata='{"kept": 1}')
    for _ in range(3):
        await session.connection.execute(LOG, memory_id, NOON)
    assert await reasons(session, memory_id) == ["3 accesses in 10 minutes", "content says 'eureka'"]


async def test_several_at_once_have_each_its_own_moment_and_reasons(session: Session) -> None:
    calm, busy, gone = (
        await plant(session),
        await plant(session, content="Eureka"),
        await plant(session, deleted_at=NOON),
    )
    for memory_id in (calm, busy):
        for _ in range(3):
            await session.connection.execute(LOG, memory_id, NOON)
    later = NOON + timedelta(minutes=11)
    await DetectionAtOnce().detect(session, {busy: NOON, gone: NOON, calm: later})
    assert json.loads(await value(session, "SELECT metadata FROM memories WHERE id = $1", busy)) == {
        "potential_catalyst": {
            "detected_at": "2026-01-01T12:00:00Z",
            "reasons": ["3 accesses in 10 minutes", "content says 'eureka'"],
        }
    }
    assert await rows(session, "SELECT id FROM memories WHERE metadata <> '{}'") == [{"id": busy}]


@pytest.mark.parametrize("state", [{"is_catalyst": True}, {"deleted_at": NOON}])
async def test_a_catalyst_and_a_memory_that_is_gone_are_not_examined(
    session: Session, state: dict[str, object]
) -> None:
    memory_id = await plant(session, content="eureka", **state)  # type: ignore[arg-type] # One of two known fields.
    assert await reasons(session, memory_id) == []


@pytest.mark.parametrize("strategy", [NAIVE, BATCHED], ids=["naive", "batched"])
async def test_queries_leave_what_rapid_access_is_read_from(
    database_url: str, session: Session, strategy: Strategy
) -> None:
    memory_id = await plant(session, EAST)
    async with opened(database_url, strategy, {"east": EAST}, clock=Clock(NOON - timedelta(minutes=5))) as anima:
        for _ in range(3):
            await anima.memory.query(Query(query="east"))
    assert await reasons(session, memory_id) == ["3 accesses in 10 minutes"]
