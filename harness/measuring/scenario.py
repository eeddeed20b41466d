"""Tells what every scenario says, whatever its target: when, how often, how far away it is measured, what must hold."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    computed_field,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import WithJsonSchema

from harness.errors import nearest
from harness.measuring.arrivals import ArrivalSection
from harness.measuring.arrivals.closed_loop import ClosedLoopSettings
from harness.measuring.arrivals.protocol import Arrival, PhaseBounds
from harness.measuring.draws import Draws
from harness.measuring.hosts import kind_in
from harness.measuring.latencies import LATENCIES, LatencyProfile
from harness.measuring.operations import Workload
from harness.measuring.section import Section
from harness.measuring.servers.embedding_server import NO_FAULTS, EmbeddingFaults
from harness.measuring.servers.provisioners import AUTO, PROVISIONERS
from harness.measuring.servers.provisioners.protocol import DatabaseSettings, Disruption
from harness.measuring.servers.redis_server import CacheSettings
from harness.samples import COLD

VARIANTS: Final = "variants"
"""In the context of a validation: the variants that the target has by itself, described by name."""

Action = Disruption | Literal["cut_network"]
ACTIONS: Final[tuple[Action, ...]] = (*get_args(Disruption), "cut_network")
LASTING: Final[frozenset[Action]] = frozenset({"pause", "fill_disk", "cut_network"})
"""What goes on until something ends it."""

AT_ONCE: Final[frozenset[Action]] = frozenset({"terminate_backends", "fail_over"})
"""What ends by itself."""


class Phase(Section, frozen=True):
    """Operations for a while, whose requests start as `arrival` says. What is sent is the target's to say."""

    name: Annotated[str, Field(min_length=1)]
    """The name by which budgets and reports know the phase; that of what it sends unless stated."""
    arrival: ArrivalSection = ClosedLoopSettings()
    """When requests start: users who wait for answers, or a schedule."""
    requests: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    """How many requests there are at most in a closed loop; an open one sets it by its rate."""
    warm_up: Annotated[int, Field(ge=0, le=100_000)] = 0
    """How many requests come before the others and are discarded; they take half of the time at most."""
    time_s: Annotated[float | None, Field(gt=0, le=86_400)] = None
    """After how many seconds no request starts any more; a minute unless stated."""
    cache: Literal["cold"] | None = None
    """`cold`: before each request the server gives up what it has of the database in its memory; that is not timed."""

    @model_validator(mode="after")
    def _cold_one_by_one(self) -> Self:
        asks_alone = isinstance(self.arrival, ClosedLoopSettings) and self.arrival.users == 1
        if self.is_cold and not asks_alone:
            raise ValueError("`cache` is cold for one request at a time: have one user of a closed loop ask")
        return self

    @model_serializer(mode="wrap")
    def _without_absent(self, serialized: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A key that says nothing is left out: stored runs from before it are like new ones, and so are workers."""
        said: dict[str, Any] = serialized(self)
        return {key: value for key, value in said.items() if key != "cache" or value is not None}

    @property
    def is_cold(self) -> bool:
        return self.cache == "cold"

    def asked(self, operation: str) -> str:
        """The operation as a record names it."""
        return f"{operation}{COLD}" if self.is_cold else operation

    @property
    def asks(self) -> str:
        """Says what its requests are named by in a record."""
        raise NotImplementedError

    @property
    def is_timed(self) -> bool:
        """Says whether its requests are kept as samples; else only what is counted around all of them is."""
        return True

    @property
    def bounds(self) -> PhaseBounds:
        return PhaseBounds(self.requests, self.warm_up, self.time_s)

    @property
    def duration_s(self) -> float:
        """Says how long requests are started at most."""
        return self.arrival.duration_s(self.bounds)

    def open(self, seed: int) -> Arrival:
        return self.arrival.open(self.bounds, lambda purpose: Draws(seed, f"{self.name} {purpose}"))

    def slice(self, number: int, of: int) -> Self:
        """One of equal parts of its time, with draws of its own."""
        if of == 1:
            return self
        return self.model_copy(update={"name": f"{self.name} {number}", "time_s": self.duration_s / of})

    def total(self, seed: int) -> int:
        """Requests to draw: those of the warm-up, and those that are timed."""
        return self.warm_up + self.timed(seed)

    def timed(self, seed: int) -> int:
        """Says how many are planned; a time that is over before may leave some out."""
        timed = self.requests if self.requests is not None else self.open(seed).starts
        assert timed is not None, "a closed loop states its requests"
        return timed


@dataclass(frozen=True, slots=True)
class Variant:
    """A strategy under the name that it is measured by. A control measures another variant a second time."""

    name: str
    strategy: str
    control_of: str | None = None


class TimelineEntry(Section, frozen=True):
    """Says what is done to the database in a phase."""

    phase: str
    """The name of the phase in which it is done."""
    at_s: Annotated[float, Field(ge=0)]
    """How many seconds after the beginning of the phase it is done."""
    action: Annotated[Action, WithJsonSchema({"enum": list(ACTIONS)})]
    """What is done to the database."""
    for_s: Annotated[float | None, Field(gt=0, le=3_600)] = None
    """After how many seconds it ends; a restarted or killed server comes back at once where nothing is stated."""

    @field_validator("action", mode="before")
    @classmethod
    def _known(cls, name: object) -> str:
        return known("action", name, ACTIONS)

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.action in LASTING and self.for_s is None:
            raise ValueError(f"`for_s` is missing: {self.action} goes on until something ends it.")
        if self.action in AT_ONCE and self.for_s is not None:
            raise ValueError(f"`for_s` stands beside {self.action}, which is over by itself. Leave it out.")
        return self


class Sampling(Section, frozen=True):
    """Says how long a run may go on while more samples could settle its verdict."""

    time_s_max: Annotated[float, Field(ge=0, le=86_400)] = 0.0
    """How many seconds the rounds beyond the planned ones may take in all; 0 means that there are none."""


class ProfileSettings(Section, frozen=True):
    """`[profile]`: a pass of its own after the timed one, of the baseline and the candidate.

    Each round performs as many requests without a profiler. Fewer than two rounds cannot tell a change from noise.
    """

    rounds: Annotated[int, Field(ge=2, le=100)] = 6
    """How many rounds are profiled."""
    requests: Annotated[int, Field(ge=2, le=10_000)] = 10
    """How many requests of each operation a round profiles, one after the other."""
    time_s: Annotated[float, Field(gt=0, le=3_600)] = 5.0
    """After how many seconds a round starts no further request of an operation."""


class Scenario(Section, frozen=True):
    """Says what is run, how far away, and what must hold.

    What is measured, on what data, the target's own scenario adds.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    """The name of the scenario, by which runs are filed."""
    title: str
    """The heading of a report."""
    description: str = ""
    """What the run is for, in a paragraph of the report."""
    expectations: str = ""
    """What its author expects of the figures, in a paragraph of the report."""
    target: str
    """What is measured: `anima`, `anima-http`, `http`, `sql`, `null`, or a class as `module:Class`."""
    baseline: str
    """The variant that others are compared with; the first unless stated."""
    candidate: str
    """The variant that is compared with the baseline; the last unless stated."""
    control: bool = False
    """Whether each round measures the baseline a second time, so that the noise of a comparison is known."""
    rounds: Annotated[int, Field(ge=1, le=1_000)] = 1
    """How often every variant is measured, each time on a fresh clone of the database."""
    slices: Annotated[int, Field(ge=1, le=1_000)] = 1
    """Into how many equal parts a phase is cut, at which the variants of a round take turns, so that a machine that
    becomes slower does so for all of them.
    """
    workers: Annotated[int | str, WithJsonSchema({"anyOf": [{"type": "integer"}, {"type": "string"}]})] = 1
    """Who shares the load: a number of processes of this machine, of which 1 is this one, or hosts, such as `local:4`.
    """
    seed: int = 1
    """The seed of all draws: with the same one, every run sends the same requests."""
    latency: Annotated[LatencyProfile, WithJsonSchema({"enum": list(LATENCIES)})]
    """The latency model: how far away the database and the embedding server are put."""
    database: DatabaseSettings = DatabaseSettings()
    """Where PostgreSQL comes from, and how it is set up."""
    phases: Annotated[tuple[Phase, ...], Field(min_length=1)]
    """What is asked, one phase after the other."""
    timeline: tuple[TimelineEntry, ...] = ()
    """What is done to the database while phases go on, such as a restart."""
    sampling: Sampling = Sampling()
    """Rounds beyond the planned ones; none unless stated."""
    profile: ProfileSettings | None = None
    """A profiling pass after the timed one; none unless stated."""
    budgets: tuple[str, ...] = ()
    """The budgets that must hold, one line each, such as `query.p95 <= 300ms`."""
    references: tuple[dict[str, str | float], ...] = ()
    """Figures from elsewhere that stand beside measured ones in a report, and are not budgets."""
    recall_queries: Annotated[int, Field(ge=0, le=10_000)] = 0
    """How many queries of each variant are held against exact search after the timed pass; 0 means none."""

    @property
    def variant_names(self) -> tuple[str, ...]:
        """Says what is measured, in the order of the ladder, without the control."""
        raise NotImplementedError

    @property
    def subjects(self) -> tuple[str, ...]:
        """Names its operations and its phases."""
        return tuple(dict.fromkeys((*self.operation_names, *(phase.name for phase in self.phases))))

    @property
    def operation_names(self) -> tuple[str, ...]:
        """Says what the phases perform, in the order in which the target declares its operations."""
        raise NotImplementedError

    def shares(self, phase: Phase) -> Mapping[str, int]:
        """Says how many requests of each operation the phase has in one round; as many as its weights expect."""
        raise NotImplementedError

    def alone(self, operation: str) -> Phase:
        """A phase of this operation and nothing else."""
        raise NotImplementedError

    def completed(self) -> Self:
        """With what it does not say and its budgets need."""
        return self

    def only(self, names: Sequence[str]) -> Self:
        """With these variants alone, the first and the last of them as what the scenario's are not among them."""
        raise NotImplementedError

    def workloads(self) -> Iterator[Workload]:
        """The requests of the planned rounds, which are all the same, and then those of each further round.

        Raises `UsageError` when there is too little to ask for the next.
        """
        raise NotImplementedError

    def contents(self) -> Mapping[str, str | int]:
        """Says what tells the data that is there before the run from another.

        Raises `UsageError` when it cannot be had.
        """
        raise NotImplementedError

    @property
    def size(self) -> int | None:
        """Says how much data there is before the run, where it is one number that can be another; else None."""
        return None

    def of_size(self, size: int) -> Self:
        """With so much data. Only of one that has a `size`."""
        raise NotImplementedError

    @property
    def size_loaded_in_seconds(self) -> int:
        """Says how much data a gate may load in place of what the scenario has."""
        return 0

    @property
    def draws_from_database(self) -> bool:
        """Says whether what is asked depends on what is there."""
        return False

    async def with_draws(self, database_url: str) -> Self:
        """With what its draws read from the prepared database, so that every process draws the same."""
        del database_url
        return self

    @property
    def doubts(self) -> tuple[str, ...]:
        """Sentences on what a run of it cannot show, known once its draws are there."""
        return ()

    def works_on_database_of_run(self, variant: str) -> bool:
        """Says whether what the run's server counts is the variant's doing."""
        del variant
        return True

    @property
    def needs_database(self) -> bool:
        """Says whether the run has a use for a PostgreSQL of its own."""
        return True

    @property
    def searched(self) -> Sequence[str]:
        """The operations of somebody's own that can be held against exact search."""
        return ()

    @property
    def polled_tables(self) -> Sequence[str]:
        """Tells what the target reads again and again by itself, so that its counts say how long that went on."""
        return ()

    @property
    def tells_pool(self) -> bool:
        """Says whether the target says itself whether anybody waits for a connection, or nobody ever does."""
        return True

    @property
    def tells_plans(self) -> bool:
        """Says whether the target says itself how its statements are planned, for which it rolls transactions back."""
        return True

    def watched_in(self, phase: Phase) -> str:
        """The operation to which the server's word on statements belongs in this phase; empty where it is not asked."""
        del phase
        return ""

    @property
    def redis(self) -> CacheSettings:
        """A Redis of the run's own, where one is wanted."""
        return CacheSettings()

    @property
    def faults_of_embedding(self) -> EmbeddingFaults:
        """Says what the run's embedding server does wrong, where there is one."""
        return NO_FAULTS

    @field_validator("workers", mode="before")
    @classmethod
    def _known_workers(cls, workers: object) -> int | str:
        if not isinstance(workers, int | str) or isinstance(workers, bool):
            raise ValueError(f"{workers!r} names no workers")  # noqa: TRY004 -- for pydantic.
        kind, rest = kind_in(workers)
        kind.check(rest)
        return workers

    @field_validator("database")
    @classmethod
    def _known_provisioner(cls, database: DatabaseSettings) -> DatabaseSettings:
        known("database provisioner", database.provisioner, [AUTO, *PROVISIONERS])
        return database

    @field_validator("latency", mode="before")
    @classmethod
    def _named_latency(cls, value: object) -> object:
        """A name, or a section with the numbers themselves."""
        return LATENCIES[known("latency model", value, LATENCIES)] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for role in ("baseline", "candidate"):
            known(f"{role} among those that are run:", getattr(self, role), self.variant_names)
        for kind, names in {"strategies": self.variant_names, "phases": [each.name for each in self.phases]}.items():
            if repeated := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"{kind}: {', '.join(repeated)} stands more than once")
        return self

    @model_validator(mode="after")
    def _can_be_sliced(self) -> Self:
        if self.slices > 1 and self.indivisible:
            raise ValueError(f"slices: {self.indivisible}, so variants cannot take turns at its parts. Leave it out.")
        return self

    @model_validator(mode="after")
    def _can_be_cold(self) -> Self:
        if cold := next((phase.name for phase in self.phases if phase.is_cold), None):
            if self.workers != 1:
                raise ValueError(f"workers: {cold} is cold for one request at a time. Leave `workers` out.")
            if not self.needs_database:
                raise ValueError(f"{cold} wants a cold cache, and the run has no database. Leave `cache` out.")
            names = [phase.name for phase in self.phases]
            for phase in self.phases[names.index(cold) :]:
                if not phase.is_cold:
                    raise ValueError(f"{phase.name} comes after {cold}, which empties the cache. Put it before.")
        return self

    @property
    def indivisible(self) -> str:
        """Says why phases cannot be cut into slices; empty where they can."""
        kinds = [phase.arrival.kind for phase in self.phases if not isinstance(phase.arrival, ClosedLoopSettings)]
        if kinds:
            return f"{kinds[0]} has a schedule of its own"
        if self.timeline:
            return "a timeline counts from the beginning of a phase"
        if any(phase.is_cold for phase in self.phases):
            return "what makes a database cold is done to the server of all variants"
        return "Redis is one for all variants" if self.redis.redis else ""

    @model_validator(mode="after")
    def _timeline_fits(self) -> Self:
        durations_s = {phase.name: phase.duration_s for phase in self.phases}
        for entry in self.timeline:
            known("phase for the timeline:", entry.phase, durations_s)
            if entry.at_s >= durations_s[entry.phase]:
                raise ValueError(
                    f"timeline: {entry.action} at {entry.at_s:g} s of {entry.phase!r}, which lasts "
                    f"{durations_s[entry.phase]:g} s"
                )
        return self

    @computed_field  # type: ignore[prop-decorator]  # mypy knows properties, but not pydantic's on top of them
    @property
    def planned(self) -> dict[str, dict[str, int]]:
        """Says how many requests of each operation each phase has in one round; in a mix by its weights."""
        return {
            phase.name: {phase.asked(operation): count for operation, count in self.shares(phase).items()}
            for phase in self.phases
        }

    @property
    def for_worker(self) -> dict[str, Any]:
        """As JSON for a worker. A key that says nothing is left out: a worker of an older revision may not know it."""
        fields = type(self).model_fields.items()
        said = {name for name, field in fields if name != "workers" and getattr(self, name) != field.default}
        return self.model_dump(mode="json", round_trip=True, include=said)

    @property
    def side_by_side(self) -> int:
        """Says how many requests may be in flight at once."""
        return max(phase.open(self.seed).side_by_side for phase in self.phases)

    @property
    def lineup(self) -> tuple[Variant, ...]:
        """The variants by their own names, and then the control, if there is one."""
        controls = [Variant(f"{self.baseline} (control)", self.baseline, control_of=self.baseline)]
        return (*(Variant(name, name) for name in self.variant_names), *(controls if self.control else ()))

    @property
    def cuts_network(self) -> bool:
        return any(entry.action == "cut_network" for entry in self.timeline)

    def schedule(self) -> Iterator[tuple[int, Sequence[Variant]]]:
        """The timed rounds."""
        return counterbalanced(self.rounds, self.lineup)

    def profile_schedule(self) -> Iterator[tuple[int, Sequence[Variant]]]:
        """The rounds of the profiling pass, if there is one: of the pair, and of its control."""
        pair = [variant for variant in self.lineup if variant.strategy in (self.baseline, self.candidate)]
        return counterbalanced(self.profile.rounds if self.profile else 0, pair)

    def workload_of(self, round_number: int) -> Workload:
        """The requests of one round by its number, counted from 1; raises as `workloads` does."""
        return next(islice(self.workloads(), max(0, round_number - self.rounds), None))


def counterbalanced(rounds: int, variants: Sequence[Variant]) -> Iterator[tuple[int, Sequence[Variant]]]:
    """Each round in the opposite order of the one before, so that drift does not favour a variant."""
    for number in range(1, rounds + 1):
        yield number, variants if number % 2 else variants[::-1]


def named_after(section: Mapping[str, Any], asked: object) -> dict[str, Any]:
    """A phase's section with its name: after what it asks, unless it says otherwise."""
    return {"name": f"{asked}_cold" if section.get("cache") == "cold" else asked, **section}


def known(what: str, name: object, names: Mapping[str, object] | Sequence[str]) -> str:
    """The name, if there is such a one; else a `ValueError` with the nearest."""
    if isinstance(name, str) and name in names:
        return name
    raise ValueError(f"there is no {what} {name!r}. {nearest(str(name), names)}")
