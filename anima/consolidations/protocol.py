"""The axis of how the semantic duplicates of a memory are found."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol, Self
from uuid import UUID

from anima.connections import Row
from anima.database import Session, Statement
from anima.embeddings.protocol import Vector

READ: Final = Statement(
    "merge.read", "SELECT id, embedding, created_at FROM memories WHERE id = ANY($1::uuid[]) AND deleted_at IS NULL"
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A memory that may have duplicates. It need not be written yet."""

    embedding: Vector
    id: UUID
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SemanticMatch:
    memory_id: UUID
    similarity: float


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Whom the candidate merges into, and who may have to merge into it.

    The newer ones, the oldest first, are those whose look at their older ones may have come before the candidate was
    committed. With an older one they need not be complete, since then the candidate goes.
    """

    older: SemanticMatch | None = None
    newer: tuple[UUID, ...] = ()

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Self:
        """Rows of `id`, `similarity` and `is_older`: the older ones with the nearest first, then the newer ones."""
        newer = tuple(row["id"] for row in rows if not row["is_older"])
        nearest = rows[0] if len(newer) < len(rows) else None
        return cls(SemanticMatch(nearest["id"], nearest["similarity"]) if nearest else None, newer)


class Consolidation(Protocol):
    """Finds the other live memories at a similarity of 0.95 or more: the nearest older one, and the newer ones.

    The order is that of creation, then that of ids. Only an older one takes a memory in, so a memory meets the same
    candidates whether it is consolidated before it is written or later. Of equally near ones the oldest is taken.
    """

    async def match(self, session: Session, candidate: Candidate) -> Duplicates: ...

    async def match_written(self, session: Session, memory_ids: Sequence[UUID]) -> dict[UUID, Duplicates]:
        """Of each of these memories that is still live."""
        ...


class ConsolidationOneByOne(ABC):
    """Reads the written memories, and asks for each what it asks before one is written."""

    @abstractmethod
    async def match(self, session: Session, candidate: Candidate) -> Duplicates: ...

    async def match_written(self, session: Session, memory_ids: Sequence[UUID]) -> dict[UUID, Duplicates]:
        found: dict[UUID, Duplicates] = {}
        for row in await session.fetch(READ, memory_ids):
            candidate = Candidate(row["embedding"].to_numpy(), row["id"], row["created_at"])
            found[candidate.id] = await self.match(session, candidate)
        return found
