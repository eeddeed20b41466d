"""The contract of anima/bootstraps/protocol.py, for every loader in the registry."""

from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest

from anima.bootstraps import BOOTSTRAPS
from anima.bootstraps.protocol import BootstrapLoader
from anima.database import Session
from anima.model import Bootstrap, BootstrapRequest, Memory, Tier, bootstrap_shares
from tests.memories import NOON, plant, tables


@pytest.fixture(params=BOOTSTRAPS)
def bootstraps(request: pytest.FixtureRequest) -> BootstrapLoader:
    return BOOTSTRAPS[request.param]


async def load(bootstraps: BootstrapLoader, session: Session, **fields: Any) -> Bootstrap:
    return await bootstraps.load(session, BootstrapRequest.parse(conversation_id="c", **fields))


async def plant_tiers(session: Session, **counts: int) -> None:
    """As many memories in each tier as asked, with so few values that every tie-break is needed."""
    drawn = Random(1)
    for tier, count in counts.items():
        for _ in range(count):
            await plant(
                session,
                memory_id=UUID(int=drawn.getrandbits(128)),
                tier=Tier(tier),
                access_count=drawn.randrange(3),
                phi=float(drawn.randrange(3)),
                last_accessed=NOON + timedelta(hours=drawn.randrange(3)),
                deleted_at=NOON if drawn.random() < 0.1 else None,
            )


def by_recency(memory: Memory) -> tuple[timedelta, int]:
    return NOON - memory.last_accessed, memory.id.int


def by_phi(memory: Memory) -> tuple[float, int, timedelta, int]:
    return -memory.resonance_phi, -memory.access_count, NOON - memory.last_accessed, memory.id.int


async def everything(bootstraps: BootstrapLoader, session: Session) -> Bootstrap:
    """All that is live, which `limit` allows for small tables when no tier shares it with others."""
    alone = {"include_active": False, "include_thread": False, "include_stable": False, "limit": 200}
    return Bootstrap(
        active=(await load(bootstraps, session, **alone | {"include_active": True})).active,
        thread=(await load(bootstraps, session, **alone | {"include_thread": True})).thread,
        stable=(await load(bootstraps, session, **alone | {"include_stable": True})).stable,
    )


@pytest.mark.parametrize("limit", [1, 2, 3, 10, 11, 39, 40, 41, 50, 99, 200])
async def test_active_comes_first_and_the_others_share_what_it_leaves(
    bootstraps: BootstrapLoader, session: Session, limit: int
) -> None:
    await plant_tiers(session, active=9, thread=50, stable=40, network=3)
    known = await everything(bootstraps, session)
    thread_limit, stable_limit = bootstrap_shares(limit, len(known.active))

    loaded = await load(bootstraps, session, limit=limit)

    assert loaded.active == tuple(sorted(known.active, key=by_recency))
    assert loaded.thread == tuple(sorted(known.thread, key=by_phi))[:thread_limit]
    assert loaded.stable == tuple(sorted(known.stable, key=by_phi))[:stable_limit]
    assert all(memory.tier is Tier.ACTIVE for memory in loaded.active)
    assert all(memory.tier is Tier.THREAD for memory in loaded.thread)
    assert all(memory.tier is Tier.STABLE for memory in loaded.stable)


async def test_all_active_memories_come_though_they_are_more_than_the_limit(
    bootstraps: BootstrapLoader, session: Session
) -> None:
    for _ in range(80):
        await plant(session)
    await plant(session, tier=Tier.THREAD)
    await plant(session, tier=Tier.STABLE)
    loaded = await load(bootstraps, session, limit=50)
    assert loaded.distribution == {"active": 80, "thread": 0, "stable": 0, "total": 80}


@pytest.mark.parametrize("active_limit", [0, 1, 5, 9, 100])
async def test_an_active_limit_leaves_more_for_the_others(
    bootstraps: BootstrapLoader, session: Session, active_limit: int
) -> None:
    for _ in range(9):
        await plant(session)
    for tier in (Tier.THREAD, Tier.STABLE):
        for _ in range(20):
            await plant(session, tier=tier)
    loaded = await load(bootstraps, session, limit=20, active_limit=active_limit)
    active = min(9, active_limit)
    thread, stable = bootstrap_shares(20, active)
    assert loaded.distribution == {
        "active": active,
        "thread": thread,
        "stable": stable,
        "total": active + thread + stable,
    }


@pytest.mark.parametrize("switched_off", ["active", "thread", "stable"])
async def test_a_tier_that_is_switched_off_is_empty_and_takes_nothing(
    bootstraps: BootstrapLoader, session: Session, switched_off: str
) -> None:
    for tier in (Tier.ACTIVE, Tier.THREAD, Tier.STABLE):
        for _ in range(10):
            await plant(session, tier=tier)
    loaded = await load(bootstraps, session, limit=20, **{f"include_{switched_off}": False})
    expected = {"active": 10, "thread": 7, "stable": 3} | (
        {"active": 0, "thread": 10, "stable": 6} if switched_off == "active" else {switched_off: 0}
    )
    assert loaded.distribution == expected | {"total": sum(expected.values())}


async def test_an_empty_table_gives_an_empty_bootstrap(bootstraps: BootstrapLoader, session: Session) -> None:
    assert await load(bootstraps, session) == Bootstrap((), (), ())


async def test_loading_writes_nothing(bootstraps: BootstrapLoader, session: Session) -> None:
    await plant_tiers(session, active=5, thread=5, stable=5)
    before = await tables(session)
    await load(bootstraps, session)
    assert await tables(session) == before
