"""A scenario file: TOML in, one frozen value out, or an error that names the place and the nearest known word."""

import math
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, cast, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    computed_field,
    field_validator,
    model_validator,
)
from pydantic.json_schema import WithJsonSchema
from pydantic_core import ErrorDetails

from harness.errors import UsageError
from harness.measuring.arrivals import ARRIVALS, ArrivalSection
from harness.measuring.arrivals.closed_loop import ClosedLoopSettings
from harness.measuring.arrivals.protocol import Arrival, Bounds
from harness.measuring.corpora import CORPORA, CorpusSection
from harness.measuring.corpora.protocol import Corpus
from harness.measuring.draws import Draws
from harness.measuring.latencies import LATENCIES, LatencyProfile
from harness.measuring.requests import drawings
from harness.measuring.servers.addresses import is_url
from harness.measuring.servers.embedding_server import NO_FAULTS, Faults
from harness.measuring.servers.provisioners import AUTO, PROVISIONERS
from harness.measuring.servers.provisioners.protocol import DatabaseSettings, Disruption
from harness.measuring.servers.redis_server import REDIS, CacheSettings
from harness.measuring.servers.service_url import plain
from harness.measuring.shipped import shipped
from harness.measuring.targets import TARGETS
from harness.measuring.targets.protocol import OPERATIONS, LoadedMemory, OperationName
from harness.measuring.workloads import WORKLOADS, WorkloadSettings
from harness.measuring.workloads.protocol import Workload

TIER_STATES: Final[Mapping[str, tuple[int, float]]] = {
    "active": (0, 0.0),
    "thread": (5, 0.5),
    "stable": (20, 2.0),
    "network": (20, 2.0),
}
"""Access count and phi with which a loaded memory begins: what its tier implies."""

KINDS: Final[Mapping[str, Mapping[str, type[BaseModel]]]] = {"corpus": CORPORA, "arrival": ARRIVALS}
"""Sections whose keys depend on their `kind`."""

SLICES_ADVISED: Final = 20
"""Of a comparison. In parts of a fraction of a second a machine that becomes slower does so for both sides."""

Action = Disruption | Literal["cut_network"]
ACTIONS: Final[tuple[Action, ...]] = (*get_args(Disruption), "cut_network")
LASTING: Final[frozenset[Action]] = frozenset({"pause", "fill_disk", "cut_network"})
"""What goes on until something ends it."""


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Phase(Section):
    """A workload for a while, whose requests start as `arrival` says.

    No request starts after `time_s`, so a slow variant gives fewer samples of a closed loop. `requests` is how many
    there are at most in a closed loop; an open one sets it by its rate. `warm_up` requests come first, for half of the
    time at most, and are discarded. The name tells phases of one workload apart. A trace says itself what is sent.
    """

    workload: str | None = None
    name: Annotated[str, Field(min_length=1)]
    arrival: ArrivalSection = ClosedLoopSettings()
    requests: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    warm_up: Annotated[int, Field(ge=0, le=100_000)] = 0
    time_s: Annotated[float | None, Field(gt=0, le=86_400)] = None

    @model_validator(mode="before")
    @classmethod
    def _named(cls, values: object) -> object:
        """After its workload, or the trace that it replays, unless it says otherwise."""
        if isinstance(values, dict):
            section = cast("dict[str, object]", values)
            return {"name": section.get("workload", "trace"), **section}
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
        return self

    @property
    def bounds(self) -> Bounds:
        return Bounds(self.requests, self.warm_up, self.time_s)

    @property
    def duration_s(self) -> float:
        """How long requests are started at most."""
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
        """How many are planned; a time that is over before may leave some out."""
        timed = self.requests if self.requests is not None else self.open(seed).starts
        assert timed is not None, "a closed loop states its requests"
        return timed


@dataclass(frozen=True, slots=True)
class Variant:
    """A strategy under the name that it is measured by. A control measures another variant a second time."""

    name: str
    strategy: str
    control_of: str | None = None


class TimelineEntry(Section):
    """What is done to the database `at_s` seconds after a phase began, for `for_s` seconds.

    A restarted or killed server stays down for that long, or comes back at once where nothing is stated.
    """

    phase: str
    at_s: Annotated[float, Field(ge=0)]
    action: Annotated[Action, WithJsonSchema({"enum": list(ACTIONS)})]
    for_s: Annotated[float | None, Field(gt=0, le=3_600)] = None

    @field_validator("action", mode="before")
    @classmethod
    def _known(cls, name: object) -> str:
        return known("action", name, ACTIONS)

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.action in LASTING and self.for_s is None:
            raise ValueError(f"`for_s` is missing: {self.action} goes on until something ends it.")
        if self.action == "terminate_backends" and self.for_s is not None:
            raise ValueError("`for_s` stands beside terminate_backends, which is over at once. Leave it out.")
        return self


class Sampling(Section):
    """How long rounds beyond the planned ones may go on, in all, while more samples could settle the verdict."""

    time_s_max: Annotated[float, Field(ge=0, le=86_400)] = 0.0


SETTING_MAX: Final = 40


class ProfileSettings(Section):
    """`[profile]`: a pass of its own after the timed one, of the baseline and the candidate.

    Each round profiles `requests` of each operation one after the other, for `time_s` at most, and performs as many
    without a profiler. Fewer than two rounds cannot tell a change from noise.
    """

    rounds: Annotated[int, Field(ge=2, le=100)] = 6
    requests: Annotated[int, Field(ge=2, le=10_000)] = 10
    time_s: Annotated[float, Field(gt=0, le=3_600)] = 5.0


class Scenario(Section):
    """What is run, on what, how far away, and what must hold.

    `recall_queries` is of how many queries each variant's results are held against exact search, after the timed pass.
    With `control`, each round measures the baseline a second time, so that the noise of a comparison is known.
    Where each phase is cut into `slices`, the variants of a round take turns at them, so that a machine that becomes
    slower does so for all of them.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    title: str
    description: str = ""
    expectations: str = ""
    target: str = "anima"
    service_url: Annotated[str, AfterValidator(plain)] | None = None
    strategies: Annotated[tuple[str, ...], Field(min_length=1)]
    baseline: str
    candidate: str
    control: bool = False
    rounds: Annotated[int, Field(ge=1, le=1_000)] = 1
    slices: Annotated[int, Field(ge=1, le=1_000)] = 1
    workers: Annotated[int, Field(ge=1, le=64, description="Processes that share the load; 1 is this one.")] = 1
    seed: int = 1
    latency: Annotated[LatencyProfile, WithJsonSchema({"enum": list(LATENCIES)})]
    database: DatabaseSettings = DatabaseSettings()
    cache: CacheSettings = CacheSettings()
    corpus: CorpusSection
    workload: WorkloadSettings = WorkloadSettings()
    phases: Annotated[tuple[Phase, ...], Field(min_length=1)]
    timeline: tuple[TimelineEntry, ...] = ()
    sampling: Sampling = Sampling()
    profile: ProfileSettings | None = None
    embedding_faults: Faults = NO_FAULTS
    budgets: tuple[str, ...] = ()
    references: tuple[dict[str, str | float], ...] = ()
    recall_queries: Annotated[int, Field(ge=0, le=10_000)] = 0

    @field_validator("database")
    @classmethod
    def _known_provisioner(cls, database: DatabaseSettings) -> DatabaseSettings:
        known("database provisioner", database.provisioner, [AUTO, *PROVISIONERS])
        return database

    @field_validator("cache")
    @classmethod
    def _known_redis(cls, cache: CacheSettings) -> CacheSettings:
        if cache.redis is not None:
            known("source of Redis", cache.redis, [AUTO, *REDIS])
        return cache

    @field_validator("target")
    @classmethod
    def _known_target(cls, name: str) -> str:
        return known("target", name, TARGETS)

    @field_validator("latency", mode="before")
    @classmethod
    def _named_latency(cls, value: object) -> object:
        """A name, or a section with the numbers themselves."""
        return LATENCIES[known("latency model", value, LATENCIES)] if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _one_strategy_is_both(cls, document: Any) -> Any:  # noqa: ANN401 -- as pydantic hands it over
        match document:
            case {"strategies": [str() as only]}:
                return {"baseline": only, "candidate": only} | document
            case _:
                return document

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        variants = TARGETS[self.target]().variants()
        for name in (*self.strategies, self.baseline, self.candidate):
            known("strategy", name, variants)
        for role in ("baseline", "candidate"):
            known(f"{role} among the strategies that are run:", getattr(self, role), self.strategies)
        for kind, names in {"strategies": self.strategies, "phases": [phase.name for phase in self.phases]}.items():
            if repeated := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"{kind}: {', '.join(repeated)} stands more than once")
        return self

    @model_validator(mode="after")
    def _can_be_sliced(self) -> Self:
        if self.slices > 1 and self.indivisible:
            raise ValueError(f"slices: {self.indivisible}, so variants cannot take turns at its parts. Leave it out.")
        return self

    @property
    def indivisible(self) -> str:
        """Why phases cannot be cut into slices; empty where they can."""
        kinds = [phase.arrival.kind for phase in self.phases if not isinstance(phase.arrival, ClosedLoopSettings)]
        if kinds:
            return f"{kinds[0]} has a schedule of its own"
        if self.timeline:
            return "a timeline counts from the beginning of a phase"
        return "Redis is one for all variants" if self.cache.redis else ""

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
    def operations(self) -> tuple[OperationName, ...]:
        """What the phases perform, in the order of the operations."""
        kinds = {phase.workload for phase in self.phases}
        kinds |= {request.operation for phase in self.phases for request in phase.arrival.own_requests}
        mixed = {name for name, weight in self.workload.mix.model_dump().items() if weight and "mix" in kinds}
        return tuple(operation for operation in OPERATIONS if operation in kinds | mixed)

    @computed_field  # type: ignore[prop-decorator]  # as above
    @property
    def planned(self) -> dict[str, dict[str, int]]:
        """How many requests of each operation each phase has in one round; in a mix, as many as its weights expect."""
        return {phase.name: self._shares(phase) for phase in self.phases}

    def _shares(self, phase: Phase) -> dict[str, int]:
        requests = phase.timed(self.seed)
        if phase.workload is None:
            return dict(Counter(request.operation for request in phase.arrival.own_requests[:requests]))
        weights = self.workload.mix.model_dump() if phase.workload == "mix" else {phase.workload: 1}
        whole = sum(weights.values())
        return {name: math.ceil(requests * weight / whole) for name, weight in weights.items() if weight}

    @property
    def told(self) -> dict[str, Any]:
        """As JSON for a worker. A key that says nothing is left out: a worker of an older revision may not know it."""
        said = {name for name, field in type(self).model_fields.items() if getattr(self, name) != field.default}
        return self.model_dump(mode="json", round_trip=True, include=said)

    @property
    def side_by_side(self) -> int:
        """How many requests may be in flight at once."""
        return max(phase.open(self.seed).side_by_side for phase in self.phases)

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The strategies by their own names, and then the control, if there is one."""
        controls = [Variant(f"{self.baseline} (control)", self.baseline, control_of=self.baseline)]
        return (*(Variant(name, name) for name in self.strategies), *(controls if self.control else ()))

    @property
    def cuts_network(self) -> bool:
        return any(entry.action == "cut_network" for entry in self.timeline)

    def schedule(self) -> Iterator[tuple[int, Sequence[Variant]]]:
        """The timed rounds."""
        return counterbalanced(self.rounds, self.variants)

    def profile_schedule(self) -> Iterator[tuple[int, Sequence[Variant]]]:
        """The rounds of the profiling pass, if there is one: of the pair, and of its control."""
        pair = [variant for variant in self.variants if variant.strategy in (self.baseline, self.candidate)]
        return counterbalanced(self.profile.rounds if self.profile else 0, pair)

    def open_corpus(self) -> Corpus:
        """Raises `UsageError` when the texts cannot be had."""
        return self.corpus.open()

    def corpus_facts(self) -> dict[str, str | int]:
        """What tells this corpus from another one. Raises `UsageError` when its texts cannot be had."""
        corpus = self.open_corpus()
        return {"name": corpus.name, "fingerprint": corpus.fingerprint, "size": self.corpus.size}

    def open_workloads(self, corpus: Corpus) -> Iterator[Workload]:
        """The requests of the planned rounds, which are all the same, and then those of each further round.

        Raises `UsageError` when the corpus has too few texts for the next.
        """
        totals = {phase.name: phase.total(self.seed) for phase in self.phases}
        asked = {phase.name: (phase.workload, totals[phase.name]) for phase in self.phases if phase.workload}
        brought = {
            phase.name: phase.arrival.own_requests[: totals[phase.name]] for phase in self.phases if not phase.workload
        }
        return drawings(self.workload, corpus, self.seed, asked, brought)

    def workload_of(self, round_number: int) -> Workload:
        """The requests of one round by its number, counted from 1; raises as `open_workloads` does."""
        further = max(0, round_number - self.rounds)
        return next(islice(self.open_workloads(self.open_corpus()), further, None))

    def loaded(self, corpus: Corpus) -> Sequence[LoadedMemory]:
        """The corpus as it is in the database before the run, each memory in its tier."""
        memories = corpus.memories(self.corpus.size)
        tiers = self.corpus.tiers.assign(len(memories))
        return [LoadedMemory(memory, tier, *TIER_STATES[tier]) for memory, tier in zip(memories, tiers, strict=True)]


def counterbalanced(rounds: int, variants: Sequence[Variant]) -> Iterator[tuple[int, Sequence[Variant]]]:
    """Each round in the opposite order of the one before, so that drift does not favour a variant."""
    for number in range(1, rounds + 1):
        yield number, variants if number % 2 else variants[::-1]


def known(what: str, name: object, names: Mapping[str, object] | Sequence[str]) -> str:
    """The name, if there is such a one; else a `ValueError` with the nearest."""
    if isinstance(name, str) and name in names:
        return name
    raise ValueError(f"there is no {what} {name!r}. {suggestion(str(name), list(names))}")


def suggestion(word: str, words: Sequence[str]) -> str:
    close = get_close_matches(word, words, n=1, cutoff=0.5)
    return f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(words)}."


def find(name: str) -> Path:
    """A scenario by its name or its path. Raises `UsageError`."""
    path = Path(name)
    if path.suffix == ".toml":
        if path.is_file():
            return path
        raise UsageError(f"There is no scenario file {name}.")
    if name not in shipped():
        raise UsageError(f"There is no scenario {name!r}. {suggestion(name, list(shipped()))} Name a file by its path.")
    return shipped()[name]


def load(
    name: str, *, settings: Sequence[str] = (), strategies: str | None = None, database: str | None = None
) -> Scenario:
    """A scenario by name or path, with what the command line says instead. Raises `UsageError` with file and key."""
    path = find(name)
    document = _read(path)
    for setting in settings:
        _set(document, setting)
    _name_settings(document, settings)
    if strategies is not None:
        _select(document, [name.strip() for name in strategies.split(",")])
    return _validated(path, document, database)


def stored(run_id: str, scenario: Mapping[str, Any], database: str | None) -> Scenario:
    """The scenario of a run, as its record has it. A server's URL is never in there, so it is named again."""
    document = {key: value for key, value in scenario.items() if key not in Scenario.model_computed_fields}
    return _validated(Path(run_id), document, database)


def _validated(path: Path, document: dict[str, Any], database: str | None) -> Scenario:
    """Raises `UsageError` with a sentence per mistake."""
    if database is not None and database != AUTO:
        wish = {"provisioner": "external", "url": database} if is_url(database) else {"provisioner": database}
        document["database"] = document.get("database", {}) | wish
    try:
        return Scenario.model_validate(document)
    except ValidationError as error:
        raise UsageError("\n".join(_explain(path, issue) for issue in _mistakes(error.errors()))) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: not readable as TOML: {error}.") from None


def _set(document: dict[str, Any], setting: str) -> None:
    """`corpus.size=500`: the value is TOML where it can be read as such, else text."""
    key, equals, value = setting.partition("=")
    *sections, last = key.strip().split(".")
    if not equals or not last:
        raise UsageError(f"--set {setting}: expected KEY=VALUE, such as corpus.size=500.")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value
    place = document
    for section in sections:
        inner: object = place.setdefault(section, {})
        if not isinstance(inner, dict):
            raise UsageError(f"--set {setting}: {section!r} is not a section, so it has no key {last!r}.")
        place = cast("dict[str, Any]", inner)
    place[last] = parsed


def _name_settings(document: dict[str, Any], settings: Sequence[str]) -> None:
    """Has the title say what it was not written for; of a long value, or one that may be an address, only the key."""
    told = [each if len(each) <= SETTING_MAX and "://" not in each else each.partition("=")[0] for each in settings]
    told = [each for each in told if not each.startswith("title=")]
    if told and isinstance(document.get("title"), str):
        document["title"] = f"{document['title']}, with {', '.join(told)}"


def _select(document: dict[str, Any], names: Sequence[str]) -> None:
    """Runs only these strategies, with the scenario's baseline and candidate where they are among them."""
    document["strategies"] = list(names)
    for role, fallback in (("baseline", names[0]), ("candidate", names[-1])):
        if document.get(role) not in names:
            document[role] = fallback


def json_schema() -> dict[str, Any]:
    """Of a scenario file, for editors."""
    schema = Scenario.model_json_schema(mode="validation")
    schema["required"] = [name for name in schema["required"] if name not in {"baseline", "candidate"}]
    return schema


def _mistakes(issues: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Without the list that pydantic calls too short because what is wrong in it does not count."""
    within = {part for issue in issues for part in issue["loc"][:-1]}
    return [issue for issue in issues if issue["type"] != "too_short" or issue["loc"][-1] not in within]


def _explain(path: Path, issue: ErrorDetails) -> str:
    """One sentence per mistake: the file, the key, and what was meant."""
    # Inside such a section pydantic names its kind as well, which is not a key of the file.
    location = [part for place, part in enumerate(issue["loc"]) if not _is_kind(issue["loc"], place)]
    key = ".".join(map(str, location))
    match issue["type"]:
        case "extra_forbidden":
            fields = list(_model_at(issue["loc"][:-1]).model_fields)
            return f"{path}: unknown key {key!r}. {suggestion(str(location[-1]), fields)}"
        case "missing":
            return f"{path}: {key!r} is missing."
        case "union_tag_not_found":
            return f"{path}: '{key}.kind' is missing. Known: {', '.join(KINDS[str(location[-1])])}."
        case "union_tag_invalid":
            kind = issue["ctx"]["tag"] if "ctx" in issue else ""
            return f"{path}: {key}: there is no kind {kind!r}. {suggestion(kind, list(KINDS[str(location[-1])]))}"
        case _:
            return f"{path}: {f'{key}: ' if key else ''}{issue['msg'].removeprefix('Value error, ')}"


def _is_kind(location: Sequence[object], place: int) -> bool:
    return place > 0 and location[place - 1] in KINDS


def _model_at(location: Sequence[object]) -> type[BaseModel]:
    """The section at this place of a scenario."""
    model: type[BaseModel] = Scenario
    for place, part in enumerate(location):
        if _is_kind(location, place):
            model = KINDS[str(location[place - 1])][str(part)]
        elif part in model.model_fields:
            model = next(_models_in(model.model_fields[str(part)].annotation), model)
    return model


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    """The models that an annotation mentions, the outermost first."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
