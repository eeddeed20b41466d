"""What a bootstrap writes: nothing, unless the strategy is the system before the fixes."""

from dataclasses import replace

from anima.database import Session
from anima.model import BootstrapRequest, Tier
from anima.strategy import NAIVE, Strategy
from tests.memories import Clock, opened, plant, rows, tables

REQUEST = BootstrapRequest(conversation_id="c")


async def plant_tiers(session: Session) -> None:
    for tier in Tier:
        await plant(session, tier=tier, access_count=4)


async def test_reading_leaves_every_table_as_it_was(database_url: str, session: Session, strategy: Strategy) -> None:
    await plant_tiers(session)
    before = await tables(session)
    async with opened(database_url, replace(strategy, bootstrap_records_access=False)) as anima:
        loaded = await anima.memory.bootstrap(REQUEST)
    assert loaded.distribution == {"active": 1, "thread": 1, "stable": 1, "total": 3}
    assert await tables(session) == before


async def test_before_the_fixes_each_row_was_counted_and_nothing_else(database_url: str, session: Session) -> None:
    await plant_tiers(session)
    clock = Clock()
    async with opened(database_url, NAIVE, clock=clock) as anima:
        await anima.memory.bootstrap(REQUEST)
    found = await rows(
        session, "SELECT tier, access_count, resonance_phi, last_accessed = $1 AS now FROM memories", clock.now
    )
    assert {row["tier"]: (row["access_count"], row["resonance_phi"], row["now"]) for row in found} == {
        "active": (5, 0.0, True),
        "thread": (5, 0.0, True),
        "stable": (5, 0.0, True),
        "network": (4, 0.0, False),
    }
    written = await tables(session)
    assert not written["tier_promotions"]
    assert not written["memory_access_log"]
