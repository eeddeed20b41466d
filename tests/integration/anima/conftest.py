"""The strategies that an outcome is checked for: both presets, and each with its work placed the other way."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from typing import Final

import pytest

from anima.database import Session
from anima.strategy import BATCHED, NAIVE, Strategy
from tests.memories import session_on

PLACED: Final[Mapping[str, Strategy]] = {
    "naive": NAIVE,
    "naive-background": replace(NAIVE, association_placement="background", consolidation_placement="background"),
    "batched": BATCHED,
    "batched-inline": replace(BATCHED, association_placement="inline", consolidation_placement="inline"),
    "batched-associations-inline": replace(BATCHED, association_placement="inline"),
    "batched-consolidation-inline": replace(BATCHED, consolidation_placement="inline"),
}


@pytest.fixture(params=PLACED)
def strategy(request: pytest.FixtureRequest) -> Strategy:
    return PLACED[request.param]


@pytest.fixture
async def session(database_url: str) -> AsyncGenerator[Session]:
    """A connection of the test's own, beside those of the systems under test."""
    async with session_on(database_url) as session:
        yield session
