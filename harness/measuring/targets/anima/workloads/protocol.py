"""The seam between a scenario and the requests it sends: what is requested, but neither when nor of whom."""

from collections.abc import Iterator
from typing import Annotated, Final, Literal, Protocol, Self

from pydantic import Field, model_validator

from harness.measuring.draws import Draws
from harness.measuring.section import Section


class AddSettings(Section, frozen=True):
    """`[workload.add]`. What is not known is a memory whose text nobody has embedded before."""

    known_text_rate: float = Field(default=0.5, ge=0, le=1)
    """The share of adds whose text is embedded before: recalled and then stored, or stored again."""
    duplicate_rate: float = Field(default=0.1, ge=0, le=1)
    """The share of adds, among the known ones, that store a loaded memory again: exact duplicates."""

    @model_validator(mode="after")
    def _duplicates_are_known(self) -> Self:
        if self.duplicate_rate > self.known_text_rate:
            raise ValueError(
                f"`duplicate_rate` {self.duplicate_rate:g} exceeds `known_text_rate` {self.known_text_rate:g}, but a "
                "duplicate's text is known. Lower the first or raise the second."
            )
        return self


ResultLimit = Annotated[int, Field(ge=1, le=100)]


class QuerySettings(Section, frozen=True):
    """`[workload.query]`. What is not known is a question of its own, asked once."""

    known_text_rate: float = Field(default=0.9, ge=0, le=1)
    """The share of queries whose text is embedded before."""
    distinct_texts: int = Field(default=50, ge=1, le=100_000)
    """Questions that the known ones repeat."""
    zipf_exponent: float = Field(default=1.1, ge=0, le=10)
    """How much the first of these questions are preferred; 0: not at all."""
    limit: ResultLimit | Annotated[tuple[ResultLimit, ...], Field(min_length=1)] = 20
    """Memories to return. Of several, each query draws one: the sweep that a law in n asks for."""
    similarity_threshold: float = Field(default=0.0, ge=0, le=1)
    """0 returns `limit` memories whatever the provider's similarities are."""


class BootstrapSettings(Section, frozen=True):
    """`[workload.bootstrap]`."""

    limit: int = Field(default=50, ge=1, le=200)
    """How many memories are returned at most."""
    active_limit: int | None = Field(default=None, ge=0)
    """Absent: all active ones, as in the guide."""
    """How many active memories are returned at most; all of them unless stated, as in the guide."""


class MixSettings(Section, frozen=True):
    """`[workload.mix]`: how often each operation comes, relative to the others."""

    add: float = Field(default=0, ge=0)
    """The weight of `add`."""
    query: float = Field(default=0, ge=0)
    """The weight of `query`."""
    bootstrap: float = Field(default=0, ge=0)
    """The weight of `bootstrap`."""

    @model_validator(mode="after")
    def _holds_something(self) -> Self:
        if not any((self.add, self.query, self.bootstrap)):
            raise ValueError("No operation weighs anything. Set at least one of add, query and bootstrap above 0.")
        return self


class WorkloadSettings(Section, frozen=True):
    """A scenario's `[workload]`."""

    conversations: int = Field(default=20, ge=1)
    """Conversations that queries and bootstraps belong to."""
    add: AddSettings = AddSettings()
    """What is added."""
    query: QuerySettings = QuerySettings()
    """What is queried."""
    bootstrap: BootstrapSettings = BootstrapSettings()
    """What conversations begin with."""
    mix: MixSettings = MixSettings(add=0.2, query=0.6, bootstrap=0.2)
    """How often each operation comes in the workload `mix`."""


OperationName = Literal["add", "query", "bootstrap"]
OPERATIONS: Final[tuple[OperationName, ...]] = ("add", "query", "bootstrap")


class OperationOrder(Protocol):
    """A kind of workload: which operation comes next, without end, decided by the draws alone."""

    def __call__(self, settings: WorkloadSettings, draws: Draws) -> Iterator[OperationName]: ...
