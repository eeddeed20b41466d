"""What the index of `frontier` finds among many memories, counted against a ranking of all of them."""

from collections.abc import Callable
from itertools import product
from random import Random
from typing import Final
from uuid import UUID

import pytest

from anima.database import Session
from anima.embeddings.hashing import hashed_vector
from anima.migrations import mend_indexes
from anima.model import Query, content_hash
from anima.searches.augmented import AugmentedSearch
from harness.measuring.targets.anima.corpora.generated import GeneratedSettings
from harness.measuring.targets.anima.corpora.protocol import TIERS
from harness.measuring.targets.anima.scenario import TIER_STATES
from tests.memories import NOON, PLANT

MEMORIES: Final = 1_200
QUESTIONS: Final = 10
LIMITS: Final = (1, 5, 20, 100)
THRESHOLDS: Final = (0.0, 0.3)
RECALL_MIN: Final = 0.99
REST: Final = (False, "{}", NOON, NOON, None)

SHARES: Final = GeneratedSettings(size=MEMORIES).tiers.model_dump()

PHIS: Final[dict[str, Callable[[Random], float]]] = {
    "of the scenarios' tiers": lambda drawn: TIER_STATES[drawn.choices(TIERS, [SHARES[t] for t in TIERS])[0]][1],
    "light": lambda drawn: drawn.choice((0.0, 0.0, 0.0, 0.3, 0.8)),
    "skewed by use": lambda drawn: min(5.0, 0.1 * (drawn.paretovariate(0.6) - 1)),
    "uniform": lambda drawn: drawn.uniform(0, 5),
    "equal": lambda _drawn: 2.0,
}


async def plant_corpus(url: str, session: Session, phi: Callable[[Random], float]) -> GeneratedSettings:
    """With indexes that are made when the rows are there, which takes less time."""
    for index in ("idx_memory_keys_quiet", "idx_memory_keys_resonant"):
        await session.connection.execute(f"DROP INDEX {index}")
    settings, drawn = GeneratedSettings(size=MEMORIES), Random(11)
    await session.connection.executemany(
        PLANT.sql,
        [
            (UUID(int=number), text, content_hash(text), hashed_vector(text), "active", 0, phi(drawn), *REST)
            for number, text in enumerate(memory.content for memory in settings.open().memories(MEMORIES))
        ],
    )
    await mend_indexes(url)
    await session.connection.execute("ANALYZE")
    return settings


@pytest.mark.slow
@pytest.mark.parametrize("distribution", PHIS)
async def test_recall_is_at_least_as_stated_at(database_url: str, session: Session, distribution: str) -> None:
    settings = await plant_corpus(database_url, session, PHIS[distribution])
    by_index, of_all = AugmentedSearch(ranked_at_once=-1), AugmentedSearch(ranked_at_once=MEMORIES * 100)
    found = expected = 0
    for question, limit, threshold in product(settings.open().queries(QUESTIONS), LIMITS, THRESHOLDS):
        query, vector = (
            Query(query=question.query, limit=limit, similarity_threshold=threshold),
            hashed_vector(question.query),
        )
        right = {result.memory.id for result in await of_all.find(session, query, vector)}
        found += len(right & {result.memory.id for result in await by_index.find(session, query, vector)})
        expected += len(right)
    assert expected >= QUESTIONS * sum(LIMITS)
    assert found / expected >= RECALL_MIN
