"""Says what a run of several clients came to: what each operation answered, and what is in the tables then."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from anima.model import Added, Found, Memory, NewMemory, Query, Tier


@dataclass(slots=True, eq=False)
class Performed:
    """An add or a query: its time and its memory's id were given, so that what it left can be told from others' traces.

    `answer` is None where nobody knows whether it took effect: its connection or its client was lost. `began` and
    `ended` are in the order of events; without an end it may still have been going on.
    """

    step: NewMemory | Query
    at: datetime
    new_id: UUID
    began: int
    ended: int | None = None
    answer: Added | Found | None = None
    error: BaseException | None = None
    is_refused: bool = False
    """Whether it failed before anything was sent to the database."""


@dataclass(frozen=True, slots=True)
class StoredMemory:
    """A row, live or not."""

    memory: Memory
    is_live: bool
    merged_into: UUID | None


@dataclass(frozen=True, slots=True)
class StoredPair:
    count: int
    strength: float
    conversations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StoredPromotion:
    memory_id: UUID
    from_tier: Tier
    to_tier: Tier
    access_count: int


@dataclass(frozen=True, slots=True)
class FinalTables:
    """Says what was found after all work was done."""

    memories: Mapping[UUID, StoredMemory]
    pairs: Mapping[tuple[UUID, UUID], StoredPair]
    promotions: Counter[StoredPromotion]
    accesses: Counter[tuple[UUID, datetime]]
    lost_jobs: Sequence[str]
    """Accepted work that is neither done nor kept."""
    failing_jobs: Sequence[str]
    """Accepted work that cannot be done."""

    def survivor(self, memory_id: UUID) -> UUID | None:
        """The live memory that this one has become; None where there is none."""
        seen = set[UUID]()
        stored = self.memories.get(memory_id)
        while stored and stored.memory.id not in seen:
            if stored.is_live:
                return stored.memory.id
            seen.add(stored.memory.id)
            stored = self.memories.get(stored.merged_into) if stored.merged_into else None
        return None


@dataclass(slots=True)
class Meeting:
    """All of one run. `loaded` are the memories that were there from the beginning."""

    loaded: dict[UUID, Memory] = field(default_factory=dict[UUID, Memory])
    performed: list[Performed] = field(default_factory=list[Performed])
    complaints: list[str] = field(default_factory=list[str])
    """What went wrong under way: errors, deadlocks, and who waited for whom."""
    has_other_models: bool = False
    has_lost_clients: bool = False
