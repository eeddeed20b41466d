"""A scenario of the memory system: which strategies, on which corpus, asked what."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Self, cast

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, computed_field, field_validator, model_validator

from harness.measuring.operations import Workload
from harness.measuring.scenario import VARIANTS, Phase, Scenario, known, named_after
from harness.measuring.servers.embedding_server import NO_FAULTS, EmbeddingFaults
from harness.measuring.servers.provisioners import AUTO
from harness.measuring.servers.redis_server import REDIS, CacheSettings
from harness.measuring.servers.service_url import plain
from harness.measuring.targets.anima.corpora import CorpusSection
from harness.measuring.targets.anima.corpora.generated import GeneratedSettings
from harness.measuring.targets.anima.loading import LoadedMemory
from harness.measuring.targets.anima.requests import drawings
from harness.measuring.targets.anima.workloads import WORKLOADS, WorkloadSettings
from harness.measuring.targets.anima.workloads.protocol import OPERATIONS
from harness.measuring.targets.protocol import EXTERNAL

TIER_STATES: Final[Mapping[str, tuple[int, float]]] = {
    "active": (0, 0.0),
    "thread": (5, 0.5),
    "stable": (20, 2.0),
    "network": (20, 2.0),
}
"""Access count and phi with which a loaded memory begins: what its tier implies."""


class MemoryPhase(Phase, frozen=True):
    """A workload for a while. The name tells phases of one workload apart. A trace says itself what is sent."""

    workload: str | None = None
    """The workload: an operation, or `mix`. It is left out where a trace says what is sent."""

    @model_validator(mode="before")
    @classmethod
    def _named(cls, values: object) -> object:
        """After its workload, or the trace that it replays, unless it says otherwise."""
        if isinstance(values, dict):
            section = cast("dict[str, Any]", values)
            return named_after(section, section.get("workload", "trace"))
        return values

    @field_validator("workload")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        return name and known("workload", name, WORKLOADS)

    @model_validator(mode="after")
    def _bounds_fit(self) -> Self:
        if self.arrival.own_requests and self.workload is not None:
            raise ValueError(f"`workload` stands beside {self.arrival.kind}, which says what is sent. Leave it out.")
        if not self.arrival.own_requests and self.workload is None:
            raise ValueError(f"`workload` is missing. Known: {', '.join(WORKLOADS)}.")
        self.arrival.check(self.bounds)
        for request in self.arrival.own_requests:
            known("operation for a trace:", request.operation, OPERATIONS)
        return self

    @property
    def asks(self) -> str:
        return self.workload or self.arrival.kind


def _roles_can_be_left_out(schema: dict[str, Any]) -> None:
    """With one strategy, which is then both; for editors."""
    schema["required"] = [name for name in schema["required"] if name not in {"baseline", "candidate"}]


class MemoryScenario(Scenario, frozen=True):
    """A scenario of the memory system: its strategies are the variants."""

    model_config = ConfigDict(json_schema_extra=_roles_can_be_left_out)

    target: str = "anima"
    """The memory system in this process (`anima`), or over HTTP (`anima-http`)."""
    service_url: Annotated[str, AfterValidator(plain)] | None = None
    """The address of a service that runs already, for the strategy `external`; none unless stated."""
    strategies: Annotated[tuple[str, ...], Field(min_length=1)]
    """The strategies that are measured, in the order of the ladder."""
    cache: CacheSettings = CacheSettings()
    """Whether embeddings are kept in a Redis as well."""
    corpus: CorpusSection
    """Where texts come from."""
    workload: WorkloadSettings = WorkloadSettings()
    """What is asked of the memory system."""
    phases: Annotated[tuple[MemoryPhase, ...], Field(min_length=1)]
    """What is asked, one phase after the other."""
    embedding_faults: EmbeddingFaults = NO_FAULTS
    """What the run's embedding server does wrong; nothing unless stated."""

    @field_validator("cache")
    @classmethod
    def _known_redis(cls, cache: CacheSettings) -> CacheSettings:
        if cache.redis is not None:
            known("source of Redis", cache.redis, [AUTO, *REDIS])
        return cache

    @model_validator(mode="before")
    @classmethod
    def _one_strategy_is_both(cls, document: Any) -> Any:  # noqa: ANN401 -- as pydantic hands it over
        match document:
            case {"strategies": [str() as only]}:
                return {"baseline": only, "candidate": only} | document
            case _:
                return document

    @model_validator(mode="after")
    def _known_strategies(self, info: ValidationInfo) -> Self:
        """As far as it is known which there are."""
        context = cast("Mapping[str, Mapping[str, str]]", info.context or {})
        listed = context.get(VARIANTS, {})
        for name in (*self.strategies, self.baseline, self.candidate) if listed else ():
            known("strategy", name, listed)
        return self

    @property
    def variant_names(self) -> tuple[str, ...]:
        return self.strategies

    def only(self, names: Sequence[str]) -> Self:
        roles = {"baseline": names[0], "candidate": names[-1]}
        ends = {role: other for role, other in roles.items() if getattr(self, role) not in names}
        return self.model_copy(update={"strategies": tuple(names), **ends})

    def works_on_database_of_run(self, variant: str) -> bool:
        return variant != EXTERNAL

    @property
    def redis(self) -> CacheSettings:
        return self.cache

    @property
    def faults_of_embedding(self) -> EmbeddingFaults:
        return self.embedding_faults

    @computed_field  # type: ignore[prop-decorator]  # mypy knows properties, but not pydantic's on top of them
    @property
    def operations(self) -> tuple[str, ...]:
        """Says what the phases perform, in the order of the operations."""
        kinds = {phase.workload for phase in self.phases}
        kinds |= {request.operation for phase in self.phases for request in phase.arrival.own_requests}
        mixed = {name for name, weight in self.workload.mix.model_dump().items() if weight and "mix" in kinds}
        return tuple(operation for operation in OPERATIONS if operation in kinds | mixed)

    @property
    def operation_names(self) -> tuple[str, ...]:
        return self.operations

    def shares(self, phase: Phase) -> Mapping[str, int]:
        assert isinstance(phase, MemoryPhase), "it is one of this scenario's"
        requests = phase.timed(self.seed)
        if phase.workload is None:
            return dict(Counter(request.operation for request in phase.arrival.own_requests[:requests]))
        weights = self.workload.mix.model_dump() if phase.workload == "mix" else {phase.workload: 1}
        whole = sum(weights.values())
        return {name: math.ceil(requests * weight / whole) for name, weight in weights.items() if weight}

    def alone(self, operation: str) -> MemoryPhase:
        return MemoryPhase(name=operation, workload=operation, requests=1)

    def contents(self) -> Mapping[str, str | int]:
        corpus = self.corpus.open()
        return {"name": corpus.name, "fingerprint": corpus.fingerprint, "size": self.corpus.size}

    @property
    def polled_tables(self) -> Sequence[str]:
        return ("pgqueuer", "pgqueuer_log", "pgqueuer_statistics", "pgqueuer_schedules")

    @property
    def size(self) -> int:
        return self.corpus.size

    def of_size(self, size: int) -> Self:
        return self.model_copy(update={"corpus": self.corpus.model_copy(update={"size": size})})

    @property
    def size_loaded_in_seconds(self) -> int:
        return 5_000 if isinstance(self.corpus, GeneratedSettings) else 0

    def workloads(self) -> Iterator[Workload]:
        totals = {phase.name: phase.total(self.seed) for phase in self.phases}
        asked = {phase.name: (phase.workload, totals[phase.name]) for phase in self.phases if phase.workload}
        brought = {
            phase.name: phase.arrival.own_requests[: totals[phase.name]] for phase in self.phases if not phase.workload
        }
        return drawings(self.workload, self.corpus.open(), self.seed, asked, brought)

    def loaded(self) -> Sequence[LoadedMemory]:
        """The corpus as it is in the database before the run, each memory in its tier."""
        memories = self.corpus.open().memories(self.corpus.size)
        tiers = self.corpus.tiers.assign(len(memories))
        return [LoadedMemory(memory, tier, *TIER_STATES[tier]) for memory, tier in zip(memories, tiers, strict=True)]
