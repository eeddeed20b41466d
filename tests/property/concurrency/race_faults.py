"""Faults that one client alone never meets, each of a kind that somebody has made. The suite must find them all."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import pytest

from anima.access_records.protocol import Access
from anima.associations.protocol import CoOccurrence
from anima.background import Background
from anima.consolidations.protocol import Candidate
from anima.database import RETRIED, Database, Effects, Result, Session, Statement
from anima.embeddings.cache import CachedEmbeddings
from anima.embeddings.protocol import Vector
from anima.model import Memory, NewMemory, Query, Tier, content_hash
from anima.recalls.protocol import Recalled
from anima.recalls.stepwise import StepwiseRecall, promoted
from anima.rows import COLUMNS, memory_from
from harness.measuring.targets.anima.concurrency.interleavings import (
    ChangeModel,
    Client,
    ClientStep,
    ConnectionLoss,
    Drain,
    FailWork,
    Hold,
    Interleaving,
    Load,
    ProviderOutage,
    SetupStep,
    Wait,
    WorkOnce,
)
from tests.property.equivalence.faults import ACCESS_RECORDS, ASSOCIATIONS, CONSOLIDATIONS, Fault, Plant, rewritten

MERGES: Final = "anima.merges"

A, NEAR, APART, OTHER = "1", "99 0 0 14 1 1 1", "7 0 0 7 1 1", "0 1"
"""`NEAR` is at a similarity of 0.99 to `A`, `APART` of 0.7, `OTHER` of 0."""

NEAR_TO_A, NEAR_TO_THAT = "20 0 0 6", "20 0 0 13"
"""The second is near to the first, and not to `A`."""

MARKED = "1 | an Insight"
CONSOLIDATE, ASSOCIATE = WorkOnce(kind="consolidation"), WorkOnce(kind="co_occurrence")
KILLED, LOST = ConnectionLoss(loss="killed"), ConnectionLoss(loss="lost_after")


def ask(text: str, conversation_id: str | None = None, **asked: Any) -> Query:
    return Query(query=text, similarity_threshold=0.0, conversation_id=conversation_id, **asked)


def add(content: str) -> NewMemory:
    return NewMemory(content=content)


def met(
    setup: Sequence[SetupStep], *clients: Client | Sequence[ClientStep], turns: Sequence[int] = (), **given: Any
) -> Interleaving:
    return Interleaving(
        setup=tuple(setup),
        clients=tuple(each if isinstance(each, Client) else Client(steps=tuple(each)) for each in clients),
        turns=tuple(turns),
        **given,
    )


@dataclass(frozen=True)
class RaceFault(Fault):
    """`stated` shows it at once; `strategy` is one that has what the fault is in."""

    stated: Interleaving
    strategy: str = "batched"


def patched(target: str, wrong: object) -> Plant:
    return lambda monkeypatch: monkeypatch.setattr(target, wrong)


def several(*plants: Plant) -> Plant:
    def plant(monkeypatch: pytest.MonkeyPatch) -> None:
        for each in plants:
            each(monkeypatch)

    return plant


COUNT: Final = Statement(
    "fault.count",
    "UPDATE memories SET access_count = access_count + 1, last_accessed = $2 "
    f"WHERE content_hash = $1 AND deleted_at IS NULL RETURNING {COLUMNS}",
)
INSERT: Final = Statement(
    "fault.insert",
    "INSERT INTO memories (id, content, content_hash, embedding, tier, last_accessed, created_at) "
    f"VALUES ($1, $2, $3, $4, '{Tier.ACTIVE}', $5, $5) RETURNING {COLUMNS}",
)


async def insert_unless_counted(session: Session, new: NewMemory, candidate: Candidate) -> tuple[Memory, bool]:
    hashed = content_hash(new.content)
    if counted := await session.fetch_row(COUNT, hashed, candidate.created_at):
        return memory_from(counted), False
    row = await session.fetch_row(INSERT, candidate.id, new.content, hashed, candidate.embedding, candidate.created_at)
    assert row is not None
    return memory_from(row), True


async def association_after_access(
    self: StepwiseRecall, session: Session, query: Query, embedding: Vector, at: Any
) -> Recalled:
    found = await self.steps.search.find(session, query, embedding)
    ids = [result.memory.id for result in found]
    async with self.steps.after_query.boundary(session):
        promotions = await self.steps.access_records.record(session, Access(ids, query.conversation_id, at))
        if query.conversation_id is not None and len(ids) > 1:
            await self.steps.after_query.associate(session, CoOccurrence(ids, query.conversation_id, at))
    return Recalled(promoted(found, promotions), promotions, is_proven=True)


async def access_outside_the_transaction(
    self: StepwiseRecall, session: Session, query: Query, embedding: Vector, at: Any
) -> Recalled:
    found = await self.steps.search.find(session, query, embedding)
    ids = [result.memory.id for result in found]
    promotions = await self.steps.access_records.record(session, Access(ids, query.conversation_id, at))
    if query.conversation_id is not None and len(ids) > 1:
        async with self.steps.after_query.boundary(session):
            await self.steps.after_query.associate(session, CoOccurrence(ids, query.conversation_id, at))
    return Recalled(promoted(found, promotions), promotions, is_proven=True)


async def retry_whatever_was_committed(self: Database, work: Callable[[Session], Awaitable[Result]]) -> Result:
    async with self._expected_failures():
        try:
            return await self._attempt(work, Effects())
        except RETRIED:
            return await self._attempt(work, Effects())


async def complete_in_a_second_transaction(self: Background, session: Session, kind: str, count_max: int) -> int | None:
    del count_max
    async with self.accepting(session, ()):
        jobs = await self._claim(session, kind, 1) if await self._is_first_in_line(session, kind) else []
        works = [each.payload for each in jobs]
        if works:
            await self._follows(session, kind, [_work(each) for each in works])
    if jobs:
        async with session.transaction():
            await _queue(session).log_jobs([(job, "successful", None) for job in jobs])
    return len(jobs)


def _work(payload: bytes | None) -> Any:
    from anima.work import WORK  # noqa: PLC0415 -- for one fault alone

    return WORK.validate_json(payload or b"")


def _queue(session: Session) -> Any:
    from anima.work_queue import queue_of  # noqa: PLC0415 -- for one fault alone

    return queue_of(session)


async def drop_what_fails(self: Background, session: Session, job: Any, error: Exception) -> None:
    del self, error
    if job.attempts + 1 >= 10:
        await _queue(session).log_jobs([(job, "exception", None)])
    else:
        await _queue(session).retry_job(job, timedelta(seconds=1), None)


async def always_first(self: Background, session: Session, kind: str) -> bool:
    del self, session, kind
    return True


def keep_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    original = CachedEmbeddings._settle

    def settle(self: CachedEmbeddings, key: Any, call: Any) -> None:
        if call.cancelled() or call.exception() is None:
            original(self, key, call)

    monkeypatch.setattr(CachedEmbeddings, "_settle", settle)


def never_expire(monkeypatch: pytest.MonkeyPatch) -> None:
    from anima.embeddings import cache  # noqa: PLC0415 -- for one fault alone

    class Entries(cache._Entries):
        def __init__(self, size: int, ttl: float, clock: Any) -> None:
            del ttl
            super().__init__(size, float("inf"), clock)

    monkeypatch.setattr(cache, "_Entries", Entries)


def key_without_model(monkeypatch: pytest.MonkeyPatch) -> None:
    original = CachedEmbeddings._key
    monkeypatch.setattr(CachedEmbeddings, "_key", lambda self, text: original(self, text)._replace(model=""))


def unsorted_pairs(self: CoOccurrence) -> list[tuple[UUID, UUID]]:
    ids = list(self.memory_ids)
    return [(min(a, b), max(a, b)) for number, a in enumerate(ids) for b in ids[number + 1 :]]


IN_TIER_OF_SNAPSHOT = """SELECT locked.id, locked.access_count, snapshot.tier AS from_tier, step.to_tier
        FROM locked JOIN memories AS snapshot USING (id)
        LEFT JOIN step ON step.from_tier = snapshot.tier AND"""

ASKED: Final = [
    RaceFault(
        "access count from a stale read",
        "has an access count of",
        rewritten(ACCESS_RECORDS, "RECORD", "ORDER BY id\n        FOR UPDATE", "ORDER BY id"),
        stated=met([Load(content=A)], [ask(A)], [ask(A)], turns=[0] * 4 + [1] * 3),
    ),
    RaceFault(
        "promotion by the tier of the snapshot",
        "promot",
        rewritten(
            ACCESS_RECORDS,
            "RECORD",
            "SELECT locked.id, locked.access_count, locked.tier AS from_tier, step.to_tier\n"
            "        FROM locked LEFT JOIN step ON step.from_tier = locked.tier AND",
            IN_TIER_OF_SNAPSHOT,
        ),
        stated=met([Load(content=A, access_count=4)], [ask(A)], [ask(A)], turns=[0] * 4 + [1] * 3),
    ),
    RaceFault(
        "a merge that keeps a pair with itself",
        "consolidation fails",
        rewritten(MERGES, "MOVE_ASSOCIATIONS", "WHERE other_id <> $2", "WHERE true"),
        stated=met([Load(content=A), add(NEAR), ask(A, "c")], [ASSOCIATE]),
    ),
    RaceFault(
        "the cache's key without the model",
        "vector of another model",
        key_without_model,
        stated=met([add(A), ChangeModel(model="others")], [ask(A)]),
    ),
    RaceFault(
        "a cache without expiry",
        "outstayed",
        never_expire,
        stated=met([add(A), Wait(seconds=3600)], [ask(A)]),
    ),
    RaceFault(
        "a shared error kept",
        "outage that was over",
        keep_errors,
        stated=met([Load(content=A), ProviderOutage(), ask(A)], [ask(A)]),
    ),
    RaceFault(
        "work completed in a second transaction",
        "occurred together 1 times",
        patched("anima.background.Background._attempt", complete_in_a_second_transaction),
        stated=met([Load(content=A), Load(content=APART), ask(A, "c")], Client(steps=(ASSOCIATE,), disruption=KILLED)),
    ),
    RaceFault(
        "a consolidation that finds a newer one",
        "no order of the adds",
        rewritten(CONSOLIDATIONS, "MATCH", "(created_at, id) < ($3, $4) AS is_older", "true AS is_older"),
        stated=met([add(A), add(NEAR)], [CONSOLIDATE]),
    ),
    RaceFault(
        "equal creation times",
        "without an end",
        rewritten(CONSOLIDATIONS, "MATCH", "(created_at, id) < ($3, $4) AS is_older", "created_at < $3 AS is_older"),
        stated=met([], [add(A)], [add(NEAR)], same_time=True),
    ),
    RaceFault(
        "a merge without its lock",
        "occurred together 1 times",
        rewritten(MERGES, "EXCLUDE_OTHERS", "pg_advisory_xact_lock(hashtext('anima.merge'))", "1"),
        stated=met(
            [
                Load(content=A, tier=Tier.THREAD),
                Load(content=APART),
                add(NEAR),
                ask(NEAR, "c", tiers=(Tier.ACTIVE,)),
            ],
            [ASSOCIATE],
            [CONSOLIDATE],
            turns=[0] * 5 + [1] * 30,
        ),
    ),
    RaceFault(
        "rows unsorted",
        "a deadlock ended access.record",
        rewritten(
            ACCESS_RECORDS,
            "RECORD",
            "ORDER BY id\n        FOR UPDATE",
            "ORDER BY array_position($1::uuid[], id)\n        FOR UPDATE",
        ),
        stated=met(
            [Load(content=A), Load(content=OTHER)],
            [ask(A)],
            [ask(OTHER)],
            [Hold(content=A)],
            turns=[2] * 2 + [0] * 4 + [1] * 4 + [2],
        ),
    ),
    RaceFault(
        "pairs unsorted",
        "a deadlock ended association.record_batch",
        several(
            patched("anima.associations.protocol.CoOccurrence.pairs", unsorted_pairs),
            rewritten(ASSOCIATIONS, "RECORD", "ORDER BY smaller, larger", ""),
        ),
        stated=met(
            [Load(content=A), Load(content=APART), Load(content=OTHER), ask(A, "c")],
            [ask(A, "c")],
            [ask(OTHER, "c")],
            [Hold(content=A, pair_with=APART)],
            turns=[2] * 2 + [0] * 2 + [1] * 3 + [2],
        ),
        strategy="fix2",
    ),
    RaceFault(
        "insert unless counted",
        "UniqueViolation",
        patched("anima.store.insert_or_count", insert_unless_counted),
        stated=met([], [add(A)], [add(A)], turns=[0] * 3 + [1] * 2),
    ),
    RaceFault(
        "association after access",
        "memories stayed locked",
        patched("anima.recalls.stepwise.StepwiseRecall.perform", association_after_access),
        stated=met([Load(content=A), Load(content=OTHER)], [ask(A, "c")], [ask(A, "c")], turns=[0] * 4 + [1] * 3),
    ),
    RaceFault(
        "two consolidators",
        "no order of the adds",
        patched("anima.background.Background._is_first_in_line", always_first),
        stated=met(
            [add(A), Drain(), add(NEAR_TO_A), add(NEAR_TO_THAT)], [CONSOLIDATE], [CONSOLIDATE], turns=[0] * 8 + [1] * 30
        ),
    ),
    RaceFault(
        "a held job dropped",
        "accepted work is gone",
        patched("anima.background.Background._postpone", drop_what_fails),
        stated=met([Load(content=A), Load(content=OTHER), ask(A, "c"), FailWork(kind="co_occurrence")], [ask(A)]),
    ),
    RaceFault(
        "a retry after a lost commit",
        "accessed a memory twice",
        patched("anima.database.Database.perform", retry_whatever_was_committed),
        stated=met([Load(content=A)], Client(steps=(ask(A),), disruption=LOST)),
    ),
    RaceFault(
        "access outside the transaction",
        "occurred together",
        patched("anima.recalls.stepwise.StepwiseRecall.perform", access_outside_the_transaction),
        stated=met(
            [Load(content=A), Load(content=OTHER)],
            Client(steps=(ask(A, "c"),), disruption=ConnectionLoss(loss="killed", at=2)),
        ),
    ),
    RaceFault(
        "detection that overwrites metadata",
        "no order of the adds",
        rewritten(
            "anima.catalysts",
            "RECORD",
            "jsonb_set(metadata, '{potential_catalyst}', $2::jsonb)",
            "jsonb_build_object('potential_catalyst', $2::jsonb)",
        ),
        stated=met([add(MARKED), add(NEAR)], [CONSOLIDATE, CONSOLIDATE, WorkOnce(kind="catalyst_detection")]),
    ),
]

ALL: Final = ASKED
