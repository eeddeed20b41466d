"""Many clients at once: nothing deadlocks, nothing is lost, nothing happens twice."""

import asyncio
import json
import math
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from random import Random
from typing import Final
from uuid import UUID

import pytest

from anima import merges
from anima.assembly import Anima
from anima.associations import ASSOCIATIONS
from anima.associations.protocol import CoOccurrence
from anima.consolidations import CONSOLIDATIONS
from anima.consolidations.protocol import Candidate, Consolidation, ConsolidationOneByOne, Duplicates, SemanticMatch
from anima.database import Session, open_database
from anima.model import Found, NewMemory, Promotion, Query, Tier
from anima.strategy import FRONTIER, AssociationName, Strategy
from anima.work import Consolidate
from tests.memories import EAST, NOON, PLACED, leaning, opened, plant, rows, session_on, value, vector
from tests.waiting import until

CLIENTS: Final = 16
DEADLOCKS: Final = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


async def by_all_clients(act: Callable[[Random], Awaitable[None]]) -> None:
    async with asyncio.TaskGroup() as clients:
        for seed in range(CLIENTS):
            clients.create_task(act_as(act, Random(seed)))


async def act_as(act: Callable[[Random], Awaitable[None]], drawn: Random) -> None:
    await act(drawn)


@asynccontextmanager
async def working(anima: Anima) -> AsyncGenerator[None]:
    """Background work goes on meanwhile, all of it is done at the end, and none of it has ever failed.

    Nor has anything deadlocked in `frontier`: it is tried again, so that nobody is told, but holds up all for a second.
    """
    stop = asyncio.Event()
    workers = asyncio.create_task(anima.background.run(stop))
    yield
    stop.set()
    await workers
    assert await anima.background.drain() == 0
    assert {
        kind: counts.failed_attempts for kind, counts in anima.background.counts.items() if counts.failed_attempts
    } == {}
    if anima.memory.strategy == FRONTIER:
        await anima.memory.database.report_statistics()
        async with anima.memory.database.session() as session:
            assert await value(session, DEADLOCKS) == 0


async def test_clients_adding_the_same_texts_leave_one_live_row_of_each(
    database_url: str, session: Session, strategy: Strategy
) -> None:
    texts = [f"{word} {word}" for word in ("oak", "river", "music", "bread", "winter", "train", "letter", "stone")]
    first_answers: Counter[str] = Counter()

    async def add_all(drawn: Random) -> None:
        for text in drawn.sample(texts, len(texts)):
            added = await anima.memory.add(NewMemory(content=text))
            first_answers[text] += not added.is_duplicate

    async with opened(database_url, strategy) as anima, working(anima):
        await by_all_clients(add_all)
    found = await rows(session, "SELECT content, access_count FROM current_memories")
    assert {row["content"]: row["access_count"] for row in found} == dict.fromkeys(texts, CLIENTS - 1)
    assert len(found) == len(texts)
    assert first_answers == dict.fromkeys(texts, 1)


@dataclass
class Asked:
    """What the answers say must be in the tables."""

    accesses: Counter[UUID] = field(default_factory=Counter)
    conversations: set[tuple[UUID, str]] = field(default_factory=set)
    pairs: Counter[tuple[UUID, UUID]] = field(default_factory=Counter)
    contexts: set[tuple[UUID, UUID, str]] = field(default_factory=set)
    promotions: Counter[Promotion] = field(default_factory=Counter)

    def note(self, found: Found, conversation_id: str) -> None:
        memory_ids = sorted(result.memory.id for result in found.memories)
        pairs = list(combinations(memory_ids, 2))
        self.accesses.update(memory_ids)
        self.pairs.update(pairs)
        self.promotions.update(found.promotions)
        self.conversations.update((memory_id, conversation_id) for memory_id in memory_ids)
        self.contexts.update((*pair, conversation_id) for pair in pairs)


@pytest.mark.slow
@pytest.mark.parametrize("operations", [640, pytest.param(2_000, marks=pytest.mark.nightly)])
async def test_clients_asking_for_overlapping_results_count_exactly_what_was_asked(
    database_url: str, session: Session, strategy: Strategy, operations: int
) -> None:
    """With promotions and the cap of phi on the way."""
    for number in range(9):
        await plant(session, leaning(0.5 + number / 30, towards=1 + number % 3))
    vectors = {f"query {number}": leaning(0.6 + number / 20, towards=1 + number % 3) for number in range(8)}
    asked = Asked()

    async def query_on(drawn: Random) -> None:
        for _ in range(operations // CLIENTS):
            conversation_id = f"conversation {drawn.randrange(3)}"
            query = Query(query=drawn.choice(list(vectors)), limit=3, conversation_id=conversation_id)
            asked.note(await anima.memory.query(query), conversation_id)

    async with opened(database_url, strategy, vectors) as anima, working(anima):
        await by_all_clients(query_on)
    await check_memories(session, asked)
    await check_associations(session, asked)
    await check_promotions(session, asked)


async def check_memories(session: Session, asked: Asked) -> None:
    memories = await rows(session, "SELECT * FROM current_memories")
    assert {row["id"]: row["access_count"] for row in memories if row["access_count"]} == asked.accesses
    logged = await rows(session, "SELECT memory_id, count(*) FROM memory_access_log GROUP BY memory_id")
    assert {row["memory_id"]: row["count"] for row in logged} == asked.accesses
    for row in memories:
        assert row["resonance_phi"] == pytest.approx(min(5.0, row["access_count"] / 10))
        assert len(row["accessed_in_conversation_ids"]) == len(set(row["accessed_in_conversation_ids"]))
    remembered = {(row["id"], name) for row in memories for name in row["accessed_in_conversation_ids"]}
    assert remembered == asked.conversations


async def check_associations(session: Session, asked: Asked) -> None:
    pairs = await rows(session, "SELECT * FROM memory_associations")
    assert {(row["memory_a_id"], row["memory_b_id"]): row["co_occurrence_count"] for row in pairs} == asked.pairs
    for row in pairs:
        assert row["strength"] == pytest.approx(math.log10(1 + row["co_occurrence_count"]) / 10)
        assert len(row["conversation_contexts"]) == len(set(row["conversation_contexts"]))
    remembered = {
        (row["memory_a_id"], row["memory_b_id"], name) for row in pairs for name in row["conversation_contexts"]
    }
    assert remembered == asked.contexts


async def check_promotions(session: Session, asked: Asked) -> None:
    """Each step that the final count has passed was taken once, audited once and reported once."""
    audit = await rows(session, "SELECT memory_id, from_tier, to_tier FROM tier_promotions")
    audited = Counter(Promotion(row["memory_id"], Tier(row["from_tier"]), Tier(row["to_tier"])) for row in audit)
    due = [
        Promotion(memory_id, before, after)
        for memory_id, count in asked.accesses.items()
        for threshold, before, after in ((5, Tier.ACTIVE, Tier.THREAD), (20, Tier.THREAD, Tier.STABLE))
        if count >= threshold
    ]
    assert due
    assert audited == asked.promotions == Counter(due)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", PLACED, indirect=True)
async def test_near_duplicates_added_and_queried_at_once_end_as_variants_and_none_is_lost(
    database_url: str, session: Session, strategy: Strategy
) -> None:
    """Adds, merges, accesses and co-occurrences all meet on the same rows."""
    vectors = {f"text {number}": leaning(0.999 - number / 100_000, towards=1 + number % 5) for number in range(48)}
    others = [await plant(session, leaning(0.2, towards=10 + number)) for number in range(6)]
    await plant(session, EAST, content="the first", created_at=NOON)
    texts = iter(list(vectors))

    async def add_and_query(_drawn: Random) -> None:
        for text in texts:
            await anima.memory.add(NewMemory(content=text))
            await anima.memory.query(Query(query=text, similarity_threshold=0.1, limit=8, conversation_id="c"))

    async with opened(database_url, strategy, vectors) as anima, working(anima):
        await by_all_clients(add_and_query)
    (survivor,) = await rows(session, "SELECT * FROM memories WHERE deleted_at IS NULL AND id <> ALL($1)", others)
    variants = [variant["content"] for variant in json.loads(survivor["metadata"])["semantic_variants"]]
    assert survivor["content"] == "the first"
    assert sorted(variants) == sorted(vectors)


@dataclass
class Rendezvous(ConsolidationOneByOne):
    """Lets merges go on only after each of them has found whom to merge with."""

    consolidation: Consolidation
    barrier: asyncio.Barrier
    met: set[UUID] = field(default_factory=set)

    async def match(self, session: Session, candidate: Candidate) -> Duplicates:
        match = await self.consolidation.match(session, candidate)
        if candidate.id not in self.met:
            self.met.add(candidate.id)
            await self.barrier.wait()
        return match


class Newest(ConsolidationOneByOne):
    """Matches the other way round than the contract wants: the older memory would merge into the newer."""

    async def match(self, session: Session, candidate: Candidate) -> Duplicates:
        found = await session.connection.fetchrow(
            "SELECT id FROM memories WHERE deleted_at IS NULL AND id <> $1 ORDER BY created_at DESC, id", candidate.id
        )
        return Duplicates(SemanticMatch(found["id"], 0.98) if found else None)


async def merge_at_once(database_url: str, consolidation: Consolidation, memory_ids: list[UUID]) -> None:
    async with open_database(database_url) as database:

        async def merge(memory_id: UUID) -> None:
            async with database.session() as session, session.transaction():
                await merges.consolidate(session, meeting, memory_id, NOON)

        meeting = Rendezvous(consolidation, asyncio.Barrier(len(memory_ids)))
        async with asyncio.TaskGroup() as group:
            for memory_id in memory_ids:
                group.create_task(merge(memory_id))


async def test_merges_of_memories_that_occurred_together_do_not_deadlock(database_url: str, session: Session) -> None:
    """Each moves a pair to its survivor that the other is moving to its own."""
    older, other_older = await plant(session, EAST), await plant(session, vector(0, 0, 1))
    newer, other_newer = [
        await plant(session, leans, created_at=NOON.replace(minute=1)) for leans in (leaning(0.99), vector(0, 0.1, 1))
    ]
    bystander = await plant(session, vector(0, 0, 0, 1))
    for pair in ((other_newer, older), (newer, other_newer), (newer, bystander)):
        await ASSOCIATIONS["per_pair"].record(session, CoOccurrence(pair, "a", NOON))

    async def merge(memory_id: UUID) -> None:
        async with session_on(database_url) as merging, merging.transaction():
            await merges.consolidate(merging, CONSOLIDATIONS["nearest"], memory_id, NOON)

    async with session_on(database_url) as holding, asyncio.TaskGroup() as group, holding.transaction():
        await hold(holding, newer, bystander)
        for number, memory_id in enumerate((newer, other_newer), start=1):
            group.create_task(merge(memory_id))
            await until(partial(waiting, session, number))
    pairs = await rows(session, "SELECT memory_a_id, memory_b_id FROM memory_associations")
    assert {frozenset(row.values()) for row in pairs} == {
        frozenset((older, other_older)),
        frozenset((older, bystander)),
    }


@pytest.mark.parametrize(("name", "table"), [("batched", "memories"), ("frontier", "memory_states")])
async def test_merges_of_one_batch_lock_rows_in_no_other_order_than_queries(
    database_url: str, session: Session, name: str, table: str
) -> None:
    """While a merge waits for a row, it holds none with a greater id: whoever has the first will want that as well."""
    waited_for, survivor, merged_before = [UUID(int=number) for number in (1, 2, 3)]
    for memory_id, minute in ((survivor, 0), (merged_before, 1), (waited_for, 2)):
        await plant(session, EAST, memory_id=memory_id, created_at=NOON.replace(minute=minute))
    works = [Consolidate(memory_id=memory_id, at=NOON) for memory_id in (merged_before, waited_for)]
    lock = f"SELECT FROM {table} WHERE id = $1 FOR UPDATE NOWAIT"
    async with opened(database_url, PLACED[name]) as anima, asyncio.TaskGroup() as group:
        await anima.background.accept(session, works)
        async with session_on(database_url) as asking, asking.transaction():
            await asking.connection.execute(lock, waited_for)
            group.create_task(anima.background.run_once("consolidation"))
            await until(partial(waiting, session, 1))
            await asking.connection.execute(lock, survivor)
    assert await value(session, "SELECT array_agg(id) FROM memories WHERE deleted_at IS NULL") == [survivor]


async def hold(session: Session, first: UUID, second: UUID) -> None:
    """Locks their pair until the transaction ends."""
    lock = "SELECT FROM memory_associations WHERE memory_a_id = $1 AND memory_b_id = $2 FOR UPDATE"
    await session.connection.execute(lock, min(first, second), max(first, second))


@pytest.mark.parametrize("name", ["per_pair", "batched"])
async def test_pairs_recorded_inline_wait_for_a_merge_and_it_for_them_but_never_both(
    database_url: str, session: Session, name: AssociationName
) -> None:
    """The merge has pairs of the newer memory and wants those of the survivor; the query has these and wants those."""
    left, survivor, right, newer = [
        await plant(session, leaning(lean), memory_id=UUID(int=number), created_at=NOON.replace(minute=number))
        for number, lean in ((1, 0.1), (2, 1.0), (3, 0.2), (4, 0.99))
    ]
    async with (
        open_database(database_url) as database,
        database.session() as holding,
        database.session() as merging,
        database.session() as recording,
    ):
        for pair in ((left, survivor), (survivor, right), (left, newer), (right, newer)):
            await ASSOCIATIONS["per_pair"].record(session, CoOccurrence(pair, "a", NOON))

        async def merge() -> None:
            async with merging.transaction():
                await merges.consolidate(merging, CONSOLIDATIONS["nearest"], newer, NOON)

        async with asyncio.TaskGroup() as group, holding.transaction():
            await hold(holding, left, survivor)
            group.create_task(merge())
            await until(lambda: waiting(session, 1))
            both = CoOccurrence((survivor, right, newer), "b", NOON)
            group.create_task(ASSOCIATIONS[name].record(recording, both))
            await until(lambda: waiting(session, 2))
    assert await value(session, "SELECT count(*) FROM memories WHERE deleted_at IS NULL") == 3


async def waiting(session: Session, count: int) -> bool:
    """Whether as many connections to this database wait for a lock."""
    waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return bool(await value(session, waits) == count)


async def variants_by_survivor(session: Session) -> list[list[str]]:
    live = await rows(session, "SELECT metadata FROM memories WHERE deleted_at IS NULL")
    return [sorted(variant["content"] for variant in json.loads(row["metadata"])["semantic_variants"]) for row in live]


@pytest.mark.parametrize("length", [2, 3, 5, 12])
async def test_a_chain_of_merges_at_once_leaves_one_survivor_with_every_variant(
    database_url: str, session: Session, length: int
) -> None:
    """Each is nearest to the one before it, and all have found that one before any of them is merged."""
    chain = [
        await plant(
            session, leaning(1 - number / 1_000), content=f"link {number}", created_at=NOON.replace(minute=number)
        )
        for number in range(length)
    ]
    await merge_at_once(database_url, CONSOLIDATIONS["nearest"], chain)
    assert await variants_by_survivor(session) == [sorted(f"link {number}" for number in range(1, length))]


async def test_a_into_b_and_b_into_a_at_once_leave_one_survivor(database_url: str, session: Session) -> None:
    """Though nothing that is older may match something newer: the merge itself must not rely on it."""
    both = [await plant(session, EAST, content=content) for content in ("a", "b")]
    await merge_at_once(database_url, Newest(), both)
    ((variant,),) = await variants_by_survivor(session)
    assert {variant, await value(session, "SELECT content FROM memories WHERE deleted_at IS NULL")} == {"a", "b"}
