"""Of two near-duplicates the newer merges into the older one, whichever of them is committed, or consolidated, last."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import product
from typing import Any, Final

import numpy as np
import pytest

from anima import store
from anima.assembly import Anima
from anima.database import Session
from anima.embeddings.protocol import DIMENSIONS, Vector
from anima.model import NewMemory, content_hash
from anima.strategy import BATCHED, NAIVE, Strategy, preset
from tests.memories import EAST, NOON, PLACED, Clock, leaning, opened, plant, rows, value
from tests.waiting import until

VECTORS: Final = {
    "older": EAST,
    "newer": leaning(0.999),
    "another newer": leaning(0.998, towards=2),
    "newer, in a crowd": leaning(0.997, towards=3),
}
CLIENTS: Final = 16
PAIRS: Final = 300


async def variants(session: Session) -> dict[str, list[str]]:
    """What each live memory has absorbed."""
    live = await rows(session, "SELECT content, metadata FROM current_memories WHERE deleted_at IS NULL")
    return {
        row["content"]: sorted(each["content"] for each in json.loads(row["metadata"]).get("semantic_variants", ()))
        for row in live
    }


async def add_late(late: Anima, others: Anima, newer: list[str], *, drained: bool) -> None:
    """`late` is given its time first, and commits last: it waits for the only connection of its pool."""
    async with late.memory.database.session():
        waiting = asyncio.create_task(late.memory.add(NewMemory(content="older")))
        await until(lambda: is_waiting(late))
        for content in newer:
            await others.memory.add(NewMemory(content=content))
            if drained:
                await others.background.drain()
    await waiting
    await late.background.drain()
    await others.background.drain()


async def is_waiting(anima: Anima) -> bool:
    return anima.memory.database.pool_statistics().waiting == 1


async def both_opened(stack: AsyncExitStack, url: str, late: Strategy, other: Strategy) -> tuple[Anima, Anima]:
    clock = Clock()
    return (
        await stack.enter_async_context(opened(url, replace(late, pool_size=1), VECTORS, clock=clock)),
        await stack.enter_async_context(opened(url, other, VECTORS, clock=clock)),
    )


@pytest.mark.parametrize("drained", [True, False], ids=["consolidated before", "consolidated after"])
@pytest.mark.parametrize("strategy", [*PLACED.values(), preset("fix4")], ids=[*PLACED, "fix4"])
async def test_the_older_one_committed_last_takes_the_newer_ones_in(
    database_url: str, session: Session, strategy: Strategy, drained: bool
) -> None:
    newer = list(VECTORS)[1:]
    async with AsyncExitStack() as stack:
        late, other = await both_opened(stack, database_url, strategy, strategy)
        await add_late(late, other, newer, drained=drained)
    assert await variants(session) == {"older": sorted(newer)}
    assert await value(session, "SELECT count(*) FROM current_memories WHERE merged_into IS NOT NULL") == await value(
        session, "SELECT count(*) FROM current_memories WHERE deleted_at IS NOT NULL"
    )


@pytest.mark.parametrize(("late", "other"), [(NAIVE, BATCHED), (BATCHED, NAIVE)], ids=["naive last", "batched last"])
async def test_processes_of_two_strategies_on_one_database_leave_one_of_two(
    database_url: str, session: Session, late: Strategy, other: Strategy
) -> None:
    async with AsyncExitStack() as stack:
        last, first = await both_opened(stack, database_url, late, other)
        await add_late(last, first, ["newer"], drained=True)
    assert await variants(session) == {"older": ["newer"]}


@pytest.mark.parametrize("count", [1, 15])
async def test_one_that_looks_before_the_older_is_committed_is_consolidated_again_after_it(
    database_url: str, session: Session, count: int
) -> None:
    """More newer ones than the index is asked for at once, too: all of them had been consolidated."""
    crowd = {f"newer {number}": leaning(0.96, towards=1 + number) for number in range(count)}
    for content, vector in crowd.items():
        await plant(session, vector, content=content, created_at=NOON.replace(hour=13))
    async with opened(database_url, BATCHED, VECTORS) as anima:
        await anima.memory.add(NewMemory(content="older"))
        await anima.background.drain()
        assert anima.background.backlog == 0
    assert await variants(session) == {"older": sorted(crowd)}


async def test_where_all_were_committed_in_order_no_memory_is_consolidated_twice(
    database_url: str, session: Session
) -> None:
    async with opened(database_url, BATCHED, VECTORS) as anima:
        for content in VECTORS:
            await anima.memory.add(NewMemory(content=content))
            await anima.background.drain()
        assert anima.background.counts["consolidation"].done == len(VECTORS)
    assert await variants(session) == {"older": sorted(list(VECTORS)[1:])}


async def test_an_identical_text_added_at_the_same_moment_is_an_exact_duplicate_and_no_variant(
    database_url: str, session: Session
) -> None:
    """The second looked for it before the first was committed, and waited for that with its look at near ones."""
    async with opened(database_url, NAIVE, VECTORS) as anima:
        async with session.transaction():
            assert await store.count_duplicate(session, content_hash("newer"), NOON) is None
            adding = asyncio.create_task(anima.memory.add(NewMemory(content="newer")))
            async with anima.memory.database.session() as watching:
                await until(lambda: one_waits(watching))
            await plant(session, VECTORS["newer"], content="newer")
        assert (await adding).duplicate == "exact"
    assert await variants(session) == {"newer": []}
    assert await value(session, "SELECT access_count FROM current_memories") == 1


async def one_waits(session: Session) -> bool:
    return bool(await value(session, "SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"))


def pairs() -> Mapping[str, Vector]:
    """Pairs at a similarity of about 0.99, each far from all others."""
    drawn = np.random.default_rng(1)
    ones = drawn.standard_normal((PAIRS, DIMENSIONS)).astype(np.float32)
    others = ones + 0.14 * drawn.standard_normal((PAIRS, DIMENSIONS)).astype(np.float32)
    return {
        f"{number} {name}": vectors[number]
        for number, (name, vectors) in product(range(PAIRS), (("one", ones), ("other", others)))
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "strategy",
    [pytest.param(NAIVE, id="naive"), pytest.param(BATCHED, id="batched", marks=pytest.mark.nightly)],
)
async def test_of_300_pairs_added_at_once_each_leaves_one_memory_with_the_other_as_its_variant(
    database_url: str, session: Session, strategy: Strategy
) -> None:
    vectors = pairs()
    texts = iter(list(vectors))
    stop = asyncio.Event()

    async def add_the_rest() -> None:
        for text in texts:
            await anima.memory.add(NewMemory(content=text))

    async with opened(database_url, strategy, vectors) as anima:
        working = asyncio.create_task(anima.background.run(stop))
        async with asyncio.TaskGroup() as clients:
            for _ in range(CLIENTS):
                clients.create_task(add_the_rest())
        assert await anima.background.drain() == 0
        stop.set()
        await working
    found: dict[str, Any] = await variants(session)
    assert len(found) == PAIRS
    assert {frozenset((live, *absorbed)) for live, absorbed in found.items()} == {
        frozenset((f"{number} one", f"{number} other")) for number in range(PAIRS)
    }
