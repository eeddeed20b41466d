"""The axis of how the steps of a query reach the server."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from msgspec import structs

from anima.access_records.protocol import AccessRecords
from anima.background import Background
from anima.database import Session
from anima.embeddings.protocol import Vector
from anima.model import FoundMemory, Promotion, Query
from anima.placements import AfterQuery
from anima.searches.protocol import Search


@dataclass(frozen=True, slots=True)
class Steps:
    """Says what the other axes chose, for a query that goes step by step, and who is told of accepted work."""

    search: Search
    access_records: AccessRecords
    after_query: AfterQuery
    background: Background


@dataclass(frozen=True, slots=True)
class Recalled:
    """The rows show the state that the search saw, with the tier after the promotions of this query."""

    memories: tuple[FoundMemory, ...]
    promotions: tuple[Promotion, ...]
    is_proven: bool


class Recall(Protocol):
    """Finds, then records the access, the co-occurrence and the promotions of what was found."""

    async def perform(self, session: Session, query: Query, embedding: Vector, at: datetime) -> Recalled: ...

    async def find(self, session: Session, query: Query, embedding: Vector) -> Recalled:
        """The first half, for who searches elsewhere than where it is recorded: nothing is promoted yet."""
        ...

    async def record(self, session: Session, query: Query, found: Recalled, at: datetime) -> Recalled:
        """The second half, of an answer with results: what became of a memory since then is seen here, and decides."""
        ...


def promoted(found: tuple[FoundMemory, ...], promotions: tuple[Promotion, ...]) -> tuple[FoundMemory, ...]:
    """The same results, each in the tier that it has now."""
    tiers = {promotion.memory_id: promotion.to_tier for promotion in promotions}
    return tuple(
        replace(result, memory=structs.replace(result.memory, tier=tiers.get(result.memory.id, result.memory.tier)))
        for result in found
    )
