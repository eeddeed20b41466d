"""The contract of anima/searches/protocol.py, for every search in the registry.

With fewer memories than an approximate search looks at, it is as exact as the others.
"""

import math
from typing import Any
from uuid import UUID

import pytest

from anima.database import Session
from anima.model import FoundMemory, Query, Tier
from anima.searches import SEARCHES
from anima.searches.augmented import AugmentedSearch
from anima.searches.protocol import Search
from tests.memories import AT_095, EAST, JUST_BELOW_095, NOON, leaning, plant, vector

WAYS: dict[str, Search] = dict(SEARCHES.items()) | {"augmented, by its index": AugmentedSearch(ranked_at_once=-1)}


@pytest.fixture(params=WAYS)
def search(request: pytest.FixtureRequest) -> Search:
    return WAYS[request.param]


async def find(search: Search, session: Session, **fields: Any) -> tuple[FoundMemory, ...]:
    return await search.find(session, Query.parse(**{"query": "any", "similarity_threshold": 0.0} | fields), EAST)


def ids(found: tuple[FoundMemory, ...]) -> list[UUID]:
    return [result.memory.id for result in found]


async def test_results_carry_similarity_weight_and_the_row(search: Search, session: Session) -> None:
    memory_id = await plant(
        session, AT_095, content="a", tier=Tier.STABLE, access_count=7, phi=2.5, is_catalyst=True, metadata='{"k": 1}'
    )
    (found,) = await find(search, session)
    assert found.similarity == 0.95
    assert found.structural_weight == pytest.approx(0.7 * 0.95 + 0.3 * 2.5 / 5, abs=1e-15)
    memory = found.memory
    assert (memory.id, memory.content, memory.tier, memory.access_count) == (memory_id, "a", Tier.STABLE, 7)
    assert (memory.resonance_phi, memory.is_catalyst, memory.metadata) == (2.5, True, {"k": 1})


async def test_order_is_by_weight_so_phi_can_outweigh_similarity(search: Search, session: Session) -> None:
    near = await plant(session, leaning(0.9))
    resonant = await plant(session, leaning(0.7), phi=5.0)
    far = await plant(session, leaning(0.2), phi=1.0)
    assert ids(await find(search, session)) == [resonant, near, far]


def phi_that_makes_up(similarity: float) -> float:
    """The phi at which this similarity has exactly the weight of similarity 1 and phi 0."""
    phi = (0.7 - 0.7 * similarity) / 0.3 * 5
    candidates = (phi, math.nextafter(phi, 0), math.nextafter(phi, 5))
    return next(phi for phi in candidates if 0.7 * similarity + 0.3 * (phi / 5.0) == 0.7)


async def test_equal_weights_are_ordered_by_phi(search: Search, session: Session) -> None:
    resonant = vector(3, 4)
    first = await plant(session, resonant, memory_id=UUID(int=9), phi=phi_that_makes_up(0.6))
    second = await plant(session, EAST, memory_id=UUID(int=1))
    found = await find(search, session)
    assert found[0].structural_weight == found[1].structural_weight
    assert ids(found) == [first, second]


async def test_equal_weights_and_phi_are_ordered_by_id(search: Search, session: Session) -> None:
    for number in (3, 1, 2):
        await plant(session, EAST, memory_id=UUID(int=number))
    assert ids(await find(search, session)) == [UUID(int=1), UUID(int=2), UUID(int=3)]
    assert ids(await find(search, session, limit=2)) == [UUID(int=1), UUID(int=2)]


async def test_the_threshold_itself_is_near_enough(search: Search, session: Session) -> None:
    memory_id = await plant(session, AT_095)
    assert ids(await find(search, session, similarity_threshold=0.95)) == [memory_id]
    assert ids(await find(search, session, similarity_threshold=math.nextafter(0.95, 1))) == []


async def test_what_is_below_the_threshold_in_the_eighth_digit_is_not(search: Search, session: Session) -> None:
    """Nor is the similarity rounded that is returned."""
    memory_id = await plant(session, JUST_BELOW_095)
    assert await find(search, session, similarity_threshold=0.95) == ()
    (found,) = await find(search, session, similarity_threshold=0.94999996)
    assert (found.memory.id, found.similarity) == (memory_id, 3800 / math.sqrt(16_000_001))


async def test_distances_are_those_of_single_precision_at_least(search: Search, session: Session) -> None:
    """In half precision these would be out of order, each off by some 1e-4."""
    similarities = [0.9 - number / 100_000 for number in range(20)]
    planted = {await plant(session, leaning(similarity)): similarity for similarity in similarities}
    found = await find(search, session)
    assert {result.memory.id: result.similarity for result in found} == pytest.approx(planted, abs=1e-6)
    assert ids(found) == list(planted)


async def test_the_threshold_counts_before_the_limit(search: Search, session: Session) -> None:
    """A resonant memory below the threshold takes no place from those above it."""
    await plant(session, leaning(0.4), phi=5.0)
    near = await plant(session, leaning(0.8))
    assert ids(await find(search, session, similarity_threshold=0.5, limit=1)) == [near]


async def test_only_live_memories_are_found(search: Search, session: Session) -> None:
    await plant(session, deleted_at=NOON)
    assert await find(search, session) == ()


async def test_without_tiers_all_are_searched_and_with_tiers_only_those(search: Search, session: Session) -> None:
    planted = {tier: await plant(session, memory_id=UUID(int=n), tier=tier) for n, tier in enumerate(Tier)}
    assert ids(await find(search, session)) == list(planted.values())
    asked = [Tier.NETWORK, Tier.THREAD]
    assert set(ids(await find(search, session, tiers=asked))) == {planted[tier] for tier in asked}


@pytest.mark.slow
async def test_in_tiers_all_are_found_though_equal_dead_ones_cut_an_index_into_parts(
    search: Search, session: Session
) -> None:
    """Where it is cut depends on what the index draws, so it is tried with one after the other."""
    asked = [Tier.NETWORK, Tier.THREAD]
    for _ in range(20):
        savepoint = session.connection.transaction()
        await savepoint.start()
        for _ in range(60):
            await plant(session)
        await savepoint.rollback()
        savepoint = session.connection.transaction()
        await savepoint.start()
        planted = {tier: await plant(session, memory_id=UUID(int=n), tier=tier) for n, tier in enumerate(Tier)}
        assert set(ids(await find(search, session, tiers=asked))) == {planted[tier] for tier in asked}
        await savepoint.rollback()


async def test_the_best_of_more_than_the_limit_are_returned(search: Search, session: Session) -> None:
    planted = [await plant(session, leaning(0.5 + number / 100)) for number in range(40)]
    assert ids(await find(search, session, limit=20)) == planted[:-21:-1]
