"""When the work around an add or a query is done: inline, or accepted in its transaction and done later.

Both placements leave the same live state once accepted work is drained.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal, Protocol, assert_never
from uuid import UUID

from anima import merges, store
from anima.associations.protocol import Associations, CoOccurrence
from anima.background import Background
from anima.catalysts import Detection
from anima.chores import FOLD
from anima.consolidations.protocol import Candidate, Consolidation
from anima.database import Session
from anima.model import Memory, NewMemory, content_hash
from anima.work import AnyWork, BatchHandler, Consolidate, DetectCatalyst, Handler, RecordCoOccurrence


@dataclass(frozen=True, slots=True)
class Written:
    """The live memory that stands for an added one: the new one itself, or one that it duplicates, and why."""

    memory: Memory
    duplicate: Literal["exact", "semantic"] | None = None


class AfterAdd(Protocol):
    """The insert, and consolidation and catalyst detection around it.

    Whatever the order of commits, of two near-duplicates the newer merges into the older one, once.
    """

    async def write(self, session: Session, new: NewMemory, candidate: Candidate) -> Written: ...


class AfterQuery(Protocol):
    """Co-occurrence after the access was recorded."""

    def boundary(self, session: Session) -> AbstractAsyncContextManager[None]:
        """A transaction where work is accepted with the query; else each statement is its own, as before the fixes."""
        ...

    async def associate(self, session: Session, co_occurrence: CoOccurrence) -> None: ...


@dataclass(frozen=True, slots=True)
class InlineAfterAdd:
    """Adds wait for each other, so that each sees what the other added (docs/decisions/0011)."""

    consolidation: Consolidation
    detection: Detection

    async def write(self, session: Session, new: NewMemory, candidate: Candidate) -> Written:
        async with session.transaction():
            written = await self._merged_or_inserted(session, new, candidate)
        if written.duplicate is None and not new.is_catalyst:
            await self.detection.detect(session, {written.memory.id: candidate.created_at})
        return written

    async def _merged_or_inserted(self, session: Session, new: NewMemory, candidate: Candidate) -> Written:
        while True:
            exact = await store.count_duplicate(session, content_hash(new.content), candidate.created_at)
            if exact:
                return Written(exact, "exact")
            duplicates = await self.consolidation.match(session, candidate)
            if duplicates.older is None:
                return await self._inserted(session, new, candidate, duplicates.newer)
            survivor = await store.absorb(
                session,
                duplicates.older.memory_id,
                content=new.content,
                similarity=duplicates.older.similarity,
                was_catalyst=new.is_catalyst,
                at=candidate.created_at,
            )
            if survivor:
                return Written(survivor, "semantic")

    async def _inserted(self, session: Session, new: NewMemory, candidate: Candidate, newer: Sequence[UUID]) -> Written:
        """A newer duplicate is there when this add has waited since it was given its time."""
        memory, is_new = await store.insert_or_count(session, new, candidate)
        if not is_new:
            return Written(memory, "exact")
        for memory_id in newer:
            await merges.consolidate(session, self.consolidation, memory_id, candidate.created_at)
        return Written(memory)


@dataclass(frozen=True, slots=True)
class BackgroundAfterAdd:
    background: Background

    async def write(self, session: Session, new: NewMemory, candidate: Candidate) -> Written:
        async with self.background.accepting(session, ("consolidation", "catalyst_detection")):
            memory, is_new = await store.insert_or_count(session, new, candidate)
            if not is_new:
                return Written(memory, "exact")
            await self.background.accept(session, works_after_add(candidate, is_catalyst=memory.is_catalyst))
        return Written(memory)


@dataclass(frozen=True, slots=True)
class OneStatementAfterAdd:
    """As in the background, where one statement inserts, counts and accepts."""

    background: Background

    async def write(self, session: Session, new: NewMemory, candidate: Candidate) -> Written:
        works = works_after_add(candidate, is_catalyst=new.is_catalyst)
        kinds = [work.kind for work in works]
        memory, is_new = await store.add(session, new, candidate, kinds, [work.model_dump_json() for work in works])
        self.background.note_accepted(kinds if is_new else [FOLD])
        return Written(memory, None if is_new else "exact")


def works_after_add(new: Candidate, *, is_catalyst: bool) -> list[AnyWork]:
    """Says what is accepted with a memory that has been written."""
    works: list[AnyWork] = [Consolidate(memory_id=new.id, at=new.created_at)]
    return works if is_catalyst else [*works, DetectCatalyst(memory_id=new.id, at=new.created_at)]


@dataclass(frozen=True, slots=True)
class InlineAfterQuery:
    associations: Associations

    def boundary(self, session: Session) -> AbstractAsyncContextManager[None]:
        del session
        return nullcontext()

    async def associate(self, session: Session, co_occurrence: CoOccurrence) -> None:
        await self.associations.record(session, co_occurrence)


@dataclass(frozen=True, slots=True)
class BackgroundAfterQuery:
    background: Background

    def boundary(self, session: Session) -> AbstractAsyncContextManager[None]:
        return self.background.accepting(session, ("co_occurrence",))

    async def associate(self, session: Session, co_occurrence: CoOccurrence) -> None:
        work = RecordCoOccurrence(
            memory_ids=tuple(co_occurrence.memory_ids),
            conversation_id=co_occurrence.conversation_id,
            at=co_occurrence.at,
        )
        await self.background.accept(session, [work])


def batch_handlers(consolidation: Consolidation, detection: Detection) -> Mapping[str, BatchHandler]:
    """Says what a worker does for the kinds of which it takes several pieces at once."""

    async def consolidate(session: Session, works: Sequence[AnyWork]) -> Sequence[AnyWork]:
        moments = {work.memory_id: work.at for work in works if isinstance(work, Consolidate)}
        newer = await merges.consolidate_all(session, consolidation, moments)
        return [
            Consolidate(memory_id=memory_id, at=moments[older]) for older, found in newer.items() for memory_id in found
        ]

    async def detect(session: Session, works: Sequence[AnyWork]) -> Sequence[AnyWork]:
        await detection.detect(session, {work.memory_id: work.at for work in works if isinstance(work, DetectCatalyst)})
        return []

    return {"consolidation": consolidate, "catalyst_detection": detect}


def handlers(associations: Associations, consolidation: Consolidation, detection: Detection) -> Mapping[str, Handler]:
    """Says what a worker does for each kind of accepted work, in the transaction that completes it."""

    async def handle(session: Session, work: AnyWork) -> Sequence[AnyWork]:
        match work:
            case RecordCoOccurrence():
                memory_ids = await merges.survivors(session, work.memory_ids)
                await associations.record(session, CoOccurrence(memory_ids, work.conversation_id, work.at))
            case Consolidate():
                newer = await merges.consolidate(session, consolidation, work.memory_id, work.at)
                return [Consolidate(memory_id=memory_id, at=work.at) for memory_id in newer]
            case DetectCatalyst():
                await detection.detect(session, {work.memory_id: work.at})
            case _:
                assert_never(work)
        return []

    return dict.fromkeys(("co_occurrence", "consolidation", "catalyst_detection"), handle)
