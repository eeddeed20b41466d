"""Says what the service answers with, as it stands on the wire.

Requests are the inputs of `model`, which checks them.
"""

from collections.abc import Mapping
from datetime import datetime
from operator import attrgetter
from typing import Final, Generic, Literal, TypeVar
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType, field

from anima.errors import InputIssue
from anima.model import Added, Bootstrap, Found, FoundMemory, Memory, Promotion, Tier

Data = TypeVar("Data")


class FoundRow(Memory, frozen=True):
    """A memory that a query found, with what it was ranked by."""

    similarity: float
    structural_weight: float

    @classmethod
    def found(cls, found: FoundMemory) -> "FoundRow":
        return cls(*COLUMNS_OF_FOUND(found))


COLUMNS_OF_FOUND: Final = attrgetter(
    *(f"memory.{column}" for column in Memory.__struct_fields__), "similarity", "structural_weight"
)


class AddedData(Struct, frozen=True, rename="camel"):
    memory: Memory
    is_duplicate: bool
    message: str

    @classmethod
    def of(cls, added: Added) -> "AddedData":
        return cls(added.memory, added.is_duplicate, MESSAGES[added.duplicate])


MESSAGES: Mapping[str | None, str] = {
    None: "Memory added.",
    "exact": "A memory with this content exists already; its access was counted.",
    "semantic": "A memory with this meaning exists already; the new content became a variant of it.",
}


class QueryData(Struct, frozen=True):
    memories: tuple[FoundRow, ...]
    count: int
    query: str

    @classmethod
    def of(cls, found: Found, query: str) -> "QueryData":
        rows = tuple(map(FoundRow.found, found.memories))
        return cls(rows, len(rows), query)


class MemoriesByTier(Struct, frozen=True):
    active: tuple[Memory, ...]
    thread: tuple[Memory, ...]
    stable: tuple[Memory, ...]


class Distribution(Struct, frozen=True):
    active: int
    thread: int
    stable: int
    total: int


class BootstrapData(Struct, frozen=True):
    memories: MemoriesByTier
    distribution: Distribution

    @classmethod
    def of(cls, bootstrap: Bootstrap) -> "BootstrapData":
        memories = MemoriesByTier(bootstrap.active, bootstrap.thread, bootstrap.stable)
        return cls(memories, Distribution(**bootstrap.distribution))


class PromotionEntry(Struct, frozen=True, rename="camel"):
    memory_id: UUID
    from_tier: Tier
    to_tier: Tier

    @classmethod
    def of(cls, promotion: Promotion) -> "PromotionEntry":
        return cls(promotion.memory_id, promotion.from_tier, promotion.to_tier)


class Meta(Struct, frozen=True, rename="camel", omit_defaults=True):
    """`query_time` in milliseconds; what does not apply to an answer is left out of it."""

    request_id: str
    timestamp: datetime
    embedding_provider: str | UnsetType = UNSET
    query_time: float | UnsetType = UNSET
    promotions: tuple[PromotionEntry, ...] | UnsetType = UNSET


class Success(Struct, Generic[Data], frozen=True, kw_only=True):
    success: Literal[True] = True
    data: Data
    meta: Meta


class ValidationDetails(Struct, frozen=True):
    issues: tuple[InputIssue, ...]


class ErrorBody(Struct, frozen=True):
    """`code` is for programs, `message` for people."""

    code: str
    message: str
    details: ValidationDetails | UnsetType = UNSET


class Failure(Struct, frozen=True, kw_only=True):
    success: Literal[False] = False
    error: ErrorBody
    meta: Meta


class CacheState(Struct, frozen=True, rename="camel"):
    """Says what the cache of this process counted since it started."""

    hits: int
    """How many look-ups the cache answered."""
    misses: int
    """How many look-ups called the provider."""
    hit_rate: float
    """The share of hits in all look-ups, 0 to 1."""
    size: int
    """How many vectors are held."""
    max_size: int
    """How many vectors are held at most."""
    coalesced: int
    """How many look-ups waited for the call of another one."""
    evictions: int
    """How many vectors were left out because the cache was full."""
    expirations: int
    """How many vectors were left out because they had become too old."""
    bytes: int
    """How many bytes the vectors that are held take."""


class CacheReport(Struct, frozen=True):
    cache: CacheState | None
    recommendation: str


class CacheMetrics(Struct, frozen=True, rename="camel"):
    """`hit_rate` is a text with three decimals, as the guide has it."""

    hits: int
    misses: int
    hit_rate: str
    size: int
    max_size: int
    status: Literal["healthy", "warming up"]


class DatabaseMetrics(Struct, frozen=True, rename="camel"):
    total_connections: int
    idle_connections: int
    waiting_connections: int
    status: Literal["healthy", "under pressure"]


class MetricsReport(Struct, frozen=True):
    cache: CacheMetrics | None
    database: DatabaseMetrics
    timestamp: datetime


class Health(Struct, frozen=True):
    status: Literal["ok", "ready", "unavailable"]
    reason: str | UnsetType = field(default=UNSET)
