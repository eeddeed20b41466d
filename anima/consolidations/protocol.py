"""The axis of how the semantic duplicate of a memory is found."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from anima.database import Session
from anima.embeddings.protocol import Vector


@dataclass(frozen=True, slots=True)
class Candidate:
    """A memory that may duplicate an older one. One that is not written yet is newer than all that are."""

    embedding: Vector
    id: UUID
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SemanticMatch:
    memory_id: UUID
    similarity: float


class Consolidation(Protocol):
    """Finds the nearest live memory that is older than the candidate, at a similarity of 0.95 or more.

    Only older ones count, so a memory meets the same candidates whether it is consolidated before it is written or
    later. Of equally near ones the oldest is taken.
    """

    async def match(self, session: Session, candidate: Candidate) -> SemanticMatch | None: ...
