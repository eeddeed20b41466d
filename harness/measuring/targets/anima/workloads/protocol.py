"""The seam between a scenario and the requests it sends: what is requested, but neither when nor of whom."""

from collections.abc import Iterator
from typing import Annotated, Final, Literal, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from harness.measuring.draws import Draws


class WorkloadSection(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class AddSettings(WorkloadSection):
    """`[workload.add]`. What is not known is a memory whose text nobody has embedded before."""

    known_text_rate: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="The share of adds whose text is embedded before: recalled and then stored, or stored again.",
    )
    duplicate_rate: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="The share of adds, among the known ones, that store a loaded memory again: exact duplicates.",
    )

    @model_validator(mode="after")
    def _duplicates_are_known(self) -> Self:
        if self.duplicate_rate > self.known_text_rate:
            raise ValueError(
                f"`duplicate_rate` {self.duplicate_rate:g} exceeds `known_text_rate` {self.known_text_rate:g}, but a "
                "duplicate's text is known. Lower the first or raise the second."
            )
        return self


ResultLimit = Annotated[int, Field(ge=1, le=100)]


class QuerySettings(WorkloadSection):
    """`[workload.query]`. What is not known is a question of its own, asked once."""

    known_text_rate: float = Field(
        default=0.9, ge=0, le=1, description="The share of queries whose text is embedded before."
    )
    distinct_texts: int = Field(default=50, ge=1, le=100_000, description="Questions that the known ones repeat.")
    zipf_exponent: float = Field(
        default=1.1, ge=0, le=10, description="How much the first of these questions are preferred; 0: not at all."
    )
    limit: ResultLimit | Annotated[tuple[ResultLimit, ...], Field(min_length=1)] = Field(
        default=20,
        description="Memories to return. Of several, each query draws one: the sweep that a law in n asks for.",
    )
    similarity_threshold: float = Field(
        default=0.0, ge=0, le=1, description="0 returns `limit` memories whatever the provider's similarities are."
    )


class BootstrapSettings(WorkloadSection):
    """`[workload.bootstrap]`."""

    limit: int = Field(default=50, ge=1, le=200)
    active_limit: int | None = Field(default=None, ge=0, description="Absent: all active ones, as in the guide.")


class MixSettings(WorkloadSection):
    """`[workload.mix]`: how often each operation comes, relative to the others."""

    add: float = Field(default=0, ge=0)
    query: float = Field(default=0, ge=0)
    bootstrap: float = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _holds_something(self) -> Self:
        if not any((self.add, self.query, self.bootstrap)):
            raise ValueError("No operation weighs anything. Set at least one of add, query and bootstrap above 0.")
        return self


class WorkloadSettings(WorkloadSection):
    """A scenario's `[workload]`."""

    conversations: int = Field(default=20, ge=1, description="Conversations that queries and bootstraps belong to.")
    add: AddSettings = AddSettings()
    query: QuerySettings = QuerySettings()
    bootstrap: BootstrapSettings = BootstrapSettings()
    mix: MixSettings = MixSettings(add=0.2, query=0.6, bootstrap=0.2)


OperationName = Literal["add", "query", "bootstrap"]
OPERATIONS: Final[tuple[OperationName, ...]] = ("add", "query", "bootstrap")


class OperationOrder(Protocol):
    """A kind of workload: which operation comes next, without end, decided by the draws alone."""

    def __call__(self, settings: WorkloadSettings, draws: Draws) -> Iterator[OperationName]: ...
