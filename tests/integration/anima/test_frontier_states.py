"""The index of `frontier` in states that are seldom met: its answers are those of exact search, whatever it finds."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from random import Random
from typing import Final
from uuid import UUID

import numpy as np
import pytest

from anima.database import Session
from anima.embeddings.protocol import DIMENSIONS, Vector
from anima.model import Query, Tier
from anima.searches.augmented import AugmentedSearch
from anima.searches.exact import ExactSearch
from anima.searches.protocol import Search
from anima.strategy import BATCHED, FRONTIER, Strategy
from tests.memories import EAST, NOON, PLANT, Clock, leaning, opened, plant, rows, vector

QUESTION: Final = leaning(0.9, towards=7)
REST: Final = (False, "{}", NOON, NOON, None)
INDEXES: Final = ("idx_memory_keys_quiet", "idx_memory_keys_resonant")


@dataclass(frozen=True, slots=True)
class Row:
    embedding: Vector
    phi: float = 0.0
    tier: Tier = Tier.ACTIVE


def random_vectors(count: int) -> Iterator[Vector]:
    """Around the question, as the texts of one topic are."""
    drawn = np.random.default_rng(7)
    for _ in range(count):
        yield (QUESTION + drawn.normal(0, 0.04, DIMENSIONS)).astype(np.float32)


async def plant_all(session: Session, planted: Sequence[Row]) -> None:
    """In one batch, the smallest id last."""
    await session.connection.executemany(
        PLANT.sql,
        [
            (
                UUID(int=10_000 - number),
                f"memory {number}",
                f"{number:064x}",
                row.embedding,
                row.tier,
                0,
                row.phi,
                *REST,
            )
            for number, row in enumerate(planted)
        ],
    )


RANKING_ALL: Final = AugmentedSearch(ranked_at_once=10_000)


async def check(
    session: Session,
    *,
    tiers: tuple[Tier, ...] = (),
    limits: Sequence[int] = (1, 100),
    ranked_at_once: int = -1,
    oracle: Search = ExactSearch(),  # noqa: B008 -- a frozen value
) -> None:
    """Compares with exact search at every limit, and at thresholds that keep all, some, few and none.

    That reads `memories`, and knows nothing of what was recorded in their states alone: name another oracle then.
    """
    by_index = AugmentedSearch(ranked_at_once=ranked_at_once)
    for limit, threshold in product(limits, (0.0, 0.5, 0.75, 1.0)):
        query = Query(query="any", limit=limit, similarity_threshold=threshold, tiers=tiers)
        expected = [result.memory.id for result in await oracle.find(session, query, QUESTION)]
        found = [result.memory.id for result in await by_index.find(session, query, QUESTION)]
        assert found == expected, (limit, threshold)


SETS: Final[dict[str, Callable[[], list[Row]]]] = {
    "hundreds of equal vectors": lambda: [Row(EAST)] * 200 + [Row(each) for each in random_vectors(30)],
    "hundreds of equal vectors among resonant ones": lambda: (
        [Row(EAST, phi=3.0)] * 200 + [Row(each) for each in random_vectors(60)]
    ),
    "hundreds that are the question itself": lambda: [Row(QUESTION)] * 150 + [Row(EAST, phi=5.0)] * 50,
    "all phi equal": lambda: [Row(each, phi=2.0) for each in random_vectors(150)],
    "all phi 5": lambda: [Row(each, phi=5.0) for each in random_vectors(150)],
    "phi spread": lambda: [
        Row(each, phi=Random(n).choice((0, 0.5, 0.51, 5))) for n, each in enumerate(random_vectors(150))
    ],
    "fewer than asked for": lambda: [Row(each, phi=number % 4) for number, each in enumerate(random_vectors(30))],
    "none": list,
}


@pytest.mark.parametrize("name", SETS)
async def test_answers_are_exact_with(session: Session, name: str) -> None:
    await plant_all(session, SETS[name]())
    await check(session)


@pytest.mark.parametrize(
    "asked", [(Tier.THREAD,), (Tier.NETWORK,), (Tier.STABLE, Tier.NETWORK), (Tier.ACTIVE, Tier.THREAD)]
)
async def test_answers_are_exact_in_a_tier_of_one_in_a_hundred_and_in_one_without_a_row(
    session: Session, asked: tuple[Tier, ...]
) -> None:
    tiers = [Tier.THREAD if number % 100 == 50 else Tier.ACTIVE for number in range(200)]
    await plant_all(session, [Row(each, tier=tier) for each, tier in zip(random_vectors(200), tiers, strict=True)])
    await check(session, tiers=asked)


TIERS_ASKED: Final = [
    (Tier.ACTIVE,),
    (Tier.THREAD,),
    (Tier.STABLE,),
    (Tier.THREAD, Tier.STABLE),
    (Tier.ACTIVE, Tier.STABLE),
]


def in_use(count: int) -> list[Row]:
    """Phi and tier as accesses make them: most are active and quiet, and no active one is resonant."""
    states = [(0.1 * (number % 4), Tier.ACTIVE) for number in range(4)] * 3
    states += [(0.5, Tier.THREAD), (1.4, Tier.THREAD), (2.5, Tier.STABLE)]
    return [Row(each, *states[number % len(states)]) for number, each in enumerate(random_vectors(count))]


@pytest.mark.parametrize("tiers", TIERS_ASKED)
@pytest.mark.parametrize("ranked_at_once", [2, 10])
async def test_answers_are_exact_in_a_tier_whose_members_are_read(
    session: Session, tiers: tuple[Tier, ...], ranked_at_once: int
) -> None:
    await plant_all(session, in_use(300))
    await check(session, tiers=tiers, limits=(1, 20), ranked_at_once=ranked_at_once)
    # Who came into a tier and is not folded yet, who left it, and whose phi has just risen or fallen.
    await session.connection.execute(
        "UPDATE memory_states SET tier = 'stable', resonance_phi = 3"
        " WHERE id IN (SELECT id FROM memory_states WHERE tier = 'active' ORDER BY id LIMIT 5)"
    )
    await session.connection.execute(
        "INSERT INTO memory_recalls (at, memory_ids, is_access)"
        " SELECT now(), array_agg(id), true FROM memory_states WHERE tier = 'stable' AND resonance_phi = 3"
    )
    await session.connection.execute(
        "UPDATE memories SET resonance_phi = 0.2 WHERE resonance_phi = 2.5 AND content ~ '[0-4]$'"
    )
    await session.connection.execute(
        "UPDATE memories SET resonance_phi = 4 WHERE resonance_phi = 0.5 AND content ~ '[0-4]$'"
    )
    await session.connection.execute("UPDATE memories SET deleted_at = now() WHERE content ~ '7$'")
    await check(session, tiers=tiers, limits=(1, 20), ranked_at_once=ranked_at_once, oracle=RANKING_ALL)
    while await session.connection.fetchval("SELECT rekey_memories(30)"):
        await check(session, tiers=tiers, limits=(20,), ranked_at_once=ranked_at_once, oracle=RANKING_ALL)
    while await session.connection.fetchval("SELECT fold_recalls(30)"):
        await check(session, tiers=tiers, limits=(20,), ranked_at_once=ranked_at_once, oracle=RANKING_ALL)
    misplaced = "SELECT count(*) FROM memory_states WHERE is_live AND resonance_phi <= 0.5 AND key_phi > 0.5"
    assert await session.connection.fetchval(misplaced) == 0


@pytest.mark.parametrize("gone", ["resonance_phi > 0.5", "resonance_phi <= 0.5", "true"])
async def test_answers_are_exact_when_an_index_has_just_lost_its_last_row(session: Session, gone: str) -> None:
    await plant_all(session, [Row(each, phi=number % 3) for number, each in enumerate(random_vectors(80))])
    await session.connection.execute(f"UPDATE memories SET deleted_at = now() WHERE {gone}")
    await check(session)
    await session.connection.execute("VACUUM memory_keys")
    await check(session)


async def test_answers_are_exact_after_deletes_a_vacuum_and_adds(session: Session) -> None:
    planted = [Row(each, phi=number % 3) for number, each in enumerate(random_vectors(200))]
    await plant_all(session, planted[:150])
    await session.connection.execute("UPDATE memories SET deleted_at = now() WHERE content ~ '[02468]$'")
    await session.connection.execute("DELETE FROM memories WHERE content ~ '[159]$'")
    await check(session)
    await session.connection.execute("VACUUM memory_keys")
    for row in planted[150:]:
        await plant(session, row.embedding, phi=row.phi)
    await check(session)


async def dropped(session: Session, index: str) -> None:
    await session.connection.execute(f"DROP INDEX {index}")


async def invalid(session: Session, index: str) -> None:
    """As an interrupted CREATE INDEX CONCURRENTLY leaves it."""
    await session.connection.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = $1::text::regclass", index
    )


async def test_no_vector_index_is_asked_for_a_tier_of_which_few_are_in_it(session: Session) -> None:
    await plant_all(session, in_use(300))
    calls = {}
    for tiers in [(Tier.STABLE,), (Tier.ACTIVE,), (Tier.ACTIVE, Tier.THREAD), ()]:
        async with session.connection.transaction():
            await session.connection.execute("SET LOCAL track_functions = 'pl'")
            await AugmentedSearch(ranked_at_once=15).find(session, Query(query="any", limit=5, tiers=tiers), QUESTION)
            calls[tiers] = await session.connection.fetchval(
                "SELECT sum(calls) FROM pg_stat_xact_user_functions WHERE funcname = 'next_keys'"
            )
    assert calls[Tier.STABLE,] is None  # Of which all are resonant.
    assert 1 <= calls[Tier.ACTIVE,] < calls[()]  # Of which all are quiet.
    assert calls[Tier.ACTIVE, Tier.THREAD] < calls[()]


@pytest.mark.parametrize("lose", [dropped, invalid])
async def test_answers_are_exact_without_the_index_of_resonant_ranks(
    session: Session, lose: Callable[[Session, str], Awaitable[None]]
) -> None:
    await plant_all(session, in_use(150))
    await lose(session, "memory_ranks_resonant")
    for tiers in TIERS_ASKED:
        await check(session, tiers=tiers, limits=(20,), ranked_at_once=2)


@pytest.mark.parametrize("lose", [dropped, invalid])
@pytest.mark.parametrize("lost", [INDEXES[:1], INDEXES[1:], INDEXES], ids=["quiet", "resonant", "both"])
async def test_answers_are_exact_without_an_index(
    session: Session, lose: Callable[[Session, str], Awaitable[None]], lost: Sequence[str]
) -> None:
    await plant_all(session, [Row(each, phi=number % 3) for number, each in enumerate(random_vectors(80))])
    for index in lost:
        await lose(session, index)
    await check(session)


async def test_answers_are_exact_while_keys_lag_and_are_renewed(session: Session) -> None:
    """Phi grows by steps of one access, past the bound of the lag for some and up to 5 for a few."""
    await plant_all(session, [Row(each) for each in random_vectors(120)])
    for steps in (4, 2, 30, 20):
        await session.connection.execute(
            "UPDATE memories SET resonance_phi = least(5, resonance_phi + $1::int * 0.1)"
            " WHERE ('x' || left(md5(id::text), 4))::bit(16)::int % 5 < 2",
            steps,
        )
        await check(session)
        await session.connection.execute("SELECT rekey_memories(30)")
        await check(session)


@pytest.mark.parametrize("strategy", [BATCHED, FRONTIER], ids=["batched", "frontier"])
async def test_a_clock_that_steps_back_moves_nothing_but_times(
    database_url: str, session: Session, strategy: Strategy
) -> None:
    """An access that comes later counts, and is the last one, at whichever time its clock says."""
    first, second = [
        await plant(session, leaning(0.9, towards=towards), memory_id=UUID(int=towards)) for towards in (1, 2)
    ]
    clock = Clock(NOON)
    vectors = {"first": leaning(0.9, towards=1), "second": leaning(0.9, towards=2), "both": vector(1)}
    async with opened(database_url, strategy, vectors, clock=clock) as anima:
        for text, step_s in (("first", 7_200), ("second", -3_600), ("both", -86_400), ("first", 60)):
            clock.now += timedelta(seconds=step_s)
            limit = 2 if text == "both" else 1
            await anima.memory.query(Query(query=text, limit=limit, conversation_id="c"))
        await anima.background.drain()
    states = await rows(session, "SELECT id, access_count, last_accessed FROM current_memories ORDER BY id")
    step = timedelta(seconds=1)
    assert [tuple(row.values()) for row in states] == [
        (first, 3, clock.now),
        (second, 2, clock.now - timedelta(seconds=60) - step),
    ]
    (pair,) = await rows(session, "SELECT co_occurrence_count FROM current_associations")
    assert pair["co_occurrence_count"] == 1
    logged = await rows(session, "SELECT count(*) FROM current_access_log")
    assert logged[0]["count"] == 5
