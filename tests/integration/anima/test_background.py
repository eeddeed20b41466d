"""Background work is accepted with its request, survives its process, is retried when it fails, and is never lost."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from uuid import UUID, uuid4

import asyncpg
import pytest

from anima.background import ATTEMPTS_MAX, Background, Counts
from anima.database import Executed, PoolSettings, Session, open_database
from anima.errors import DatabaseUnavailable, InvalidInput
from anima.model import NewMemory, Query
from anima.strategy import BATCHED
from anima.work import AT_ONCE_MAX, LANES, AnyWork, Consolidate, DetectCatalyst, RecordCoOccurrence
from anima.work_queue import FIRST_IN_LINE, queue_of
from tests.memories import EAST, NOON, leaning, opened, plant, rows, tables, value
from tests.waiting import until

KINDS = list(LANES)
MAKE_DUE = "UPDATE pgqueuer SET execute_after = now() - interval '1 second'"


def detection(memory_id: UUID | None = None) -> AnyWork:
    return DetectCatalyst(memory_id=memory_id or uuid4(), at=NOON)


def co_occurrence() -> AnyWork:
    return RecordCoOccurrence(memory_ids=(uuid4(), uuid4()), conversation_id="c", at=NOON)


@dataclass
class Recorder:
    """A handler that remembers what it was given, fails while it is told to, and can be held in the middle."""

    works: list[AnyWork] = field(default_factory=list)
    failing: bool = False
    may_end: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.may_end.set()

    async def __call__(self, session: Session, work: AnyWork) -> Sequence[AnyWork]:
        self.begun.set()
        await plant(session, content=f"an effect of {work.kind} {uuid4()}")
        await self.may_end.wait()
        if self.failing:
            raise ValueError("no luck")
        self.works.append(work)
        return ()


@asynccontextmanager
async def background(url: str, handler: Recorder) -> AsyncGenerator[Background]:
    async with open_database(url, PoolSettings(10, acquire_timeout_s=60)) as database:
        yield Background(database, dict.fromkeys(KINDS, handler), defaultdict(Counts))


async def accept(background: Background, *works: AnyWork) -> None:
    async with background.database.session() as session, background.accepting(session, KINDS):
        await background.accept(session, works)


async def fail_after_accepting(background: Background) -> None:
    async with background.database.session() as session, background.accepting(session, KINDS):
        await background.accept(session, [detection(), co_occurrence()])
        raise InvalidInput("refused")


async def test_work_is_accepted_if_and_only_if_its_transaction_commits(database_url: str, session: Session) -> None:
    async with background(database_url, Recorder()) as worker:
        with pytest.raises(InvalidInput):
            await fail_after_accepting(worker)
        assert ((await tables(session))["queue"], worker.backlog) == ([], 0)
        await accept(worker, detection(), co_occurrence())
        assert (len((await tables(session))["queue"]), worker.backlog) == (2, 2)
        assert await worker.run_once("co_occurrence")
        assert worker.backlog == 1


async def test_no_request_waits_for_the_look_up_of_a_type(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def look_up(*_arguments: object) -> None:
        raise AssertionError("a type was looked up while a request waited")

    async with open_database(database_url, PoolSettings(1, size_min=1)) as database:
        monkeypatch.setattr(asyncpg.Connection, "_introspect_types", look_up)
        worker = Background(database, dict.fromkeys(KINDS, Recorder()), defaultdict(Counts))
        await accept(worker, detection(), co_occurrence())


async def test_each_operation_accepts_what_follows_from_it(database_url: str, session: Session) -> None:
    await plant(session, EAST)
    await plant(session, leaning(0.9))
    async with opened(database_url, BATCHED, {"east": EAST}) as anima:
        await anima.memory.add(NewMemory(content="a day"))
        await anima.memory.add(NewMemory(content="a turning point", is_catalyst=True))
        await anima.memory.query(Query(query="east", conversation_id="c"))
    queued = await rows(session, "SELECT entrypoint FROM pgqueuer ORDER BY id")
    assert [row["entrypoint"] for row in queued] == [
        "consolidation",
        "catalyst_detection",
        "consolidation",
        "co_occurrence",
    ]


async def test_work_survives_the_process_that_accepted_it(database_url: str, session: Session) -> None:
    works = [detection(), co_occurrence()]
    async with background(database_url, Recorder()) as accepting:
        await accept(accepting, *works)
    handler = Recorder()
    async with background(database_url, handler) as another:
        assert await another.drain() == 0
    assert sorted(handler.works, key=repr) == sorted(works, key=repr)
    assert (await tables(session))["queue"] == []


async def test_work_of_a_kind_is_done_in_the_order_of_acceptance(database_url: str) -> None:
    handler = Recorder()
    works: list[AnyWork] = [
        work for _ in range(5) for work in (Consolidate(memory_id=uuid4(), at=NOON), detection(), detection())
    ]
    async with background(database_url, handler) as worker:
        for work in works:
            await accept(worker, work)
        await worker.drain()
    for kind in ("consolidation", "catalyst_detection"):
        assert [work for work in handler.works if work.kind == kind] == [work for work in works if work.kind == kind]


async def test_draining_waits_for_work_in_another_workers_hands(database_url: str) -> None:
    held, idle = Recorder(), Recorder()
    held.may_end.clear()
    async with background(database_url, held) as busy, background(database_url, idle) as waiting:
        await accept(busy, co_occurrence())
        in_hand = asyncio.create_task(busy.run_once("co_occurrence"))
        await held.begun.wait()
        assert not await waiting.run_once("co_occurrence")
        draining = asyncio.create_task(waiting.drain())
        await asyncio.wait([draining], timeout=0.1)
        assert not draining.done()
        held.may_end.set()
        assert await draining == 0
        assert await in_hand
    assert (len(held.works), idle.works) == (1, [])


async def test_failed_work_is_undone_and_comes_again_later_each_time(database_url: str, session: Session) -> None:
    handler = Recorder(failing=True)
    waits: list[float] = []
    async with background(database_url, handler) as worker:
        await accept(worker, detection())
        for attempt in range(1, ATTEMPTS_MAX):
            assert await worker.drain() == 1
            (queued,) = await rows(
                session, "SELECT status, attempts, extract(epoch FROM execute_after - updated) AS wait_s FROM pgqueuer"
            )
            assert (queued["status"], queued["attempts"]) == ("queued", attempt)
            waits.append(float(queued["wait_s"]))
            await session.connection.execute(MAKE_DUE)
        handler.failing = False
        assert await worker.drain() == 0
        assert (worker.counts["catalyst_detection"].done, worker.counts["catalyst_detection"].failed_attempts) == (
            1,
            ATTEMPTS_MAX - 1,
        )
    assert waits == [2**attempt for attempt in range(ATTEMPTS_MAX - 1)]
    assert len(handler.works) == 1
    assert await value(session, "SELECT count(*) FROM memories") == 1


async def test_work_that_always_fails_is_held_with_its_traceback_and_can_be_done_after_all(
    database_url: str, session: Session
) -> None:
    handler = Recorder(failing=True)
    async with background(database_url, handler) as worker:
        await accept(worker, detection())
        for _ in range(ATTEMPTS_MAX):
            await worker.drain()
            await session.connection.execute(MAKE_DUE)
        assert not await worker.run_once("catalyst_detection")
        assert await worker.drain() == 1
        (held,) = await queue_of(session).list_failed_jobs()
        log = await rows(session, "SELECT status, traceback FROM pgqueuer_log WHERE job_id = $1 ORDER BY id", held.id)
        assert log[-1]["status"] == "failed"
        assert "no luck" in log[-1]["traceback"]
        handler.failing = False
        await queue_of(session).requeue_jobs([held.id])
        assert await worker.drain() == 0
    assert len(handler.works) == 1


@dataclass
class InBatches:
    """Writes a row for each memory; fails for one of them, after it has written all."""

    bad: UUID | None = None
    sizes: list[int] = field(default_factory=list)

    async def __call__(self, session: Session, works: Sequence[AnyWork]) -> Sequence[AnyWork]:
        self.sizes.append(len(works))
        memory_ids = [work.memory_id for work in works if isinstance(work, Consolidate)]
        for memory_id in memory_ids:
            await plant(session, memory_id=memory_id)
        if self.bad in memory_ids:
            raise ValueError("no luck")
        return ()

    async def one(self, session: Session, work: AnyWork) -> Sequence[AnyWork]:
        return await self(session, [work])


@asynccontextmanager
async def in_batches(url: str, handler: InBatches) -> AsyncGenerator[Background]:
    async with open_database(url, PoolSettings(10, acquire_timeout_s=60)) as database:
        yield Background(
            database,
            dict.fromkeys(KINDS, handler.one),
            defaultdict(Counts),
            batch_handlers={"consolidation": handler},
        )


def consolidations(count: int) -> list[Consolidate]:
    return [Consolidate(memory_id=UUID(int=number + 1), at=NOON) for number in range(count)]


async def test_of_one_kind_a_few_are_done_at_once_in_their_order(database_url: str, session: Session) -> None:
    handler = InBatches()
    async with in_batches(database_url, handler) as worker:
        await accept(worker, *consolidations(AT_ONCE_MAX + 3))
        assert await worker.run_once("consolidation")
        assert worker.backlog == 3
        assert [row["id"].int for row in await rows(session, "SELECT id FROM memories ORDER BY id")] == [
            *range(1, AT_ONCE_MAX + 1)
        ]
        assert await worker.run_once("consolidation")
        assert not await worker.run_once("consolidation")
        assert (worker.backlog, (await tables(session))["queue"]) == (0, [])
    assert handler.sizes == [AT_ONCE_MAX, 3]


async def test_of_several_the_one_that_fails_is_put_off_and_each_other_is_done_once(
    database_url: str, session: Session
) -> None:
    works = consolidations(AT_ONCE_MAX)
    handler = InBatches(bad=works[2].memory_id)
    async with in_batches(database_url, handler) as worker:
        await accept(worker, *works)
        assert await worker.run_once("consolidation")
        assert worker.counts["consolidation"].failed_attempts == 1
        assert worker.counts["consolidation"].done == AT_ONCE_MAX - 1
        assert await worker.drain() == 1
    done = {row["id"] for row in await rows(session, "SELECT id FROM memories")}
    assert done == {work.memory_id for work in works} - {handler.bad}
    assert await rows(session, "SELECT attempts FROM pgqueuer") == [{"attempts": 1}]


async def test_what_follows_from_work_is_accepted_with_its_end(database_url: str, session: Session) -> None:
    async def handle(session: Session, work: AnyWork) -> Sequence[AnyWork]:
        await plant(session)
        return [co_occurrence()] if isinstance(work, DetectCatalyst) else ()

    async with open_database(database_url, PoolSettings(2)) as database:
        worker = Background(database, dict.fromkeys(KINDS, handle), defaultdict(Counts))
        await accept(worker, detection())
        assert await worker.run_once("catalyst_detection")
        assert worker.backlog == 1
        assert await worker.drain() == 0
        assert worker.backlog == 0
    assert await value(session, "SELECT count(*) FROM memories") == 2


async def test_workers_leave_connections_of_a_small_pool_to_requests(database_url: str) -> None:
    at_work, most = 0, 0
    stop, may_end = asyncio.Event(), asyncio.Event()

    async def handle(_session: Session, _work: AnyWork) -> Sequence[AnyWork]:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        if at_work == 5:
            may_end.set()
        await may_end.wait()
        return ()

    async with open_database(database_url, PoolSettings(8, acquire_timeout_s=60)) as database:
        worker = Background(database, dict.fromkeys(KINDS, handle), defaultdict(Counts))
        await accept(worker, *(co_occurrence() for _ in range(9)), *(detection() for _ in range(9)), *consolidations(9))
        running = asyncio.create_task(worker.run(stop))
        await may_end.wait()
        assert most == 5
        stop.set()
        await running


async def test_failing_work_does_not_hold_up_what_comes_after_it(database_url: str) -> None:
    done: list[UUID] = []
    bad, good = uuid4(), uuid4()

    async def handle(_session: Session, work: AnyWork) -> Sequence[AnyWork]:
        assert isinstance(work, DetectCatalyst)
        if work.memory_id == bad:
            raise ValueError("no luck")
        done.append(work.memory_id)
        return ()

    async with open_database(database_url, PoolSettings(2)) as database:
        worker = Background(database, dict.fromkeys(KINDS, handle), defaultdict(Counts))
        await accept(worker, detection(bad), detection(good))
        assert await worker.drain() == 1
    assert done == [good]


async def test_a_payload_that_nobody_understands_is_kept(database_url: str, session: Session) -> None:
    async with background(database_url, Recorder()) as worker:
        await queue_of(session).enqueue("co_occurrence", b'{"kind": "from a later version"}')
        assert await worker.drain() == 1
    assert await value(session, "SELECT attempts FROM pgqueuer") == 1


@pytest.mark.parametrize("count", [1, 40])
async def test_the_loop_does_what_is_accepted_and_ends_when_told(database_url: str, count: int) -> None:
    handler, stop = Recorder(), asyncio.Event()
    async with background(database_url, handler) as worker:
        running = asyncio.create_task(worker.run(stop))
        for _ in range(count):
            await accept(worker, co_occurrence(), detection())

        async def all_done() -> bool:
            return len(handler.works) == 2 * count

        await until(all_done)
        stop.set()
        await running


async def test_idle_workers_are_woken_by_what_is_accepted(
    database_url: str, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By polling alone, each of these would be done an hour later."""
    monkeypatch.setattr("anima.background.POLL_S", 3600.0)
    await plant(session, EAST)
    await plant(session, leaning(0.9))
    stop = asyncio.Event()
    async with opened(database_url, BATCHED, {"east": EAST}) as anima:
        running = asyncio.create_task(anima.background.run(stop))
        for number in range(5):
            await anima.memory.add(NewMemory(content=f"day {number}"))
            await anima.memory.query(Query(query="east", conversation_id="c"))
            await until(lambda: nothing_is_queued(session))
        stop.set()
        await running


async def nothing_is_queued(session: Session) -> bool:
    return not (await tables(session))["queue"]


async def test_told_to_end_the_loop_first_finishes_the_work_in_hand(database_url: str) -> None:
    handler, stop = Recorder(), asyncio.Event()
    handler.may_end.clear()
    async with background(database_url, handler) as worker:
        await accept(worker, co_occurrence())
        running = asyncio.create_task(worker.run(stop))
        await handler.begun.wait()
        stop.set()
        handler.may_end.set()
        await running
    assert len(handler.works) == 1


async def test_the_loop_outlives_a_database_that_is_away(
    database_url: str, session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    handler, stop = Recorder(), asyncio.Event()
    failures = 0

    def cut_the_first_five(executed: Executed) -> None:
        nonlocal failures
        if executed.name == "begin" and failures < 5:
            failures += 1
            raise ConnectionResetError("the cable was pulled")

    async with open_database(database_url, PoolSettings(10), cut_the_first_five) as database:
        worker = Background(database, dict.fromkeys(KINDS, handler), defaultdict(Counts))
        await Background.accept(worker, session, [co_occurrence()])
        running = asyncio.create_task(worker.run(stop))
        await until_done(handler)
        stop.set()
        await running
    assert "background work waits" in caplog.text


async def until_done(handler: Recorder) -> None:
    async def done() -> bool:
        return bool(handler.works)

    await until(done)


async def test_a_database_that_is_away_is_told_to_who_asks_for_one_piece(database_url: str) -> None:
    handler = Recorder()

    def cut(_executed: Executed) -> None:
        raise ConnectionResetError("the cable was pulled")

    async with open_database(database_url, PoolSettings(1), cut) as database:
        worker = Background(database, dict.fromkeys(KINDS, handler), defaultdict(Counts))
        with pytest.raises(DatabaseUnavailable, match="cable"):
            await worker.run_once("catalyst_detection")


async def test_the_queue_ignores_the_environment_of_other_programs(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pgqueuer reads variables with names as plain as CHANNEL; anima's settings come from its own."""
    from pgqueuer.domain.settings import db_settings  # noqa: PLC0415 -- the cache that a fresh process would not have

    for variable, text in (("CHANNEL", "#general"), ("QUEUE_TABLE", "jobs"), ("PGQUEUER_PREFIX", "theirs_")):
        monkeypatch.setenv(variable, text)
    db_settings.cache_clear()
    try:
        handler = Recorder()
        async with background(database_url, handler) as worker:
            await accept(worker, co_occurrence())
            assert await worker.drain() == 0
        assert len(handler.works) == 1
    finally:
        monkeypatch.undo()
        db_settings.cache_clear()


async def test_the_log_of_what_was_done_long_ago_is_forgotten_in_batches_and_what_failed_is_kept(
    database_url: str, session: Session
) -> None:
    await session.connection.execute(
        "INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, created)"
        " SELECT n, s::pgqueuer_status, 0, 'consolidation', now() - age"
        " FROM generate_series(1, 3) AS n, unnest(ARRAY['successful', 'failed']) AS s,"
        " unnest(ARRAY[interval '6 days', interval '8 days']) AS age"
    )
    async with background(database_url, Recorder()) as ours:
        assert await ours.prune_once() == 3
        assert await ours.prune_once() == 0
    kept = "SELECT count(*) FROM pgqueuer_log WHERE status = 'failed' OR created > now() - interval '7 days'"
    assert await value(session, kept) == 9
    assert await value(session, "SELECT count(*) FROM pgqueuer_log") == 9


async def test_no_change_of_the_queue_notifies_since_that_would_serialise_commits(session: Session) -> None:
    triggers = "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'pgqueuer'::regclass AND NOT tgisinternal"
    assert await value(session, triggers) == 0


async def test_of_several_processes_one_at_a_time_consolidates(database_url: str) -> None:
    handler = Recorder()
    async with background(database_url, handler) as alone:
        theirs = replace(alone, has_peers=True)
        await accept(theirs, Consolidate(memory_id=uuid4(), at=NOON))
        async with alone.database.session() as session, session.transaction():
            await session.fetch(FIRST_IN_LINE, "consolidation")
            assert not await theirs.run_once("consolidation")
        assert await theirs.run_once("consolidation")
    assert len(handler.works) == 1
