"""Performs what several clients do on the tables of one strategy, held or not, and reads what they leave."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncGenerator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from anima.assembly import Anima, EmbeddingChain, connect
from anima.background import ATTEMPTS_MAX, Background
from anima.connections import Row, connected
from anima.database import PoolSettings, Session, Statement, open_database
from anima.errors import AnimaError, DatabaseConflict, DatabaseUnavailable, EmbeddingUnavailable
from anima.model import NewMemory, Query, Tier, content_hash
from anima.rows import COLUMNS, memory_from
from anima.strategy import Strategy
from anima.work import AnyWork, BatchHandler, Handler
from harness.measuring.targets.anima.concurrency.embedder import ScriptedProvider, WitnessedEmbeddings, vector_by
from harness.measuring.targets.anima.concurrency.interleavings import (
    ChangeModel,
    ClientStep,
    FailWork,
    Hold,
    Interleaving,
    ProviderOutage,
    WorkOnce,
)
from harness.measuring.targets.anima.concurrency.outcomes import (
    FinalTables,
    Meeting,
    Performed,
    StoredMemory,
    StoredPair,
    StoredPromotion,
)
from harness.measuring.targets.anima.concurrency.steering import (
    Director,
    Killed,
    SteeredClient,
    SteeredDatabase,
    current_client,
)
from harness.measuring.targets.anima.equivalence.sources import STARTED_AT
from harness.measuring.targets.anima.equivalence.steps import Drain, Load, Wait
from harness.measuring.targets.anima.equivalence.subjects import CLEAR, LAST_FAILURE, LOAD, memories_of

CONNECTIONS: Final = 8
"""More than clients: nobody waits for one."""

PATIENCE_S: Final = 30.0
"""A run that has not ended after this hangs."""

DELETE: Final = """
    DELETE FROM memory_associations; DELETE FROM tier_promotions; DELETE FROM memory_access_log;
    DELETE FROM pgqueuer; DELETE FROM pgqueuer_log; DELETE FROM memories;
"""
DELETE_APART: Final = "DELETE FROM memory_recalls; DELETE FROM memory_keys_due;"
"""For few rows a fraction of what a TRUNCATE takes."""
RUNS_PER_TRUNCATION: Final = 50
"""What is deleted stays in the index for a while, and makes it slower."""

HOLD_MEMORY: Final = Statement("hold", "SELECT FROM memories WHERE content_hash = $1 FOR UPDATE")
HOLD_STATE: Final = Statement(
    "hold", "SELECT FROM memory_states WHERE id IN (SELECT id FROM memories WHERE content_hash = $1) FOR UPDATE"
)
HOLD_PAIR: Final = Statement(
    "hold",
    """
    SELECT FROM memory_associations
    WHERE memory_a_id IN (SELECT id FROM memories WHERE content_hash = ANY($1))
        AND memory_b_id IN (SELECT id FROM memories WHERE content_hash = ANY($1))
    FOR UPDATE
    """,
)
ROUNDS_MAX: Final = 30
"""Each does a piece of each kind of work; a run accepts far fewer."""

SEVER: Final = "SELECT pg_terminate_backend($1, 10000)"
DUE: Final = Statement(
    "stage.due", "UPDATE pgqueuer SET execute_after = now(), status = 'queued' WHERE status IN ('queued', 'picked')"
)
"""As if the time had come for what is to be tried again, and for what a worker that is gone had claimed."""
ANEW: Final = Statement(
    "stage.anew", "UPDATE pgqueuer SET execute_after = now(), status = 'queued', attempts = 0 WHERE status = 'failed'"
)
KEPT: Final = Statement("stage.kept", "SELECT DISTINCT entrypoint FROM pgqueuer ORDER BY entrypoint")
PAIRS: Final = Statement(
    "stage.pairs",
    "SELECT memory_a_id, memory_b_id, co_occurrence_count, strength, conversation_contexts FROM memory_associations",
)
PROMOTIONS_AUDITED: Final = Statement(
    "stage.promotions", "SELECT memory_id, from_tier, to_tier, access_count_at_promotion FROM tier_promotions"
)
LOGGED: Final = Statement("stage.accesses", "SELECT memory_id, accessed_at FROM memory_access_log")
LOST_JOBS: Final = Statement(
    "stage.lost_jobs",
    """
    SELECT DISTINCT l.entrypoint, l.job_id FROM pgqueuer_log AS l
    WHERE l.status = 'queued'
        AND NOT EXISTS (SELECT FROM pgqueuer AS q WHERE q.id = l.job_id)
        AND NOT EXISTS (SELECT FROM pgqueuer_log AS d WHERE d.job_id = l.job_id AND d.status = 'successful')
    ORDER BY l.job_id
    """,
)


class WorkWithoutEnd(Exception):
    """Work is accepted by work as fast as it is done."""


class PlannedFailure(Exception):
    """The work fails because a script says so."""


_operation: ContextVar[Performed | None] = ContextVar("operation", default=None)
"""The add or query that the current task performs."""


@dataclass(frozen=True, slots=True)
class SteeredSubject:
    """A strategy on tables of its own, which are emptied for each run."""

    strategy: Strategy
    anima: Anima
    embeddings: WitnessedEmbeddings
    watching: "asyncpg.Connection[Row]"
    severing: "asyncpg.Connection[Row]"
    failing: set[str]
    """The kinds of work that fail now."""
    runs: Iterator[int] = field(default_factory=itertools.count)
    one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def perform(self, interleaving: Interleaving) -> tuple[Meeting, FinalTables]:
        await self._restart()
        play = Play(self)
        try:
            for step in interleaving.setup:
                await play.set_up(step)
            await play.meet(interleaving)
            return play.outcome, await self.finished()
        except WorkWithoutEnd:
            play.outcome.complaints.append("accepted work is followed by other work without an end")
            return play.outcome, await self.read()

    async def read(self) -> FinalTables:
        async with self.anima.memory.database.session() as session:
            return await read_tables(session, self.strategy)

    async def finished(self) -> FinalTables:
        """Says what is there when all accepted work is done, what failed too."""
        await self.drain()
        async with self.anima.memory.database.session() as session:
            is_any_held = await session.execute(ANEW)
        if is_any_held:
            await self.drain()
        return await self.read()

    async def drain(self) -> None:
        async with self.anima.memory.database.session() as session:
            await session.execute(DUE)
        for _ in range(ROUNDS_MAX):
            worked = [await self.anima.background.run_once(kind) for kind in self.anima.background.handlers]
            worked += [await self.anima.background.do_chore(name) for name in self.anima.background.chores]
            if not any(worked):
                return
        raise WorkWithoutEnd

    async def sever(self, pid: int) -> None:
        """Returns when the server's process is gone, and has undone what it had not committed."""
        async with self.one_at_a_time:
            await self.severing.execute(SEVER, pid)

    async def work_once(self, kind: str) -> None:
        """Nothing where the strategy has no such work."""
        if kind in self.anima.background.handlers:
            await self.anima.background.run_once(kind)
        elif kind in self.anima.background.chores:
            await self.anima.background.do_chore(kind)

    async def _restart(self) -> None:
        self.failing.clear()
        self.embeddings.restart()
        for counts in self.anima.background.counts.values():
            counts.accepted = counts.done = counts.failed_attempts = counts.held = 0
        is_due = next(self.runs) % RUNS_PER_TRUNCATION == 0
        await self.watching.execute(CLEAR.sql if is_due else DELETE)
        if self.strategy.access_records == "apart":
            await self.watching.execute(DELETE_APART)


@dataclass(slots=True)
class Play:
    """One run: gives each operation its time and its id, and notes what becomes of it."""

    stage: SteeredSubject
    outcome: Meeting = field(default_factory=Meeting)
    at: datetime = STARTED_AT
    events: Iterator[int] = field(default_factory=itertools.count)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def set_up(self, step: object) -> None:
        match step:
            case Load():
                await self._load(step)
            case Drain():
                await self.stage.drain()
            case FailWork():
                await self._fail_work(step.kind)
            case ChangeModel():
                self.stage.embeddings.provider.model = step.model
                self.outcome.has_other_models = True
            case _:
                await self._perform(step, self._planned(step))

    async def meet(self, interleaving: Interleaving) -> None:
        """Times and ids follow from the script, not from who came first."""
        is_steered = interleaving.turns is not None
        planned = [
            [
                (step, self._planned(step, moves=not (interleaving.same_time and isinstance(step, NewMemory))))
                for step in each.steps
            ]
            for each in interleaving.clients
        ]
        changed = asyncio.Event()
        clients = [
            SteeredClient(number, each.disruption, changed, self.stage.sever, is_held=is_steered)
            for number, each in enumerate(interleaving.clients)
        ]
        director = Director(clients, interleaving.turns or (), self.stage.watching)
        try:
            async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
                for client, steps in zip(clients, planned, strict=True):
                    group.create_task(self._act(client, steps))
                if is_steered:
                    group.create_task(director.direct())
        except TimeoutError:
            self.outcome.complaints.append(f"they did not come to an end within {PATIENCE_S:g} s")
        self._conclude(clients, director)

    def _conclude(self, clients: Sequence[SteeredClient], director: Director) -> None:
        deadlocks = sorted({name for client in clients for name in client.deadlocks})
        self.outcome.complaints += [f"a deadlock ended {name}" for name in deadlocks]
        self.outcome.complaints += [
            f"memories stayed locked by a query that others waited for, while it had {name} still before it"
            for step, name in sorted(director.impeded)
            if step == "Query" and name.startswith(("queue", "association."))
        ]

    async def _act(self, client: SteeredClient, steps: Sequence[tuple[ClientStep, Performed | None]]) -> None:
        current_client.set(client)
        try:
            for step, planned in steps:
                client.step = type(step).__name__
                await self._perform(step, planned)
        except Killed:
            self.outcome.has_lost_clients = True
        finally:
            client.finish()

    async def _perform(self, step: object, planned: Performed | None) -> None:
        match step:
            case NewMemory() | Query():
                assert planned is not None, "adds and queries are planned"
                await self._ask(step, planned)
            case WorkOnce():
                with suppress(DatabaseUnavailable):
                    await self._without_surprise(step)
            case Hold():
                with suppress(DatabaseUnavailable):
                    await self._hold(step)
            case Wait():
                self.stage.embeddings.provider.now_s += step.seconds
            case ProviderOutage():
                self.stage.embeddings.provider.failing = step.calls
            case _:
                raise TypeError(f"{step!r} is nothing that a client does")

    async def _ask(self, step: NewMemory | Query, planned: Performed) -> None:
        self.outcome.performed.append(planned)
        planned.began = next(self.events)
        token = _operation.set(planned)
        memory = self.stage.anima.memory
        try:
            planned.answer = await (memory.add(step) if isinstance(step, NewMemory) else memory.query(step))
        except EmbeddingUnavailable:
            planned.is_refused = True
        except DatabaseConflict as error:
            self.outcome.complaints.append(f"{type(step).__name__} was given up: {error}")
        except DatabaseUnavailable as error:
            planned.error = error
            return
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is what is looked for
            planned.error = error
            self.outcome.complaints.append(f"{type(step).__name__} raised {type(error).__name__}: {error}")
        finally:
            _operation.reset(token)
        planned.ended = next(self.events)

    async def _without_surprise(self, step: WorkOnce) -> None:
        try:
            await self.stage.work_once(step.kind)
        except (AnimaError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError) as error:
            if not isinstance(error, DatabaseUnavailable):
                self.outcome.complaints.append(f"{step.kind} raised {type(error).__name__}: {error}")
        except asyncpg.PostgresError as error:
            self.outcome.complaints.append(f"{step.kind} raised {type(error).__name__}: {error}")

    async def _hold(self, step: Hold) -> None:
        is_apart = self.stage.strategy.access_records == "apart"
        async with self.stage.anima.memory.database.session() as session, session.transaction():
            if step.pair_with:
                await session.fetch(HOLD_PAIR, [content_hash(step.content), content_hash(step.pair_with)])
            else:
                await session.fetch(HOLD_STATE if is_apart else HOLD_MEMORY, content_hash(step.content))

    async def _load(self, load: Load) -> None:
        loaded = self._planned(NewMemory(content=load.content))
        assert loaded is not None, "an add is planned"
        async with self.stage.anima.memory.database.session() as session:
            await session.execute(
                LOAD,
                loaded.new_id,
                load.content,
                content_hash(load.content),
                vector_by(self.stage.embeddings.model, load.content),
                load.tier,
                load.access_count,
                load.resonance_phi,
                load.is_catalyst,
                loaded.at,
            )
            rows = await session.fetch(read_all(self.stage.strategy))
        self.outcome.loaded[loaded.new_id] = next(memory_from(row) for row in rows if row["id"] == loaded.new_id)

    async def _fail_work(self, kind: str) -> None:
        self.stage.failing.add(kind)
        for _ in range(ATTEMPTS_MAX):
            async with self.stage.anima.memory.database.session() as session:
                await session.execute(DUE)
            with suppress(PlannedFailure):
                await self.stage.work_once(kind)
        self.stage.failing.discard(kind)

    def _planned(self, step: object, *, moves: bool = True) -> Performed | None:
        if not isinstance(step, NewMemory | Query):
            return None
        if moves:
            self.at += timedelta(seconds=1)
        return Performed(step, self.at, _id(next(self.numbers)), -1)


def _id(number: int) -> UUID:
    """Their order is not that in which they are given: it does not tell which is older."""
    return UUID(int=(number * 0x9E3779B97F4A7C15F39CC0605CEDC835) % 2**128)


def _time_of_operation() -> datetime:
    operation = _operation.get()
    return operation.at if operation else STARTED_AT


def _id_of_operation() -> UUID:
    operation = _operation.get()
    assert operation is not None, "only an add takes an id"
    return operation.new_id


def read_all(strategy: Strategy) -> Statement:
    return Statement(
        "stage.memories",
        f"""
        SELECT {COLUMNS}, m.deleted_at IS NULL AS is_live, m.merged_into
        FROM {memories_of(strategy)} JOIN (SELECT id, deleted_at, merged_into FROM memories) AS m USING (id)
        """,  # noqa: S608 -- only the constant column list and the name of a table are put in
    )


async def read_tables(session: Session, strategy: Strategy) -> FinalTables:
    failed = [row["entrypoint"] for row in await session.fetch(KEPT)]
    reason = await session.fetch_row(LAST_FAILURE) if failed else None
    memories = [
        StoredMemory(memory_from(row), row["is_live"], row["merged_into"])
        for row in await session.fetch(read_all(strategy))
    ]
    return FinalTables(
        {stored.memory.id: stored for stored in memories},
        {
            (row["memory_a_id"], row["memory_b_id"]): StoredPair(
                row["co_occurrence_count"], row["strength"], tuple(row["conversation_contexts"])
            )
            for row in await session.fetch(PAIRS)
        },
        Counter(
            StoredPromotion(row[0], Tier(row[1]), Tier(row[2]), row[3])
            for row in await session.fetch(PROMOTIONS_AUDITED)
        ),
        Counter((row["memory_id"], row["accessed_at"]) for row in await session.fetch(LOGGED)),
        [f"{row['entrypoint']} {row['job_id']}" for row in await session.fetch(LOST_JOBS)],
        [f"{kind} fails: {reason['message'] if reason else 'nobody knows why'}" for kind in failed],
    )


@asynccontextmanager
async def open_stage(url: str, strategy: Strategy) -> AsyncGenerator[SteeredSubject]:
    """On a database that is migrated to the strategy's schema version, and belongs to it alone."""
    provider = ScriptedProvider()
    embeddings = WitnessedEmbeddings(provider, cached=strategy.embedding_cache)
    settings = PoolSettings(CONNECTIONS, CONNECTIONS, acquire_timeout_s=PATIENCE_S)
    async with open_database(url, settings) as database, connected(url) as watching, connected(url) as severing:
        steered = SteeredDatabase(database.pool, database.settings, database.observer, database.opener, database.counts)
        anima = connect(
            strategy,
            steered,
            EmbeddingChain(embeddings),
            has_peers=True,
            clock=_time_of_operation,
            new_id=_id_of_operation,
        )
        failing = set[str]()
        yield SteeredSubject(
            strategy,
            replace(anima, background=that_fails(anima.background, failing)),
            embeddings,
            watching,
            severing,
            failing,
        )


def that_fails(background: Background, failing: Collection[str]) -> Background:
    """The same, where the kinds of work that `failing` names at the time fail."""

    def one_by_one(kind: str, handle: Handler) -> Handler:
        async def handle_or_fail(session: Session, work: AnyWork) -> Sequence[AnyWork]:
            if kind in failing:
                raise PlannedFailure
            return await handle(session, work)

        return handle_or_fail

    def several(kind: str, handle: BatchHandler) -> BatchHandler:
        async def handle_or_fail(session: Session, works: Sequence[AnyWork]) -> Sequence[AnyWork]:
            if kind in failing:
                raise PlannedFailure
            return await handle(session, works)

        return handle_or_fail

    return replace(
        background,
        handlers={kind: one_by_one(kind, handle) for kind, handle in background.handlers.items()},
        batch_handlers={kind: several(kind, handle) for kind, handle in background.batch_handlers.items()},
    )
