"""The values of the memory system: validated inputs, frozen answers, tiers, and the contract's formulas."""

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, Self
from uuid import UUID

from msgspec import Struct
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from anima.errors import InputIssue, InvalidInput


class Tier(StrEnum):
    ACTIVE = "active"
    THREAD = "thread"
    STABLE = "stable"
    NETWORK = "network"


PROMOTIONS: Final[Mapping[Tier, tuple[int, Tier]]] = {
    Tier.ACTIVE: (5, Tier.THREAD),
    Tier.THREAD: (20, Tier.STABLE),
}
"""The access count, after the increment, from which a tier is left, and for which."""

SIMILARITY_WEIGHT: Final = 0.7
PHI_WEIGHT: Final = 0.3
PHI_MAX: Final = 5.0
PHI_STEP_ACCESS: Final = 0.1
PHI_CATALYST: Final = 1.0
SIMILARITY_DUPLICATE: Final = 0.95
SIMILARITY_FULL_STEP: Final = 0.98
RAPID_ACCESSES: Final = 3
RAPID_ACCESS_WINDOW: Final = timedelta(minutes=10)
MANY_ASSOCIATIONS: Final = 5
CATALYST_MARKERS: Final = (
    "breakthrough",
    "insight",
    "realized",
    "profound",
    "changed everything",
    "paradigm shift",
    "eureka",
)


def content_hash(content: str) -> str:
    """SHA-256 hex of the UTF-8 content."""
    return hashlib.sha256(content.encode()).hexdigest()


def promoted_tier(tier: Tier, access_count: int) -> Tier | None:
    """The tier after one step, where `access_count` includes this access; None when it stays."""
    threshold, next_tier = PROMOTIONS.get(tier, (math.inf, tier))
    return next_tier if access_count >= threshold else None


def merge_phi_step(similarity: float, *, was_catalyst: bool) -> float:
    """Says what a merged memory contributes to its survivor's phi, before the cap."""
    step = PHI_CATALYST if was_catalyst else PHI_STEP_ACCESS
    return step * (1.0 if similarity >= SIMILARITY_FULL_STEP else 0.9)


def bootstrap_shares(limit: int, active_returned: int) -> tuple[int, int]:
    """Says how many thread and stable memories fill the rest: ceil(0.7 r) and floor(0.3 r), in integers."""
    remaining = max(0, limit - active_returned)
    return (7 * remaining + 9) // 10, 3 * remaining // 10


SURROGATE: Final = re.compile("[\ud800-\udfff]")


def storable(text: str) -> str:
    """Refuses what PostgreSQL's text cannot hold, and what has no UTF-8 to hash."""
    if "\x00" in text:
        raise ValueError("must not contain NUL characters")
    if SURROGATE.search(text):
        raise ValueError("must not contain surrogates: they are halves of a character")
    return text


Text = Annotated[str, AfterValidator(storable)]


def without_fraction(value: object) -> object:
    """JSON has one kind of number: 20.0 is a whole one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WITHOUT_FRACTION: Final = BeforeValidator(without_fraction)


class Input(BaseModel):
    """A request, checked once. Accepts the column names and, on the wire, camelCase; None means absent."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)

    @classmethod
    def parse(cls, /, **fields: object) -> Self:
        """Raises `InvalidInput` that names each field and what is wrong with it."""
        return cls._checked(fields, by_name=True)

    @classmethod
    def from_wire(cls, fields: Mapping[str, object]) -> Self:
        """Names are camelCase only. Raises `InvalidInput` that names each field and what is wrong with it."""
        return cls._checked(fields, by_name=False)

    @classmethod
    def _checked(cls, fields: Mapping[str, object], *, by_name: bool) -> Self:
        present = {name: value for name, value in fields.items() if value is not None}
        try:
            return cls.model_validate(present, by_alias=True, by_name=by_name)
        except ValidationError as error:
            issues = tuple(
                InputIssue(".".join(map(str, issue["loc"])), issue["msg"])
                for issue in error.errors(include_url=False, include_input=False)
            )
            faults = "; ".join(f"{issue.path}: {issue.message}" for issue in issues)
            raise InvalidInput(f"{cls.__name__} is not valid: {faults}", issues) from None


class NewMemory(Input):
    content: Annotated[Text, Field(min_length=1, max_length=50_000)]
    category: Annotated[Text, Field(max_length=100)] | None = None
    tags: Annotated[
        tuple[Annotated[Text, Field(min_length=1, max_length=50)], ...], Field(max_length=20, strict=False)
    ] = ()
    source: Annotated[Text, Field(max_length=100)] | None = None
    is_catalyst: bool = False


class Query(Input):
    query: Annotated[Text, Field(min_length=1, max_length=5_000)]
    limit: Annotated[int, Field(ge=1, le=100), WITHOUT_FRACTION] = 20
    similarity_threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    tiers: Annotated[tuple[Annotated[Tier, Field(strict=False)], ...], Field(strict=False)] = ()
    conversation_id: Annotated[Text, Field(min_length=1, max_length=200)] | None = None


class BootstrapRequest(Input):
    conversation_id: Annotated[Text, Field(min_length=1, max_length=200)]
    limit: Annotated[int, Field(ge=1, le=200), WITHOUT_FRACTION] = 50
    include_active: bool = True
    include_thread: bool = True
    include_stable: bool = True
    active_limit: Annotated[int, Field(ge=0, le=1_000_000_000), WITHOUT_FRACTION] | None = None


class Memory(Struct, frozen=True, gc=False):
    """A row of `memories`, its embedding left out, under the names that existing clients read it by.

    Bootstrap makes thousands: nothing in one refers back to it.
    """

    id: UUID
    """The memory's number, drawn when it was added."""
    content: str
    """Its text."""
    content_hash: str
    """The SHA-256 of its text, in hexadecimal."""
    tier: Tier
    """How established it is."""
    tier_last_updated: datetime
    """When its tier was last set."""
    access_count: int
    """How often queries returned it."""
    last_accessed: datetime
    """When a query last returned it, or when it was added."""
    accessed_in_conversation_ids: tuple[str, ...]
    """The conversations in which it was returned."""
    category: str | None
    """What its author filed it under; None where nothing was stated."""
    tags: tuple[str, ...]
    """Words that its author gave it."""
    source: str | None
    """Where its author had it from; None where nothing was stated."""
    resonance_phi: float
    """How much it has resonated, 0 to 5."""
    is_catalyst: bool
    """Whether it is marked as a turning point."""
    metadata: Mapping[str, Any]
    """What else is known of it; the variants of its text, where memories were merged into it."""
    created_at: datetime
    """When it was added."""
    updated_at: datetime
    """When it was last changed."""


@dataclass(frozen=True, slots=True)
class FoundMemory:
    """A search result: its similarity is 1 - cosine distance, its weight `anima.rows.structural_weight_of` that."""

    memory: Memory
    similarity: float
    structural_weight: float


@dataclass(frozen=True, slots=True)
class Promotion:
    memory_id: UUID
    from_tier: Tier
    to_tier: Tier


@dataclass(frozen=True, slots=True)
class Added:
    """`memory` is the new one, or the live one that the content duplicates."""

    memory: Memory
    duplicate: Literal["exact", "semantic"] | None
    embedding_provider: str

    @property
    def is_duplicate(self) -> bool:
        return self.duplicate is not None


@dataclass(frozen=True, slots=True)
class Found:
    """`memories` in the order of the contract; `promotions` those that this query caused.

    `is_proven` says that an index proved the answer complete, or that none was needed. Else all memories were ranked,
    or something may be missing (an approximate search).
    """

    memories: tuple[FoundMemory, ...]
    promotions: tuple[Promotion, ...]
    embedding_provider: str
    is_proven: bool = True


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """Each tier in its own order."""

    active: tuple[Memory, ...]
    thread: tuple[Memory, ...]
    stable: tuple[Memory, ...]

    @classmethod
    def of(cls, memories: Iterable[Memory]) -> Self:
        """Each memory in its tier, in the order in which they come."""
        by_tier: dict[Tier, list[Memory]] = {Tier.ACTIVE: [], Tier.THREAD: [], Tier.STABLE: []}
        for memory in memories:
            by_tier[memory.tier].append(memory)
        return cls(*map(tuple, by_tier.values()))

    @property
    def distribution(self) -> Mapping[str, int]:
        counts = {"active": len(self.active), "thread": len(self.thread), "stable": len(self.stable)}
        return counts | {"total": sum(counts.values())}
