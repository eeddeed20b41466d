"""The contract of anima/consolidations/protocol.py, for every way of matching in the registry."""

from datetime import timedelta
from uuid import UUID

import pytest

from anima.consolidations import CONSOLIDATIONS
from anima.consolidations.protocol import Candidate, Consolidation, Duplicates, SemanticMatch
from anima.database import Session
from anima.strategy import ConsolidationName
from tests.memories import AT_095, AT_098, EAST, JUST_BELOW_095, NOON, leaning, plant

LATER = NOON + timedelta(hours=1)
UNWRITTEN = Candidate(EAST, UUID(int=0), LATER)
"""Its id is smaller than any other, so only its time makes it the newest."""

MATCHING = {name: consolidation for name, consolidation in CONSOLIDATIONS.items() if name != "off"}


@pytest.fixture(params=MATCHING)
def consolidation(request: pytest.FixtureRequest) -> Consolidation:
    return MATCHING[request.param]


@pytest.mark.parametrize("name", CONSOLIDATIONS)
async def test_in_an_empty_table_nothing_matches(name: ConsolidationName, session: Session) -> None:
    assert await CONSOLIDATIONS[name].match(session, UNWRITTEN) == Duplicates()


async def test_switched_off_nothing_ever_matches(session: Session) -> None:
    await plant(session)
    assert await CONSOLIDATIONS["off"].match(session, UNWRITTEN) == Duplicates()


async def test_095_is_near_enough_and_less_is_not(consolidation: Consolidation, session: Session) -> None:
    await plant(session, JUST_BELOW_095)
    assert await consolidation.match(session, UNWRITTEN) == Duplicates()
    memory_id = await plant(session, AT_095)
    assert await consolidation.match(session, UNWRITTEN) == Duplicates(SemanticMatch(memory_id, 0.95))


async def test_distances_are_those_of_single_precision_at_least(consolidation: Consolidation, session: Session) -> None:
    """In half precision these would be out of order, each off by some 1e-4."""
    planted = [await plant(session, leaning(0.9502 - number / 100_000)) for number in range(9)]
    found = (await consolidation.match(session, UNWRITTEN)).older
    assert found is not None
    assert found.memory_id == planted[0]
    assert found.similarity == pytest.approx(0.9502, abs=1e-6)


async def test_the_nearest_is_taken_though_others_are_older(consolidation: Consolidation, session: Session) -> None:
    await plant(session, AT_095)
    nearest = await plant(session, AT_098, created_at=NOON + timedelta(minutes=1))
    assert await consolidation.match(session, UNWRITTEN) == Duplicates(SemanticMatch(nearest, 0.98))


@pytest.mark.parametrize("count", [2, 12, 60])
async def test_of_equally_near_ones_the_oldest_is_taken(
    consolidation: Consolidation, session: Session, count: int
) -> None:
    for age in range(count):
        await plant(session, AT_098, memory_id=UUID(int=age + 1), created_at=NOON - timedelta(minutes=age))
    assert await consolidation.match(session, UNWRITTEN) == Duplicates(SemanticMatch(UUID(int=count), 0.98))


async def test_of_equally_near_and_old_ones_the_smallest_id_is_taken(
    consolidation: Consolidation, session: Session
) -> None:
    for number in (3, 1, 2):
        await plant(session, AT_098, memory_id=UUID(int=number))
    assert await consolidation.match(session, UNWRITTEN) == Duplicates(SemanticMatch(UUID(int=1), 0.98))


@pytest.mark.parametrize("count", [1, 9, 12, 60])
async def test_a_written_memory_matches_no_newer_one_and_not_itself_but_knows_all_that_are_newer(
    consolidation: Consolidation, session: Session, count: int
) -> None:
    """More of them than the index is asked for at once, too; the oldest comes first."""
    memory_id = await plant(session, EAST)
    newer = [
        await plant(session, leaning(0.999 - number / 10_000), created_at=NOON + timedelta(minutes=count - number))
        for number in range(count)
    ]
    await plant(session, leaning(0.9499), created_at=LATER)
    candidate = Candidate(EAST, memory_id, NOON)
    assert await consolidation.match(session, candidate) == Duplicates(newer=tuple(reversed(newer)))


@pytest.mark.parametrize("count", [1, 9, 12, 60])
async def test_an_older_one_is_found_behind_a_crowd_of_nearer_newer_ones(
    consolidation: Consolidation, session: Session, count: int
) -> None:
    older = await plant(session, AT_095)
    memory_id = await plant(session, EAST, created_at=NOON + timedelta(seconds=1))
    for number in range(count):
        await plant(session, leaning(0.999 - number / 10_000), created_at=LATER)
    found = await consolidation.match(session, Candidate(EAST, memory_id, NOON + timedelta(seconds=1)))
    assert found.older == SemanticMatch(older, 0.95)


async def test_of_two_equally_old_ones_exactly_one_matches_the_other(
    consolidation: Consolidation, session: Session
) -> None:
    one, two = [await plant(session, memory_id=UUID(int=number)) for number in (1, 2)]
    assert await consolidation.match(session, Candidate(EAST, one, NOON)) == Duplicates(newer=(two,))
    assert await consolidation.match(session, Candidate(EAST, two, NOON)) == Duplicates(SemanticMatch(one, 1.0))


async def test_a_deleted_memory_matches_nothing(consolidation: Consolidation, session: Session) -> None:
    await plant(session, EAST, deleted_at=NOON)
    survivor = await plant(session, AT_095)
    assert await consolidation.match(session, UNWRITTEN) == Duplicates(SemanticMatch(survivor, 0.95))


@pytest.mark.parametrize("name", CONSOLIDATIONS)
async def test_written_ones_match_as_each_does_by_itself(name: ConsolidationName, session: Session) -> None:
    """The background asks for several at once: a crowd, one without a duplicate, and one that is gone."""
    await plant(session, EAST, created_at=NOON - timedelta(seconds=1))
    crowd = [await plant(session, leaning(0.999 - number / 1_000), created_at=NOON) for number in range(12)]
    alone = await plant(session, -EAST)
    gone = await plant(session, EAST, deleted_at=NOON)
    consolidation = CONSOLIDATIONS[name]
    found = await consolidation.match_written(session, [*crowd, alone, gone])
    vectors = {
        row["id"]: (row["embedding"].to_numpy(), row["created_at"])
        for row in await session.connection.fetch("SELECT id, embedding, created_at FROM memories")
    }
    for memory_id in (*crowd, alone):
        vector, created_at = vectors[memory_id]
        expected = await consolidation.match(session, Candidate(vector, memory_id, created_at))
        assert found.get(memory_id, Duplicates()) == expected
    assert gone not in found
