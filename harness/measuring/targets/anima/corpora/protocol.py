"""The seam between a scenario and the texts it works on."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Final, Literal, Protocol, Self

from pydantic import Field, model_validator

from harness.measuring.section import Section

TierName = Literal["active", "thread", "stable", "network"]
TIERS: Final[tuple[TierName, ...]] = ("active", "thread", "stable", "network")

TierShare = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class CorpusMemory:
    """One memory to load before the run, or to add during it."""

    content: str
    category: str | None = None
    tags: tuple[str, ...] = ()
    source: str | None = None
    is_catalyst: bool = False


@dataclass(frozen=True, slots=True)
class CorpusQuery:
    """One question to ask; `conversation_id` None lets the workload choose."""

    query: str
    conversation_id: str | None = None


class Corpus(Protocol):
    """A deterministic source of texts: the same settings give the same texts in the same order.

    What is asked for with a smaller count is the beginning of what is asked for with a larger one.
    """

    @property
    def name(self) -> str:
        """For people: the kind, and what tells it from others of its kind."""
        ...

    @property
    def fingerprint(self) -> str:
        """SHA-256 hex over everything that decides the texts."""
        ...

    @property
    def size(self) -> int:
        """Says how many memories are loaded before the run."""
        ...

    def memories(self, count: int) -> tuple[CorpusMemory, ...]:
        """The first `count` memories, contents distinct. Raises `UsageError` when there are fewer."""
        ...

    def new_memories(self, count: int) -> tuple[CorpusMemory, ...]:
        """`count` distinct memories to add during a run, none of them among the `size` memories that are loaded.

        Raises `UsageError` when there are fewer.
        """
        ...

    def queries(self, count: int) -> tuple[CorpusQuery, ...]:
        """`count` distinct questions; the workload repeats them, the corpus does not.

        Raises `UsageError` when there are fewer.
        """
        ...


class TierShares(Section, frozen=True):
    """Says which share of the loaded memories each tier holds."""

    active: TierShare = 0.0
    """The share of active memories."""
    thread: TierShare = 0.0
    """The share of memories of the tier `thread`."""
    stable: TierShare = 0.0
    """The share of stable memories."""
    network: TierShare = 0.0
    """The share of memories of the tier `network`."""

    @model_validator(mode="after")
    def _make_a_whole(self) -> Self:
        total = sum(self.model_dump().values())
        if not math.isclose(total, 1, abs_tol=1e-9):
            raise ValueError(f"The shares add up to {total:g}; change them so that they add up to 1.")
        return self

    def assign(self, count: int) -> tuple[TierName, ...]:
        """The tier of each of `count` memories in turn, so that any beginning of them has about the same shares."""
        shares: dict[TierName, float] = {tier: getattr(self, tier) for tier in TIERS}
        owed = dict.fromkeys(TIERS, 0.0)
        tiers: list[TierName] = []
        for _ in range(count):
            owed = {tier: owed[tier] + share for tier, share in shares.items()}
            tiers.append(max(TIERS, key=owed.__getitem__))
            owed[tiers[-1]] -= 1
        return tuple(tiers)


class CorpusSettings(Section, frozen=True):
    """Tells what a scenario's `[corpus]` says, whichever kind it is. A kind adds its own keys and `kind`, its name."""

    size: int = Field(ge=1)
    """Memories that are loaded before the run."""
    tiers: TierShares = TierShares(active=0.85, thread=0.1, stable=0.05)
    """The share of the loaded memories in each tier; together they are 1."""

    @abstractmethod
    def open(self) -> Corpus:
        """Raises `UsageError` when the texts cannot be had."""
