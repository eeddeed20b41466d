"""Work that is accepted with a request and done after its response: a bounded `run_once` and a thin loop.

The queue is pgqueuer's. A piece of work is claimed, done and completed in one transaction, so it takes effect exactly
once: a worker that dies leaves the work queued and the tables untouched.
"""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from uuid import uuid4

import asyncpg
from pgqueuer.models import Job, TracebackRecord
from pgqueuer.ports.repository import EntrypointExecutionParameter
from pgqueuer.types import QueueEntrypoint, QueueManagerId

from anima.chores import Chore
from anima.database import Database, Session
from anima.errors import DatabaseUnavailable
from anima.work import AT_ONCE_MAX, LANES, POOL_SHARE_MAX, WORK, AnyWork, BatchHandler, Handler, current_kind
from anima.work_queue import FIRST_IN_LINE, LANE_LEVELS, PRUNE, queue_of

RETRY_DELAY: Final = timedelta(seconds=1)
ATTEMPTS_MAX: Final = 10
"""Retries back off to about 9 minutes in all; then the work is held as `failed`, with its traceback, never dropped."""

CLAIM_LASTS: Final = timedelta(minutes=10)
POLL_S: Final = 1.0
WAKE_DELAY_S: Final = 0.005
"""The request that accepted the work is answered first: both share the process."""

PRUNE_INTERVAL_S: Final = 600.0
PRUNE_BATCH: Final = 10_000
LOG_KEPT: Final = timedelta(days=7)
DRAIN_POLL_S: Final = 0.01


_accepted: ContextVar[Counter[str] | None] = ContextVar("accepted", default=None)
"""What the current task has accepted in a transaction that has not been committed, by kind."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Counts:
    """Holds what this process has accepted and done since it was opened; held is what failed too often."""

    accepted: int = 0
    done: int = 0
    failed_attempts: int = 0
    held: int = 0


@dataclass(frozen=True, slots=True)
class Lane:
    """The work of one kind: how much is accepted and not done, how much is held after it failed too often."""

    kind: str
    queued: int
    held: int
    oldest_age_s: float


@dataclass(slots=True)
class Outage:
    """Says whether it has been said that the database is away: each worker would say the same, each second."""

    is_logged: bool = False


@dataclass(frozen=True, slots=True)
class Background:
    """Accepts work in a caller's session, and does it through `handlers`, one handler per kind.

    With `has_peers`, other processes work on the same database; a lane of one worker then has one among all of them.
    """

    database: Database
    """The pool, in whose sessions work is claimed and done."""
    handlers: Mapping[str, Handler]
    """What does a piece of work, by its kind."""
    counts: Mapping[str, Counts]
    """What was accepted and done, by kind."""
    has_peers: bool = False
    """Whether other processes work on the same database."""
    worker_id: QueueManagerId = field(default_factory=lambda: QueueManagerId(uuid4()))
    """What claims in the queue are made under."""
    waking: Mapping[str, set[asyncio.Event]] = field(default_factory=lambda: defaultdict[str, set[asyncio.Event]](set))
    """What wakes each worker, by kind."""
    waiting: Mapping[str, set[asyncio.Event]] = field(default_factory=lambda: defaultdict[str, set[asyncio.Event]](set))
    """Of these, the workers that have found nothing to do."""
    batch_handlers: Mapping[str, BatchHandler] = field(default_factory=dict[str, BatchHandler])
    """What does several pieces at once, for the kinds that allow it."""
    chores: Mapping[str, Chore] = field(default_factory=dict[str, Chore])
    """Work that needs no acceptance, by its name."""
    poll_s: float = POLL_S
    """After how long a worker whom nobody wakes looks for work again."""
    room: AbstractAsyncContextManager[object] = field(default_factory=nullcontext)
    """What a worker needs to take work: where several of these share a pool, some of it is left for requests."""

    @asynccontextmanager
    async def accepting(self, session: Session, kinds: Iterable[str]) -> AsyncGenerator[None]:
        """A transaction that may accept work of these kinds. Their workers are woken when they can see it."""
        accepted = Counter[str]()
        token = _accepted.set(accepted)
        try:
            async with session.transaction():
                yield
        finally:
            _accepted.reset(token)
        for kind, works in accepted.items():
            self.counts[kind].accepted += works
        self._wake(kinds)

    def note_accepted(self, kinds: Iterable[str]) -> None:
        """Counts a piece of work of each kind that a statement has accepted by itself, and wakes who does it."""
        for kind in kinds:
            self.counts[kind].accepted += 1
        self._wake(kinds)

    def _wake(self, kinds: Iterable[str]) -> None:
        loop = asyncio.get_running_loop()
        for kind in kinds:
            loop.call_later(WAKE_DELAY_S, self._wake_one, kind)

    def _wake_one(self, kind: str) -> None:
        """One that waits; where all are at work, whoever is the first to end looks again."""
        if self.waiting[kind]:
            self.waiting[kind].pop().set()
        else:
            for worker in self.waking[kind]:
                worker.set()

    async def accept(self, session: Session, works: Iterable[AnyWork]) -> None:
        """Queues the work in the session's transaction: it exists if and only if that commits."""
        kinds, payloads = zip(*((work.kind, work.model_dump_json().encode()) for work in works), strict=True)
        await queue_of(session).enqueue(list(kinds), list(payloads), [0] * len(kinds))
        accepted = _accepted.get()
        if accepted is not None:
            accepted.update(kinds)

    @property
    def backlog(self) -> int:
        """Says how much of what this process has accepted is neither done nor held, without asking the database.

        With peers it says little by itself: what one accepts, another may do.
        """
        return max(sum(each.accepted - each.done - each.held for each in self.counts.values()), 0)

    async def run_once(self, kind: str) -> bool:
        """Does the oldest due work of this kind, if there is any; says whether there was.

        Where a handler takes several pieces, these are the oldest few. Work whose handler fails is rolled back and
        queued again, later each time; of several, each is then done by itself to see which it was.
        """
        return await self._work_once(kind) > 0

    async def _leaves_some(self, kind: str) -> bool:
        """Does what `run_once` does; says whether there may be more, as where it took all that it can take."""
        return await self._work_once(kind) >= self._at_once(kind)

    def _at_once(self, kind: str) -> int:
        return AT_ONCE_MAX if kind in self.batch_handlers else 1

    async def _work_once(self, kind: str) -> int:
        async with self.database.session() as session:
            claimed = await self._attempt(session, kind, self._at_once(kind))
            if claimed is None:
                for _ in range(AT_ONCE_MAX):
                    await self._attempt(session, kind, 1)
                return AT_ONCE_MAX
            return claimed

    async def _attempt(self, session: Session, kind: str, count_max: int) -> int | None:
        """How many pieces were claimed, and done or put off by one that failed; None when several failed together."""
        jobs: list[Job] = []
        try:
            async with self.accepting(session, ()):
                if await self._is_first_in_line(session, kind):
                    jobs = await self._claim(session, kind, count_max)
                if jobs:
                    await self._handle(session, jobs)
        except Exception as error:
            match jobs:
                case []:
                    raise
                case [job]:
                    await self._postpone(session, job, error)
                case _:
                    return None
        return len(jobs)

    async def do_chore(self, name: str) -> bool:
        """Does a batch; says whether there was any."""
        token = current_kind.set(name)
        try:
            async with self.database.session() as session:
                done = await self.chores[name].do(session)
        except asyncpg.PostgresError:
            self.counts[name].failed_attempts += 1
            raise
        finally:
            current_kind.reset(token)
        self.counts[name].done += done
        return done > 0

    async def drain(self) -> int:
        """Returns when no work is due, here or in another worker: how many pieces have failed and are still kept."""
        while await self._due():
            worked = [await self.run_once(kind) for kind in LANES] + [await self.do_chore(name) for name in self.chores]
            if not any(worked):
                await asyncio.sleep(DRAIN_POLL_S)
        async with self.database.session() as session:
            return sum(row.count for row in await queue_of(session).queue_size())

    async def lanes(self) -> tuple[Lane, ...]:
        """Says how much work of each kind there is now, whichever process accepted it."""
        async with self.database.session() as session:
            lanes = [Lane(**row) for row in await session.fetch(LANE_LEVELS, list(self.handlers))]
            lanes += [Lane(name, await chore.left(session), 0, 0.0) for name, chore in self.chores.items()]
            return tuple(lanes)

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set, and ends after the work in hand."""
        outage = Outage()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._prune(stop))
            share = max(1, self.database.settings.size // POOL_SHARE_MAX)
            for kind, workers in LANES.items():
                for _ in range(min(workers, share)):
                    group.create_task(self._work(kind, self._leaves_some, stop, outage))
            for name in self.chores:
                group.create_task(self._work(name, self.do_chore, stop, outage))

    async def prune_once(self) -> int:
        """Forgets a batch of the work that was done long ago; returns how much. What failed is kept."""
        async with self.database.session() as session:
            return await session.execute(PRUNE, LOG_KEPT, PRUNE_BATCH)

    async def _prune(self, stop: asyncio.Event) -> None:
        while not await is_set_within(stop, PRUNE_INTERVAL_S):
            with suppress(DatabaseUnavailable, asyncpg.PostgresError):
                while await self.prune_once() == PRUNE_BATCH:
                    pass

    async def _work(self, kind: str, do: Callable[[str], Awaitable[bool]], stop: asyncio.Event, outage: Outage) -> None:
        """A database that is away, or takes nothing more, is waited for: the work is safe in it."""
        woken = asyncio.Event()
        self.waking[kind].add(woken)
        while not stop.is_set():
            woken.clear()
            try:
                async with self.room:
                    is_more = await do(kind)
                outage.is_logged = False
                if is_more:
                    continue
            except (DatabaseUnavailable, asyncpg.PostgresError) as error:
                if not outage.is_logged:
                    logger.warning("background work waits: %s", error)
                outage.is_logged = True
            self.waiting[kind].add(woken)
            await wait_for_either(woken, stop, self.poll_s)
            self.waiting[kind].discard(woken)
        self.waking[kind].discard(woken)

    async def _due(self) -> int:
        async with self.database.session() as session:
            left = [await chore.left(session) for chore in self.chores.values()]
            return sum(left) + await queue_of(session).eligible_queued_work(list(map(QueueEntrypoint, self.handlers)))

    async def _is_first_in_line(self, session: Session, kind: str) -> bool:
        """Until the transaction ends, no other process takes work of this kind, if its order matters."""
        if not self.has_peers or LANES[kind] > 1:
            return True
        row = await session.fetch_row(FIRST_IN_LINE, kind)
        return row is not None and bool(row[0])

    async def _claim(self, session: Session, kind: str, count_max: int) -> list[Job]:
        unlimited = EntrypointExecutionParameter(concurrency_limit=0)
        jobs = await queue_of(session).dequeue(
            batch_size=count_max,
            entrypoints={QueueEntrypoint(kind): unlimited},
            queue_manager_id=self.worker_id,
            global_concurrency_limit=None,
            heartbeat_timeout=CLAIM_LASTS,
        )
        return sorted(jobs, key=lambda job: job.id)

    async def _handle(self, session: Session, jobs: list[Job]) -> None:
        """Jobs of one kind."""
        kind = jobs[0].entrypoint
        token = current_kind.set(kind)
        try:
            if follows := await self._follows(session, kind, [_work_of(job) for job in jobs]):
                await self.accept(session, follows)
            await queue_of(session).log_jobs([(job, "successful", None) for job in jobs])
        finally:
            current_kind.reset(token)
        self.counts[kind].done += len(jobs)

    async def _follows(self, session: Session, kind: str, works: Sequence[AnyWork]) -> Sequence[AnyWork]:
        match works:
            case [work]:
                return await self.handlers[kind](session, work)
            case _:
                return await self.batch_handlers[kind](session, works)

    async def _postpone(self, session: Session, job: Job, error: Exception) -> None:
        self.counts[job.entrypoint].failed_attempts += 1
        logger.warning("%s %s failed, attempt %d: %s", job.entrypoint, job.id, job.attempts + 1, error)
        trace = TracebackRecord.from_exception(exc=error, job_id=job.id)
        if job.attempts + 1 >= ATTEMPTS_MAX:
            await queue_of(session).log_jobs([(job, "failed", trace)])
            self.counts[job.entrypoint].held += 1
        else:
            await queue_of(session).retry_job(job, RETRY_DELAY * 2**job.attempts, trace)


def _work_of(job: Job) -> AnyWork:
    assert job.payload is not None, "accept always writes a payload"
    return WORK.validate_json(job.payload)


async def wait_for_either(first: asyncio.Event, second: asyncio.Event, timeout_s: float) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in (first, second)]
    try:
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def is_set_within(event: asyncio.Event, timeout_s: float) -> bool:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), timeout_s)
    return event.is_set()
