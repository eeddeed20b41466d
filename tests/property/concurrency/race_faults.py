"""Faults that one client alone never meets, each of a kind that somebody has made. The suite must find them all."""

from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import pytest
from pgqueuer.models import Job

from anima import store
from anima.access_records.protocol import Access
from anima.associations.protocol import CoOccurrence
from anima.background import Background
from anima.consolidations.protocol import Candidate
from anima.database import RETRIED, Database, Effects, Result, Session, Statement
from anima.embeddings import cache
from anima.embeddings.cache import CachedEmbeddings
from anima.embeddings.protocol import Vector
from anima.model import Memory, NewMemory, Query, Tier, content_hash
from anima.placements import BackgroundAfterAdd, Written, works_after_add
from anima.recalls.protocol import Recalled, promoted
from anima.recalls.stepwise import StepwiseRecall
from anima.rows import COLUMNS, memory_from
from anima.work import WORK, AnyWork
from anima.work_queue import queue_of
from harness.measuring.targets.anima.concurrency.interleavings import Interleaving
from harness.measuring.targets.anima.concurrency.stated import STATED
from tests.property.equivalence.faults import ACCESS_RECORDS, ASSOCIATIONS, CONSOLIDATIONS, Fault, Plant, rewritten

MERGES: Final = "anima.merges"


@dataclass(frozen=True)
class RaceFault(Fault):
    """The meeting that is stated under its name shows it at once."""

    origin: str = "issue"
    """Where somebody had it."""

    @property
    def stated(self) -> Interleaving:
        return STATED[self.name].interleaving

    @property
    def strategy(self) -> str:
        """One that has what the fault is in."""
        return STATED[self.name].strategy


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
    "INSERT INTO memories (id, content, content_hash, embedding, tier, last_accessed, created_at, is_catalyst, "
    "resonance_phi) "
    f"VALUES ($1, $2, $3, $4, '{Tier.ACTIVE}', $5, $5, $6::boolean, $6::boolean::int) RETURNING {COLUMNS}",
)


async def insert_unless_counted(session: Session, new: NewMemory, candidate: Candidate) -> tuple[Memory, bool]:
    hashed = content_hash(new.content)
    if counted := await session.fetch_row(COUNT, hashed, candidate.created_at):
        return memory_from(counted), False
    row = await session.fetch_row(
        INSERT, candidate.id, new.content, hashed, candidate.embedding, candidate.created_at, new.is_catalyst
    )
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
            await self._follows(session, kind, [WORK.validate_json(each or b"") for each in works])
    if jobs:
        async with session.transaction():
            await queue_of(session).log_jobs([(job, "successful", None) for job in jobs])
    return len(jobs)


async def drop_what_fails(self: Background, session: Session, job: Job, error: Exception) -> None:
    del self, error
    if job.attempts + 1 >= 10:
        await queue_of(session).log_jobs([(job, "exception", None)])
    else:
        await queue_of(session).retry_job(job, timedelta(seconds=1), None)


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
        "a threshold on a rounded similarity",
        "no order of the adds",
        rewritten(CONSOLIDATIONS, "MATCH", "similarity >= $2", "round(similarity::numeric, 4) >= $2"),
    ),
    RaceFault(
        "vectors in half precision",
        "at a similarity of",
        rewritten(
            "anima.store",
            "INSERT_OR_COUNT",
            "VALUES ($1, $2, $3, $4,",
            "VALUES ($1, $2, $3, $4::vector::halfvec::vector,",
        ),
    ),
    RaceFault(
        "texts stripped before they are hashed",
        "no order of the adds",
        patched("anima.store.content_hash", lambda content: content_hash(content.strip())),
    ),
    RaceFault(
        "access count from a stale read",
        "has an access count of",
        rewritten(ACCESS_RECORDS, "RECORD", "ORDER BY id\n        FOR UPDATE", "ORDER BY id"),
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
    ),
    RaceFault(
        "a merge that keeps a pair with itself",
        "consolidation fails",
        rewritten(MERGES, "MOVE_ASSOCIATIONS", "WHERE other_id <> $2", "WHERE true"),
    ),
    RaceFault(
        "the cache's key without the model",
        "vector of another model",
        key_without_model,
    ),
    RaceFault(
        "a cache without expiry",
        "outstayed",
        never_expire,
    ),
    RaceFault(
        "a shared error kept",
        "outage that was over",
        keep_errors,
    ),
    RaceFault(
        "work completed in a second transaction",
        "occurred together 1 times",
        patched("anima.background.Background._attempt", complete_in_a_second_transaction),
    ),
    RaceFault(
        "a consolidation that finds a newer one",
        "no order of the adds",
        rewritten(CONSOLIDATIONS, "MATCH", "(created_at, id) < ($3, $4) AS is_older", "true AS is_older"),
    ),
    RaceFault(
        "equal creation times",
        "without an end",
        rewritten(CONSOLIDATIONS, "MATCH", "(created_at, id) < ($3, $4) AS is_older", "created_at < $3 AS is_older"),
    ),
    RaceFault(
        "a merge without its lock",
        "occurred together 1 times",
        rewritten(MERGES, "EXCLUDE_OTHERS", "pg_advisory_xact_lock(hashtext('anima.merge'))", "1"),
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
    ),
    RaceFault(
        "pairs unsorted",
        "a deadlock ended association.record_batch",
        several(
            patched("anima.associations.protocol.CoOccurrence.pairs", unsorted_pairs),
            rewritten(ASSOCIATIONS, "RECORD", "ORDER BY smaller, larger", ""),
        ),
    ),
    RaceFault(
        "insert unless counted",
        "UniqueViolation",
        patched("anima.store.insert_or_count", insert_unless_counted),
    ),
    RaceFault(
        "association after access",
        "memories stayed locked",
        patched("anima.recalls.stepwise.StepwiseRecall.perform", association_after_access),
    ),
    RaceFault(
        "two consolidators",
        "no order of the adds",
        patched("anima.background.Background._is_first_in_line", always_first),
    ),
    RaceFault(
        "a held job dropped",
        "accepted work is gone",
        patched("anima.background.Background._postpone", drop_what_fails),
    ),
    RaceFault(
        "a retry after a lost commit",
        "accessed a memory twice",
        patched("anima.database.Database.perform", retry_whatever_was_committed),
    ),
    RaceFault(
        "access outside the transaction",
        "occurred together",
        patched("anima.recalls.stepwise.StepwiseRecall.perform", access_outside_the_transaction),
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
    ),
]


CLAIM: Final = (
    "SELECT * FROM pgqueuer WHERE entrypoint = $1 AND status = 'queued' AND execute_after <= now() ORDER BY id"
)
CLAIM_UNLOCKED: Final = Statement("fault.claim", f"{CLAIM} LIMIT 1")
CLAIM_LAST: Final = Statement("fault.claim", f"{CLAIM} DESC LIMIT 1 FOR UPDATE SKIP LOCKED")
IS_QUEUED: Final = Statement("fault.is_queued", "SELECT id FROM pgqueuer WHERE entrypoint = $1 LIMIT 1")


def claimed_by(statement: Statement) -> Plant:
    async def claim(self: Background, session: Session, kind: str, count_max: int) -> list[Job]:
        del self, count_max
        return [Job.model_validate(dict(row)) for row in await session.fetch(statement, kind)]

    return patched("anima.background.Background._claim", claim)


async def acknowledge_first(self: Background, session: Session, kind: str, count_max: int) -> int | None:
    del count_max
    async with session.transaction():
        jobs = await self._claim(session, kind, 1) if await self._is_first_in_line(session, kind) else []
        await queue_of(session).log_jobs([(job, "successful", None) for job in jobs])
    if jobs:
        async with self.accepting(session, ()):
            await self._follows(session, kind, [WORK.validate_json(job.payload or b"") for job in jobs])
    return len(jobs)


async def accept_after_the_commit(
    self: BackgroundAfterAdd, session: Session, new: NewMemory, candidate: Candidate
) -> Written:
    async with session.transaction():
        memory, is_new = await store.insert_or_count(session, new, candidate)
    if not is_new:
        return Written(memory, "exact")
    async with self.background.accepting(session, ()):
        await self.background.accept(session, works_after_add(candidate, is_catalyst=memory.is_catalyst))
    return Written(memory)


async def association_outside_the_transaction(
    self: StepwiseRecall, session: Session, query: Query, embedding: Vector, at: Any
) -> Recalled:
    found = await self.steps.search.find(session, query, embedding)
    ids = [result.memory.id for result in found]
    if query.conversation_id is not None and len(ids) > 1:
        async with self.steps.after_query.boundary(session):
            await self.steps.after_query.associate(session, CoOccurrence(ids, query.conversation_id, at))
    promotions = await self.steps.access_records.record(session, Access(ids, query.conversation_id, at))
    return Recalled(promoted(found, promotions), promotions, is_proven=True)


async def forget_what_fails(self: Background, session: Session, job: Job, error: Exception) -> None:
    del self, error
    await queue_of(session).log_jobs([(job, "successful", None)])


def refuse_what_is_queued(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Background.accept

    async def accept(self: Background, session: Session, works: Iterable[AnyWork]) -> None:
        new = [work for work in works if not await session.fetch(IS_QUEUED, work.kind)]
        if new:
            await original(self, session, new)

    monkeypatch.setattr(Background, "accept", accept)


def ask_each_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    original = CachedEmbeddings._settle

    def settle(self: CachedEmbeddings, key: Any, call: Any) -> None:
        self._calls[key] = call
        original(self, key, call)

    monkeypatch.setattr(CachedEmbeddings, "_joined_call", lambda _self, _key: None)
    monkeypatch.setattr(CachedEmbeddings, "_settle", settle)


@contextmanager
def no_effect(self: Session, statement: Statement) -> Generator[None]:
    del self, statement
    yield


FOUND_ELSEWHERE: Final = [
    RaceFault(
        "phi from the statement's first look",
        "has a phi of",
        rewritten(
            ACCESS_RECORDS,
            "RECORD",
            "least(m.resonance_phi + $4, $5)",
            "least((SELECT p.resonance_phi FROM memories AS p WHERE p.id = m.id) + $4, $5)",
        ),
        origin="cheddar-me/pecorino#31",
    ),
    RaceFault(
        "a set written as it was read",
        "remembers the conversations",
        rewritten(
            ACCESS_RECORDS,
            "RECORD",
            "ELSE m.accessed_in_conversation_ids || $3",
            "ELSE (SELECT p.accessed_in_conversation_ids FROM memories AS p WHERE p.id = m.id) || $3",
        ),
        origin="aegra/aegra#603",
    ),
    RaceFault(
        "a document of metadata written back whole",
        "no order of the adds",
        rewritten(
            "anima.catalysts",
            "RECORD",
            "jsonb_set(metadata,",
            "jsonb_set((SELECT p.metadata FROM memories AS p WHERE p.id = $1),",
        ),
        origin="gastownhall/gascity#6222",
    ),
    RaceFault(
        "a pair counted from the statement's first look",
        "occurred together",
        rewritten(
            ASSOCIATIONS,
            "RECORD",
            "SET co_occurrence_count = known.co_occurrence_count + 1",
            "SET co_occurrence_count = 1 + (SELECT p.co_occurrence_count FROM memory_associations AS p "
            "WHERE (p.memory_a_id, p.memory_b_id) = (known.memory_a_id, known.memory_b_id))",
        ),
        origin="ExtendDB/extenddb#250",
    ),
    RaceFault(
        "two who look for a near one before either writes",
        "no order of the adds",
        rewritten(
            "anima.store",
            "COUNT_DUPLICATE",
            "EXISTS (SELECT FROM pg_advisory_xact_lock(hashtext('anima.add')))",
            "true",
        ),
        origin="rohitg00/agentmemory#15",
    ),
    RaceFault(
        "two workers who take the same piece",
        "occurred together 1 times",
        claimed_by(CLAIM_UNLOCKED),
        origin="seatgeek/djjob#2",
    ),
    RaceFault(
        "work taken from the end of the queue",
        "no order of the adds",
        claimed_by(CLAIM_LAST),
        origin="QueueClassic/queue_classic#345",
    ),
    RaceFault(
        "work acknowledged before it is done",
        "occurred together 1 times",
        patched("anima.background.Background._attempt", acknowledge_first),
        origin="ResearchHub/researchhub-backend#2041",
    ),
    RaceFault(
        "work accepted after the commit",
        "no order of the adds",
        patched("anima.placements.BackgroundAfterAdd.write", accept_after_the_commit),
        origin="brandur/sorg#239",
    ),
    RaceFault(
        "association outside the transaction",
        "occurred together",
        patched("anima.recalls.stepwise.StepwiseRecall.perform", association_outside_the_transaction),
        origin="hackers-pub/hackerspub#359",
    ),
    RaceFault(
        "failed work forgotten",
        "occurred together 1 times",
        patched("anima.background.Background._postpone", forget_what_fails),
        origin="cashapp/misk#2662",
    ),
    RaceFault(
        "work refused since some like it is queued",
        "occurred together 2 times",
        refuse_what_is_queued,
        origin="mozilla-services/socorro#2903",
    ),
    RaceFault(
        "misses that do not share a call",
        "while it was being asked for",
        ask_each_by_itself,
        origin="aio-libs/aiocache#1041",
    ),
    RaceFault(
        "an autocommitted statement sent again",
        "accessed a memory twice",
        patched("anima.database.Session._effect", no_effect),
        origin="stroppy-io/stroppy#167",
    ),
    RaceFault(
        "a merge that loses the pairs of the merged",
        "occurred together",
        rewritten(MERGES, "MOVE_ASSOCIATIONS", "WHERE other_id <> $2", "WHERE other_id <> $2 AND false"),
        origin="tine20/tine20#6596",
    ),
    RaceFault(
        "work left out since what it names was merged",
        "occurred together",
        rewritten(MERGES, "SURVIVORS", "ON m.id = trail.merged_into", "ON m.id = trail.merged_into AND false"),
        origin="espocrm/espocrm#1400",
    ),
    RaceFault(
        "a merge that does not add up what both had",
        "occurred together",
        rewritten(
            MERGES,
            "MOVE_ASSOCIATIONS",
            "SET co_occurrence_count = known.co_occurrence_count + excluded.co_occurrence_count",
            "SET co_occurrence_count = greatest(known.co_occurrence_count, excluded.co_occurrence_count)",
        ),
        origin="archivesspace/archivesspace#1849",
    ),
    RaceFault(
        "a merge that loses what the merged had taken in",
        "no order of the adds",
        rewritten(
            "anima.store", "ABSORB", "|| $6::jsonb ||", "|| jsonb_path_query_array($6::jsonb, '$[*] ? (1 == 2)') ||"
        ),
        origin="Aam-Digital/ndb-core#2858",
    ),
    RaceFault(
        "an update that does not look at what it changes",
        "written down 2 times",
        rewritten("anima.access_records.per_memory", "PROMOTE", "AND tier = $2", "AND $2::text IS NOT NULL"),
        origin="typeorm/typeorm#9344",
    ),
    RaceFault(
        "the loser of two adds not counted",
        "has an access count of",
        rewritten(
            "anima.store",
            "INSERT_OR_COUNT",
            "access_count = memories.access_count + 1",
            "access_count = memories.access_count",
        ),
        origin="bytedance/deer-flow#4599",
    ),
]
"""As others have made them, and where that can be read."""

NOT_FOUND: Final = [
    RaceFault(
        "accesses of a memory that was merged meanwhile",
        "",
        rewritten(
            ACCESS_RECORDS, "RECORD", "WHERE id = ANY($1::uuid[]) AND deleted_at IS NULL", "WHERE id = ANY($1::uuid[])"
        ),
        origin="doobidoo/mcp-memory-service#783",
    ),
]
"""Nothing that is compared shows them: of a memory that is gone, only what became of it counts."""

ALL: Final = [*ASKED, *FOUND_ELSEWHERE]
