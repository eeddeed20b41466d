"""When the work around an add or a query is done: inline, or accepted in its transaction and done later.

Both placements leave the same live state once accepted work is drained.
"""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, assert_never

from anima import catalysts, merges, store
from anima.associations.protocol import Associations, CoOccurrence
from anima.background import (
    AnyWork,
    Background,
    Consolidate,
    DetectCatalyst,
    Handler,
    RecordCoOccurrence,
)
from anima.consolidations.protocol import Candidate, Consolidation
from anima.database import Session
from anima.model import Memory, NewMemory, content_hash


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The live memory that stands for an added one, and why."""

    memory: Memory
    kind: Literal["exact", "semantic"]


class AfterAdd(Protocol):
    """Consolidation and catalyst detection around an insert."""

    def boundary(self, session: Session) -> AbstractAsyncContextManager[None]:
        """A transaction where work is accepted with the add; else each statement is its own, as before the fixes."""
        ...

    async def duplicate(self, session: Session, new: NewMemory, candidate: Candidate) -> Duplicate | None:
        """Counts or merges a duplicate that is looked for before the insert; the insert itself finds exact ones."""
        ...

    async def settle(self, session: Session, memory: Memory, at: datetime) -> None:
        """What follows an insert."""
        ...


class AfterQuery(Protocol):
    """Co-occurrence after the access was recorded."""

    def boundary(self, session: Session) -> AbstractAsyncContextManager[None]:
        """A transaction where work is accepted with the query; else each statement is its own, as before the fixes."""
        ...

    async def associate(self, session: Session, co_occurrence: CoOccurrence) -> None: ...


@dataclass(frozen=True, slots=True)
class InlineAfterAdd:
    consolidation: Consolidation

    def boundary(self, session: Session) -> AbstractAsyncContextManager[None]:
        del session
        return nullcontext()

    async def duplicate(self, session: Session, new: NewMemory, candidate: Candidate) -> Duplicate | None:
        exact = await store.count_duplicate(session, content_hash(new.content), candidate.created_at)
        if exact:
            return Duplicate(exact, "exact")
        while match := await self.consolidation.match(session, candidate):
            survivor = await store.absorb(
                session,
                match.memory_id,
                content=new.content,
                similarity=match.similarity,
                was_catalyst=new.is_catalyst,
                at=candidate.created_at,
            )
            if survivor:
                return Duplicate(survivor, "semantic")
        return None

    async def settle(self, session: Session, memory: Memory, at: datetime) -> None:
        if not memory.is_catalyst:
            await catalysts.detect(session, memory.id, at)


@dataclass(frozen=True, slots=True)
class BackgroundAfterAdd:
    background: Background

    def boundary(self, session: Session) -> AbstractAsyncContextManager[None]:
        return self.background.accepting(session, ("consolidation", "catalyst_detection"))

    async def duplicate(self, session: Session, new: NewMemory, candidate: Candidate) -> Duplicate | None:
        del session, new, candidate
        return None

    async def settle(self, session: Session, memory: Memory, at: datetime) -> None:
        works: list[AnyWork] = [Consolidate(memory_id=memory.id, at=at)]
        if not memory.is_catalyst:
            works.append(DetectCatalyst(memory_id=memory.id, at=at))
        await self.background.accept(session, works)


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


def handlers(associations: Associations, consolidation: Consolidation) -> Mapping[str, Handler]:
    """What a worker does for each kind of accepted work, in the transaction that completes it."""

    async def handle(session: Session, work: AnyWork) -> None:
        match work:
            case RecordCoOccurrence():
                memory_ids = await merges.survivors(session, work.memory_ids)
                await associations.record(session, CoOccurrence(memory_ids, work.conversation_id, work.at))
            case Consolidate():
                await merges.consolidate(session, consolidation, work.memory_id, work.at)
            case DetectCatalyst():
                await catalysts.detect(session, work.memory_id, work.at)
            case _:
                assert_never(work)

    return dict.fromkeys(("co_occurrence", "consolidation", "catalyst_detection"), handle)
