"""The contract of anima/consolidations/protocol.py, for every way of matching in the registry."""

from datetime import timedelta
from uuid import UUID

import pytest

from anima.consolidations import CONSOLIDATIONS
from anima.consolidations.protocol import Candidate, Consolidation, SemanticMatch
from anima.database import Session
from anima.strategy import ConsolidationName
from tests.memories import AT_095, AT_098, EAST, NOON, leaning, plant

LATER = NOON + timedelta(hours=1)
UNWRITTEN = Candidate(EAST, UUID(int=0), LATER)
"""Its id is smaller than any other, so only its time makes it the newest."""

MATCHING = {name: consolidation for name, consolidation in CONSOLIDATIONS.items() if name != "off"}


@pytest.fixture(params=MATCHING)
def consolidation(request: pytest.FixtureRequest) -> Consolidation:
    return MATCHING[request.param]


@pytest.mark.parametrize("name", CONSOLIDATIONS)
async def test_in_an_empty_table_nothing_matches(name: ConsolidationName, session: Session) -> None:
    assert await CONSOLIDATIONS[name].match(session, UNWRITTEN) is None


async def test_switched_off_nothing_ever_matches(session: Session) -> None:
    await plant(session)
    assert await CONSOLIDATIONS["off"].match(session, UNWRITTEN) is None


async def test_095_is_near_enough_and_less_is_not(consolidation: Consolidation, session: Session) -> None:
    await plant(session, leaning(0.9499))
    assert await consolidation.match(session, UNWRITTEN) is None
    memory_id = await plant(session, AT_095)
    assert await consolidation.match(session, UNWRITTEN) == SemanticMatch(memory_id, 0.95)


async def test_the_nearest_is_taken_though_others_are_older(consolidation: Consolidation, session: Session) -> None:
    await plant(session, AT_095)
    nearest = await plant(session, AT_098, created_at=NOON + timedelta(minutes=1))
    assert await consolidation.match(session, UNWRITTEN) == SemanticMatch(nearest, 0.98)


@pytest.mark.parametrize("count", [2, 12, 60])
async def test_of_equally_near_ones_the_oldest_is_taken(
    consolidation: Consolidation, session: Session, count: int
) -> None:
    for age in range(count):
        await plant(session, AT_098, memory_id=UUID(int=age + 1), created_at=NOON - timedelta(minutes=age))
    assert await consolidation.match(session, UNWRITTEN) == SemanticMatch(UUID(int=count), 0.98)


async def test_of_equally_near_and_old_ones_the_smallest_id_is_taken(
    consolidation: Consolidation, session: Session
) -> None:
    for number in (3, 1, 2):
        await plant(session, AT_098, memory_id=UUID(int=number))
    assert await consolidation.match(session, UNWRITTEN) == SemanticMatch(UUID(int=1), 0.98)


async def test_a_written_memory_matches_neither_itself_nor_a_newer_one(
    consolidation: Consolidation, session: Session
) -> None:
    memory_id = await plant(session, EAST, created_at=NOON)
    await plant(session, EAST, created_at=LATER)
    assert await consolidation.match(session, Candidate(EAST, memory_id, NOON)) is None


async def test_of_two_equally_old_ones_exactly_one_matches_the_other(
    consolidation: Consolidation, session: Session
) -> None:
    one, two = [await plant(session, memory_id=UUID(int=number)) for number in (1, 2)]
    assert await consolidation.match(session, Candidate(EAST, one, NOON)) is None
    assert await consolidation.match(session, Candidate(EAST, two, NOON)) == SemanticMatch(one, 1.0)


async def test_a_deleted_memory_matches_nothing(consolidation: Consolidation, session: Session) -> None:
    await plant(session, EAST, deleted_at=NOON)
    survivor = await plant(session, AT_095)
    assert await consolidation.match(session, UNWRITTEN) == SemanticMatch(survivor, 0.95)
