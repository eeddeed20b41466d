"""The nine points of the contract's section 9: each fails on the guide's code (tests/specimens) and passes on ours.

docs/what-the-guide-got-wrong.md tells the story and names these tests.
"""

import asyncio
import json
import math
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from random import Random
from typing import Final
from uuid import UUID

import asyncpg
import pytest

from anima import catalysts, merges
from anima.access_records.batched import BatchedAccessRecords
from anima.access_records.protocol import Access
from anima.associations import ASSOCIATIONS
from anima.associations.protocol import CoOccurrence
from anima.background import Background, Counts
from anima.bootstraps.one_query import OneQueryBootstrap
from anima.consolidations.nearest import NearestConsolidation
from anima.database import Executed, PoolSettings, Session, open_database
from anima.embeddings.cache import CachedEmbeddings
from anima.embeddings.protocol import Embedded, ProviderCalls
from anima.migrations import all_migrations, migrate
from anima.model import BootstrapRequest, NewMemory, Query, Tier
from anima.placements import handlers
from anima.searches import hnsw
from anima.strategy import BATCHED, NAIVE, preset
from anima.work import LANES, RecordCoOccurrence
from harness.measuring.draws import Draws
from harness.measuring.servers.provisioners.protocol import Server
from harness.measuring.targets.anima.workloads import WORKLOADS
from harness.measuring.targets.anima.workloads.protocol import WorkloadSettings
from harness.samples import Sample
from tests.memories import AT_098, EAST, NOON, leaning, opened, plant, rows, session_on, tables, value, vector
from tests.specimens import (
    fix1_embedding_cache,
    fix2_co_occurrence,
    fix3_access_tracking,
    fix4_consolidation,
    fix5_bootstrap,
    fix6_indexes,
    fix8_fire_and_forget,
    fix9_load_test,
)
from tests.waiting import until

CONNECTIONS: Final = 40


@pytest.fixture
async def session(database_url: str) -> AsyncGenerator[Session]:
    async with session_on(database_url) as session:
        yield session


# 9.1 The cache evicts in the order of insertion, keeps what has expired, mixes models, and lets all misses call out.


@dataclass
class CountingProvider:
    """Gives each text the same vector, of its model, once it may answer."""

    model: str = "one"
    name: str = "provider"
    calls: Counter[str] = field(default_factory=Counter)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def embed(self, text: str) -> Embedded:
        self.calls[text] += 1
        await self.may_answer.wait()
        return Embedded(vector(1, len(self.model)), self.name)

    async def embed_many(self, texts: Sequence[str]) -> Sequence[Embedded]:
        return [await self.embed(text) for text in texts]

    def server_calls(self) -> tuple[ProviderCalls, ...]:
        return ()

    async def aclose(self) -> None:
        pass


async def calls_for(ask: Callable[[str], Awaitable[object]], provider: CountingProvider) -> Counter[str]:
    """With room for two: b is the one not used lately when c comes."""
    provider.may_answer.set()
    for text in ("a", "b", "a", "c", "a"):
        await ask(text)
    return provider.calls


async def test_9_1_the_entry_used_least_lately_leaves_not_the_oldest() -> None:
    provider = CountingProvider()
    guide = fix1_embedding_cache.GuideCache(2, 3_600, lambda: 0.0)
    calls = await calls_for(lambda text: fix1_embedding_cache.generate_embedding(guide, provider, text), provider)
    assert calls == {"a": 2, "b": 1, "c": 1}

    provider = CountingProvider()
    calls = await calls_for(CachedEmbeddings(provider, max_entries=2).embed, provider)
    assert calls == {"a": 1, "b": 1, "c": 1}


async def test_9_1_an_expired_entry_is_dropped() -> None:
    now_s = 0.0
    provider = CountingProvider()
    provider.may_answer.set()
    guide = fix1_embedding_cache.GuideCache(10, 3_600, lambda: now_s)
    ours = CachedEmbeddings(provider, max_entries=10, ttl_s=3_600, clock=lambda: now_s)
    await fix1_embedding_cache.generate_embedding(guide, provider, "a")
    await ours.embed("a")
    now_s = 4_000.0
    assert guide.get("a") is None
    assert len(guide.cache) == 1
    assert ours.statistics().size == 0


async def test_9_1_models_do_not_share_vectors() -> None:
    """One cache in front of a provider, and after a change of the model in front of another."""
    one, other = CountingProvider("one"), CountingProvider("other")
    one.may_answer.set()
    other.may_answer.set()
    guide = fix1_embedding_cache.GuideCache(10, 3_600, lambda: 0.0)
    for provider in (one, other):
        await fix1_embedding_cache.generate_embedding(guide, provider, "a")
    assert (one.calls["a"], other.calls["a"]) == (1, 0)

    ours = CachedEmbeddings(one)
    await ours.embed("a")
    ours._provider = other
    assert (await ours.embed("a")).provider != "cache"


async def test_9_1_concurrent_misses_make_one_call() -> None:
    provider = CountingProvider()
    guide = fix1_embedding_cache.GuideCache(10, 3_600, lambda: 0.0)
    await ask_at_once(lambda: fix1_embedding_cache.generate_embedding(guide, provider, "a"), provider)
    assert provider.calls == {"a": 5}

    provider = CountingProvider()
    ours = CachedEmbeddings(provider)
    await ask_at_once(lambda: ours.embed("a"), provider)
    assert provider.calls == {"a": 1}


async def ask_at_once(ask: Callable[[], Awaitable[object]], provider: CountingProvider) -> None:
    asking = [asyncio.ensure_future(ask()) for _ in range(5)]
    await asyncio.sleep(0)
    provider.may_answer.set()
    await asyncio.gather(*asking)


# 9.2 Three values for five columns; equal pairs in one batch; batches in no order; a strength off the formula.


async def test_9_2_a_pair_fits_its_columns_and_has_the_strength_of_its_count(session: Session) -> None:
    one, two = await plant(session), await plant(session)
    pairs = fix2_co_occurrence.pairs_of([one, two])
    with pytest.raises(asyncpg.PostgresSyntaxError, match="more target columns than expressions"):
        await fix2_co_occurrence.insert_as_written(session, pairs, "c")
    await fix2_co_occurrence.insert_with_five_values(session, pairs, "c")
    assert await value(session, "DELETE FROM memory_associations RETURNING strength") == 1.0

    await ASSOCIATIONS["batched"].record(session, CoOccurrence([one, two], "c", NOON))
    strength = await value(session, "SELECT strength FROM memory_associations")
    assert strength == pytest.approx(math.log10(2) / 10) == pytest.approx(0.0301, abs=1e-4)


async def test_9_2_equal_pairs_in_one_batch_are_one_pair(session: Session) -> None:
    one, two = sorted((await plant(session), await plant(session)))
    with pytest.raises(asyncpg.CardinalityViolationError, match="cannot affect row a second time"):
        await fix2_co_occurrence.insert_with_five_values(session, [(one, two), (one, two)], "c")

    await ASSOCIATIONS["batched"].record(session, CoOccurrence([one, two, one, two], "c", NOON))
    assert await value(session, "SELECT co_occurrence_count FROM memory_associations") == 1


async def test_9_2_batches_of_the_same_memories_in_another_order_do_not_deadlock(
    database_url: str, session: Session
) -> None:
    """Two results in opposite orders; both batches are begun while a third party holds a pair in the middle."""
    a, b, c = [await plant(session, memory_id=UUID(int=number)) for number in (1, 2, 3)]
    orders = ([a, b, c], [c, b, a])

    async def guide(session: Session, memory_ids: list[UUID]) -> None:
        await fix2_co_occurrence.insert_with_five_values(session, fix2_co_occurrence.pairs_of(memory_ids), "c")

    async def ours(session: Session, memory_ids: list[UUID]) -> None:
        await ASSOCIATIONS["batched"].record(session, CoOccurrence(memory_ids, "c", NOON))

    await ours(session, [a, b, c])
    assert await deadlocks(database_url, session, (a, c), [(guide, order) for order in orders]) == 1
    assert await deadlocks(database_url, session, (a, c), [(ours, order) for order in orders]) == 0


Recording = Callable[[Session, list[UUID]], Awaitable[None]]


async def deadlocks(
    database_url: str, session: Session, held: tuple[UUID, UUID], batches: list[tuple[Recording, list[UUID]]]
) -> int:
    """How many of the batches PostgreSQL ends, when all are under way before the held pair is let go."""
    lock = "SELECT FROM memory_associations WHERE memory_a_id = $1 AND memory_b_id = $2 FOR UPDATE"
    async with AsyncExitStack() as stack:
        holder, *sessions = [await stack.enter_async_context(session_on(database_url)) for _ in range(1 + len(batches))]
        async with holder.transaction():
            await holder.connection.execute(lock, *held)
            running: list[asyncio.Future[None]] = []
            for number, (own, (record, memory_ids)) in enumerate(zip(sessions, batches, strict=True), start=1):
                running.append(asyncio.ensure_future(record(own, memory_ids)))
                await until(partial(as_many_wait, session, number))
        results = await asyncio.gather(*running, return_exceptions=True)
    return count_deadlocks(results)


def count_deadlocks(results: list[BaseException | None]) -> int:
    ended = [result for result in results if result is not None]
    for error in ended:
        assert isinstance(error, asyncpg.DeadlockDetectedError), error
    return len(ended)


async def as_many_wait(session: Session, count: int) -> bool:
    """Whether as many connections to this database wait for a lock."""
    waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return bool(await value(session, waits) == count)


# 9.3 Promotions that did not happen; no audit and no access log; rows locked in no order.


@pytest.mark.parametrize(("tier", "before"), [(Tier.ACTIVE, 3), (Tier.THREAD, 18)])
async def test_9_3_only_promotions_that_happened_are_reported(session: Session, tier: Tier, before: int) -> None:
    memory_id = await plant(session, tier=tier, access_count=before)
    assert await fix3_access_tracking.track(session, [memory_id], "c") == [(memory_id, tier)]
    assert await value(session, "SELECT tier FROM memories") == tier

    await session.connection.execute("UPDATE memories SET access_count = $1", before)
    assert await BatchedAccessRecords().record(session, Access([memory_id], "c", NOON)) == ()
    promotions = await BatchedAccessRecords().record(session, Access([memory_id], "c", NOON))
    assert len(promotions) == 1
    assert await value(session, "SELECT tier FROM memories") == promotions[0].to_tier


async def test_9_3_accesses_are_logged_and_promotions_audited(session: Session) -> None:
    memory_id = await plant(session, access_count=2)

    async def by_guide() -> None:
        await fix3_access_tracking.track(session, [memory_id], "c")

    async def by_us() -> None:
        await BatchedAccessRecords().record(session, Access([memory_id], "c", NOON))

    assert await seen_after_three(session, by_guide) == {"tier_promotions": 0, "reasons": []}
    await session.connection.execute("UPDATE memories SET access_count = 2, tier = 'active'")
    assert await seen_after_three(session, by_us) == {"tier_promotions": 1, "reasons": ["3 accesses in 10 minutes"]}


async def seen_after_three(session: Session, access: Callable[[], Awaitable[None]]) -> dict[str, object]:
    """The audit of the third access, and what rapid-access detection says."""
    for _ in range(3):
        await access()
    await catalysts.StepwiseDetection().detect(session, {await value(session, "SELECT id FROM memories"): NOON})
    metadata = json.loads(await value(session, "SELECT metadata FROM memories"))
    return {
        "tier_promotions": await value(session, "SELECT count(*) FROM tier_promotions"),
        "reasons": metadata.get("potential_catalyst", {}).get("reasons", []),
    }


async def test_9_3_ten_clients_asking_the_same_do_not_deadlock(database_url: str, session: Session) -> None:
    memory_ids = [await plant(session) for _ in range(20)]

    async def by_guide(session: Session, ids: list[UUID]) -> None:
        await fix3_access_tracking.track(session, ids, "c")

    async def by_us(session: Session, ids: list[UUID]) -> None:
        await BatchedAccessRecords().record(session, Access(ids, "c", NOON))

    assert await deadlocks_of_ten_clients(database_url, memory_ids, by_guide) > 0
    assert await deadlocks_of_ten_clients(database_url, memory_ids, by_us) == 0


async def deadlocks_of_ten_clients(database_url: str, memory_ids: list[UUID], access: Recording) -> int:
    """In 100 accesses, each of which finds the memories in another order."""
    results: list[BaseException | None] = []

    async def use(drawn: Random) -> None:
        async with session_on(database_url) as session:
            await session.connection.execute("SET deadlock_timeout = '10ms'")
            for _ in range(10):
                found = drawn.sample(memory_ids, len(memory_ids))
                results.extend(await asyncio.gather(access(session, found), return_exceptions=True))

    await asyncio.gather(*(use(Random(seed)) for seed in range(10)))
    return count_deadlocks(results)


# 9.4 A memory finds itself; merges delete both sides; work goes with the process; content cannot come back.


async def test_9_4_a_memory_does_not_find_itself(session: Session) -> None:
    older = await plant(session, EAST)
    newer = await plant(session, AT_098, created_at=NOON.replace(hour=13))
    await fix4_consolidation.consolidate(session, newer, AT_098)
    assert await value(session, "SELECT count(*) FROM memories WHERE deleted_at IS NULL") == 2

    async with session.transaction():
        await merges.consolidate(session, NearestConsolidation(), newer, NOON)
    assert await value(session, "SELECT id FROM memories WHERE deleted_at IS NULL") == older


@pytest.mark.parametrize("minutes", [(0, 0), (0, 1, 2)], ids=["two of one moment", "a chain"])
async def test_9_4_merges_at_once_keep_one_and_every_variant(
    database_url: str, session: Session, minutes: tuple[int, ...]
) -> None:
    memories = {
        await plant(session, leans, created_at=NOON.replace(minute=minute)): leans
        for minute, leans in zip(minutes, (EAST, leaning(0.99), leaning(0.94)), strict=False)
    }

    async def guide(session: Session, memory_id: UUID, meeting: asyncio.Barrier) -> None:
        await fix4_consolidation.consolidate_others(session, memory_id, memories[memory_id], meeting.wait)

    async def ours(session: Session, memory_id: UUID, meeting: asyncio.Barrier) -> None:
        await meeting.wait()
        async with session.transaction():
            await merges.consolidate(session, NearestConsolidation(), memory_id, NOON)

    contents = await contents_kept(session)
    await merge_at_once(database_url, list(memories), guide)
    assert await contents_kept(session) < contents
    await session.connection.execute("UPDATE memories SET deleted_at = NULL, metadata = '{}'")
    await merge_at_once(database_url, list(memories), ours)
    assert await contents_kept(session) == contents


async def merge_at_once(
    database_url: str, memory_ids: list[UUID], merge: Callable[[Session, UUID, asyncio.Barrier], Awaitable[None]]
) -> None:
    meeting = asyncio.Barrier(len(memory_ids))

    async def run(memory_id: UUID) -> None:
        async with session_on(database_url) as session:
            await merge(session, memory_id, meeting)

    await asyncio.gather(*map(run, memory_ids))


async def contents_kept(session: Session) -> set[str]:
    """Those of live memories, and of their variants."""
    live = await rows(session, "SELECT content, metadata FROM memories WHERE deleted_at IS NULL")
    variants = [variant for row in live for variant in json.loads(row["metadata"]).get("semantic_variants", [])]
    return {kept["content"] for kept in (*live, *variants)}


async def test_9_4_work_outlives_the_process(database_url: str, session: Session) -> None:
    """The end of a process is the end of its tasks."""
    await plant(session, EAST)
    newer = await plant(session, AT_098, created_at=NOON.replace(hour=13))
    forgotten = fix8_fire_and_forget.start_and_forget(fix4_consolidation.consolidate(session, newer, AT_098))
    await asyncio.sleep(0)
    forgotten.cancel()
    await asyncio.gather(forgotten, return_exceptions=True)
    assert (await tables(session))["queue"] == []

    async with opened(database_url, BATCHED, {"near": leaning(0.99)}) as accepting:
        await accepting.memory.add(NewMemory(content="near"))
    async with opened(database_url, BATCHED) as after_a_restart:
        await after_a_restart.background.drain()
    assert await value(session, "SELECT deleted_at IS NOT NULL FROM memories WHERE content = 'near'")


async def test_9_4_merged_content_can_be_added_again(database_url: str, session: Session) -> None:
    await plant(session, content="a day", deleted_at=NOON)
    await session.connection.execute(fix4_consolidation.FULL_UNIQUE)
    with pytest.raises(asyncpg.UniqueViolationError):
        await plant(session, content="a day")

    await session.connection.execute("DROP INDEX memories_content_hash_key")
    async with opened(database_url, BATCHED) as anima:
        assert not (await anima.memory.add(NewMemory(content="a day"))).is_duplicate


# 9.5 JavaScript names inside SQL; timestamp and double in one CASE; a sort of everything; phi for recency; the limit.


async def test_9_5_the_statement_runs(session: Session) -> None:
    with pytest.raises(asyncpg.DatatypeMismatchError, match="CASE types double precision and timestamp"):
        await session.connection.fetch(fix5_bootstrap.AS_WRITTEN)
    with pytest.raises(asyncpg.UndefinedColumnError, match="includeactive"):
        await session.connection.fetch(fix5_bootstrap.WITH_RANKS_OF_ONE_TYPE)
    await OneQueryBootstrap().load(session, BootstrapRequest(conversation_id="c"))


async def test_9_5_active_memories_count_towards_the_limit(session: Session) -> None:
    for tier, count in ((Tier.ACTIVE, 30), (Tier.THREAD, 60), (Tier.STABLE, 60)):
        for _ in range(count):
            await plant(session, tier=tier)
    assert len(await session.connection.fetch(fix5_bootstrap.THAT_RUNS)) == 80
    loaded = await OneQueryBootstrap().load(session, BootstrapRequest(conversation_id="c", limit=50))
    assert loaded.distribution == {"active": 30, "thread": 14, "stable": 6, "total": 50}


async def test_9_5_active_memories_come_by_recency(session: Session) -> None:
    resonant = await plant(session, phi=5.0, last_accessed=NOON)
    recent = await plant(session, phi=0.0, last_accessed=NOON.replace(hour=13))
    assert [row["id"] for row in await session.connection.fetch(fix5_bootstrap.THAT_RUNS)] == [resonant, recent]
    loaded = await OneQueryBootstrap().load(session, BootstrapRequest(conversation_id="c"))
    assert [memory.id for memory in loaded.active] == [recent, resonant]


# 9.6 CONCURRENTLY inside a transaction; the wrong name; an index that no query can use, and that accesses pay for.


async def before_fix_6(server: Server, name: str) -> str:
    url = await server.create_database(name)
    await migrate(url, to=6)
    return url


async def test_9_6_concurrent_indexes_are_made_outside_a_transaction(server: Server) -> None:
    url = await before_fix_6(server, "point_9_6_concurrently")
    async with session_on(url) as session:
        with pytest.raises(asyncpg.ActiveSQLTransactionError, match="cannot run inside a transaction block"):
            await session.connection.execute(fix6_indexes.MIGRATION)
    await migrate(url)
    await server.drop_database("point_9_6_concurrently")


HNSW_INDEXES = "SELECT count(*) FROM pg_indexes WHERE tablename = 'memories' AND indexdef LIKE '%hnsw%'"


async def test_9_6_the_vector_index_is_there_once(server: Server) -> None:
    url = await before_fix_6(server, "point_9_6_twice")
    async with session_on(url) as session:
        for statement in fix6_indexes.STATEMENTS:
            await session.connection.execute(statement)
        assert await value(session, HNSW_INDEXES) == 2
        await session.connection.execute("DROP INDEX memories_embedding_idx, idx_memories_tier_phi_accessed")
        await migrate(url, to=BATCHED.schema_version)
        assert await value(session, HNSW_INDEXES) == 1
    await server.drop_database("point_9_6_twice")


async def test_9_6_a_query_that_is_to_use_the_vector_index_can(session: Session) -> None:
    """Even where scans and sorts are forbidden, as far as there is another way. The newest schema has another index."""
    await session.connection.execute(next(each.sql for each in all_migrations() if each.title == "embedding_index"))
    await session.connection.execute("SET enable_seqscan = off")
    await session.connection.execute("SET enable_sort = off")
    assert "idx_memories_embedding" not in await plan(session, fix6_indexes.SEARCH, EAST, 0.5, 20)
    assert "idx_memories_embedding" in await plan(session, hnsw.FIND.sql, EAST, [], 0.5, 20, 100)


async def plan(session: Session, sql: str, *arguments: object) -> str:
    return "\n".join(row[0] for row in await session.connection.fetch("EXPLAIN " + sql, *arguments))


async def test_9_6_an_access_does_not_write_the_vector_index_again(server: Server, session: Session) -> None:
    url = await before_fix_6(server, "point_9_6_hot")
    async with session_on(url) as guides:
        await guides.connection.execute(fix6_indexes.STATEMENTS[0])
        planted = [await plant(guides) for _ in range(200)]
        async with guides.transaction():
            await fix3_access_tracking.track(guides, planted[::10], "c")
            assert await hot_updates(guides) == (20, 0)
    await server.drop_database("point_9_6_hot")

    planted = [await plant(session) for _ in range(200)]
    async with session.transaction():
        await BatchedAccessRecords().record(session, Access(planted[::10], "c", NOON))
        assert await hot_updates(session) == (20, 20)


async def hot_updates(session: Session) -> tuple[int, int]:
    """Updated rows of this transaction, and those of them that wrote no index."""
    (row,) = await rows(
        session, "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relname = 'memories'"
    )
    return row["n_tup_upd"], row["n_tup_hot_upd"]


# 9.7 A larger pool by itself moves the queue into the database.


@pytest.mark.parametrize("pool_size", [10, CONNECTIONS])
async def test_9_7_who_does_not_wait_for_the_pool_waits_in_the_database(
    database_url: str, session: Session, pool_size: int
) -> None:
    """Forty clients want what one transaction holds: as many as the pool lets through wait inside PostgreSQL."""
    memory_id = await plant(session, EAST)
    query = Query(query="east")
    async with (
        opened(database_url, replace(NAIVE, pool_size=pool_size), {"east": EAST}) as anima,
        session_on(database_url) as holder,
        asyncio.TaskGroup() as clients,
        holder.transaction(),
    ):
        await holder.connection.execute("SELECT FROM memories WHERE id = $1 FOR UPDATE", memory_id)
        for _ in range(CONNECTIONS):
            clients.create_task(anima.memory.query(query))
        await until(lambda: as_many_wait(session, pool_size))
    assert await value(session, "SELECT access_count FROM memories") == CONNECTIONS


async def test_9_7_what_shortens_the_queue_is_holding_a_connection_for_fewer_round_trips(
    database_url: str, session: Session
) -> None:
    for _ in range(20):
        await plant(session)
    held = {name: await round_trips(database_url, name) for name in ("naive", "only-fix7", "batched")}
    assert held == {"naive": 232, "only-fix7": 232, "batched": 5}


async def round_trips(database_url: str, name: str) -> int:
    seen: list[Executed] = []
    async with opened(database_url, preset(name), {"east": EAST}, observer=seen.append) as anima:
        await anima.memory.query(Query(query="east", conversation_id="c"))
    return len(seen)


# 9.8 Background work that fails is only logged.


@dataclass
class FailingOnce:
    """Records co-occurrences, but fails at first for every second conversation, as a deadlock or a full pool would."""

    failed: set[str] = field(default_factory=set)

    async def record(self, session: Session, co_occurrence: CoOccurrence) -> None:
        conversation_id = co_occurrence.conversation_id
        if int(conversation_id) % 2 and conversation_id not in self.failed:
            self.failed.add(conversation_id)
            raise asyncpg.DeadlockDetectedError("deadlock detected")
        await ASSOCIATIONS["batched"].record(session, co_occurrence)


async def test_9_8_background_work_that_fails_is_done_after_all(database_url: str, session: Session) -> None:
    memory_ids = (await plant(session), await plant(session))
    counted = "SELECT coalesce(sum(co_occurrence_count), 0)::int FROM memory_associations"

    associations = FailingOnce()
    for number in range(20):
        work = associations.record(session, CoOccurrence(memory_ids, str(number), NOON))
        await fix8_fire_and_forget.start_and_forget(work)
    assert await value(session, counted) == 10

    await session.connection.execute("DELETE FROM memory_associations")
    async with open_database(database_url, PoolSettings(5)) as database:
        done_by = handlers(FailingOnce(), NearestConsolidation(), catalysts.StepwiseDetection())
        background = Background(database, done_by, defaultdict(Counts))
        for number in range(20):
            work_accepted = RecordCoOccurrence(memory_ids=memory_ids, conversation_id=str(number), at=NOON)
            async with database.session() as requesting, background.accepting(requesting, LANES):
                await background.accept(requesting, [work_accepted])
        assert await background.drain() == 10
        await session.connection.execute("UPDATE pgqueuer SET execute_after = now() - interval '1 second'")
        assert await background.drain() == 0
    assert await value(session, counted) == 20


# 9.9 Three draws per iteration; a closed loop that hides waiting.


def test_9_9_each_request_is_drawn_once_so_the_mix_is_the_stated_one() -> None:
    drawn = Random(1)
    iterations = [fix9_load_test.iteration(drawn.random) for _ in range(20_000)]
    sizes = Counter(map(len, iterations))
    assert sizes[0] / len(iterations) == pytest.approx(0.8 * 0.4 * 0.8, abs=0.01)
    assert sizes[1] / len(iterations) == pytest.approx(0.512, abs=0.01)

    order = WORKLOADS["mix"](WorkloadSettings(), Draws(1, "mix"))
    shares = Counter(islice(order, 20_000))
    assert {name: count / 20_000 for name, count in shares.items()} == {
        "add": pytest.approx(0.2, abs=0.01),
        "query": pytest.approx(0.6, abs=0.01),
        "bootstrap": pytest.approx(0.2, abs=0.01),
    }


def test_9_9_a_stall_is_paid_for_by_all_who_would_have_come_meanwhile() -> None:
    """Each second somebody comes; for half a minute of five the service stands still."""
    loop = list(fix9_load_test.closed_loop(stalled, 300))
    assert p95([ended_s - started_s for started_s, ended_s in loop]) == pytest.approx(0.01)

    samples = list(on_schedule(300))
    assert p95([sample.service_time_s for sample in samples]) == pytest.approx(0.01)
    assert p95([sample.ended_s - sample.intended_s for sample in samples]) > 10


def stalled(started_s: float) -> float:
    """When a request that starts at a moment is answered."""
    return 60.01 if 30 <= started_s < 60 else started_s + 0.01


def on_schedule(count: int) -> Iterator[Sample]:
    """The same user and service, with the start that was meant beside the one that became possible."""
    ended_s = 0.0
    for second in range(count):
        started_s = max(float(second), ended_s)
        ended_s = stalled(started_s)
        yield Sample(operation="query", round=0, intended_s=second, started_s=started_s, ended_s=ended_s)


def p95(values_s: list[float]) -> float:
    return sorted(values_s)[len(values_s) * 95 // 100]
