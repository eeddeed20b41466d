"""A scenario of somebody's own operations: what each is asked with, in which mix, on which variants.

Not for how an operation is performed: the scenario of each target adds that to `Operation` and `OwnVariant`.
"""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final, Self, cast

from pydantic import (
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    computed_field,
    field_validator,
    model_validator,
)
from pydantic.json_schema import WithJsonSchema

from harness.measuring.arguments import LIST, OBJECT, Argument, Ask, arguments_in
from harness.measuring.draws import Draws, Weights
from harness.measuring.latencies import LATENCIES, LatencyProfile
from harness.measuring.operations import Request, Workload
from harness.measuring.scenario import Phase, Scenario, known, named_after
from harness.measuring.section import Section
from harness.measuring.seeds import Files, Seed, SeedCommand, files_of
from harness.measuring.servers.provisioners.protocol import DatabaseSettings

ONLY_VARIANT: Final = "current"
NAMES: Final = {
    "operations": re.compile(r"[A-Za-z_]\w*", re.ASCII),
    "variants": re.compile(r"[A-Za-z0-9][\w.+-]*", re.ASCII),
}
"""What a budget can name."""

MIX: Final = "mix"
RECALL: Final = re.compile(r"(?<![\w.])(\w+)\s*(?:\.\s*recall\b|\{[^}]*\brecall\s*=)")
STATEMENTS_PER_OP: Final = "statements_per_op"
COUNTED_ALONE: Final = 20
"""Requests of a phase that is there for what is counted: the same for every variant."""
SEEDS: Final = 2**53
"""As many as one draw tells apart."""

Weight = Annotated[float, Field(ge=0, le=1_000_000)]


class Operation(Section, frozen=True):
    """Something that the target can be asked, under its name in the scenario."""

    @property
    def drawn(self) -> Mapping[str, Argument]:
        """Says what each request of it carries, by name. By itself every key that takes drawn values."""
        return arguments_in(self)

    def requests(self, name: str, seed: int) -> Iterator[Request]:
        """One request after another, the same for every variant. Raises `UsageError` where nothing can be drawn."""
        streams = {
            key: argument.stream(lambda place: Draws(seed, f"{name} {place}"), key)
            for key, argument in self.drawn.items()
        }
        while True:
            yield Request(name, {key: next(stream) for key, stream in streams.items()})

    async def with_rows(self, ask: Ask) -> Self:
        changed = {key: await argument.with_rows(ask) for key, argument in arguments_in(self).items()}
        return self.model_copy(update=changed)


def _branch(arguments: object) -> str:
    return OBJECT if isinstance(arguments, dict) else LIST


Arguments = Annotated[
    Annotated[tuple[Argument, ...], Tag(LIST)] | Annotated[dict[str, Argument], Tag(OBJECT)], Discriminator(_branch)
]


class AskedOperation(Operation, frozen=True):
    """One with `arguments`: a list for those without a name, which are known by their number, or a table."""

    arguments: Arguments = ()
    """Literals and drawn values: a list, or a table by name."""

    @property
    def drawn(self) -> Mapping[str, Argument]:
        if isinstance(self.arguments, dict):
            return self.arguments
        return {str(number): argument for number, argument in enumerate(self.arguments, start=1)}

    async def with_rows(self, ask: Ask) -> Self:
        found = {name: await argument.with_rows(ask) for name, argument in self.drawn.items()}
        return self.model_copy(
            update={"arguments": found if isinstance(self.arguments, dict) else tuple(found.values())}
        )


class OwnVariant(Section, frozen=True):
    """Says what differs from the scenario under this name."""

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    description: str = ""
    """One line for reports."""
    schema_files: Files = Field(default=(), alias="schema")
    """SQL that makes the tables, in place of the scenario's."""
    seed: Seed | None = None
    """What fills them, in place of the scenario's."""
    migrate: Files = ()
    """SQL that changes what `schema` and `seed` made: a file beside the scenario, or several."""
    settings: Mapping[str, str] = {}
    """Settings of PostgreSQL for its sessions, such as work_mem."""


class OwnDatabase(DatabaseSettings, frozen=True):
    """`schema` is applied once, and then `seed`; every variant and round gets a clone of that."""

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    schema_files: Files = Field(default=(), alias="schema")
    """SQL that makes the tables: a file beside the scenario, or several."""
    seed: Seed = ()
    """What fills them: files of SQL beside the scenario, a command, or CSV and Parquet files by table."""
    statistics_files: Files = Field(default=(), alias="statistics")
    """What `pg_dump --statistics-only` wrote of another database: the planner then takes its rows for those here."""
    size: Annotated[int | None, Field(ge=1, le=1_000_000_000)] = None
    """How much a seed makes that asks for it: as the setting `harness.size` in SQL, and in a command's HARNESS_SIZE."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Says what is read of all of them."""
        return (*self.schema_files, *files_of(self.seed), *self.statistics_files)

    def of(self, variant: OwnVariant) -> "OwnDatabase":
        """With what the variant states in its place."""
        other: dict[str, Any] = {"schema_files": variant.schema_files} if variant.schema_files else {}
        return self.model_copy(update=other | ({} if variant.seed is None else {"seed": variant.seed}))


class OwnPhase(Phase, frozen=True):
    """One `operation`, or a `mix` of several, for a while; all of them equally unless stated. Named after it."""

    operation: str | None = None
    """The only operation of the phase."""
    mix: Mapping[str, Weight] = {}
    """How often each operation occurs beside the others."""
    counted_only: bool = False
    """Whether no request of it is timed, and only what is counted around it matters."""

    @property
    def is_timed(self) -> bool:
        return not self.counted_only

    @model_validator(mode="before")
    @classmethod
    def _named(cls, values: object) -> object:
        if isinstance(values, dict):
            section = cast("dict[str, Any]", values)
            arrival: object = section.get("arrival")
            is_trace = isinstance(arrival, dict) and cast("dict[str, object]", arrival).get("kind") == "trace"
            return named_after(section, section.get("operation", "trace" if is_trace else MIX))
        return values

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if self.operation is not None and self.mix:
            raise ValueError("`operation` and `mix` both say what is asked. Leave one of them out")
        if self.arrival.own_requests and (self.operation is not None or self.mix):
            raise ValueError(f"{self.arrival.kind} says what is asked. Leave `operation` and `mix` out")
        if self.mix and not sum(self.mix.values()):
            raise ValueError("mix: every weight is 0. Give one of the operations more")
        self.arrival.check(self.bounds)
        return self

    @property
    def asks(self) -> str:
        if self.arrival.own_requests:
            return self.arrival.kind
        return self.operation or MIX


class OwnScenario(Scenario, frozen=True):
    """A scenario of somebody's own operations on somebody's own database."""

    title: str = ""
    """The heading of a report; the scenario's name unless stated."""
    baseline: str = ""
    """The variant that others are compared with; the first unless stated."""
    candidate: str = ""
    """The variant that is compared with the baseline; the last unless stated."""
    latency: Annotated[LatencyProfile, WithJsonSchema({"enum": list(LATENCIES)})] = LATENCIES["local"]
    """The latency model: how far away the database is put; `local` unless stated, which adds nothing."""
    operations: Mapping[str, Operation]
    """What is asked, by name."""
    variants: Mapping[str, OwnVariant] = {}
    """What is compared, by name; `current` alone."""
    database: OwnDatabase = OwnDatabase()
    """Where PostgreSQL comes from, and what is in it before the run."""
    phases: Annotated[tuple[OwnPhase, ...], Field(min_length=1)]
    """What is asked, one phase after the other."""

    @model_validator(mode="before")
    @classmethod
    def _filled_in(cls, document: object) -> object:
        if not isinstance(document, dict):
            return document
        stated = cast("dict[str, Any]", document)
        variants: object = stated.get("variants") or {ONLY_VARIANT: {}}
        names = list(cast("dict[str, object]", variants)) if isinstance(variants, dict) else [""]
        ends = {"baseline": names[0], "candidate": names[-1]}
        filled: dict[str, Any] = {"title": stated.get("name", ""), **ends, **stated, "variants": variants}
        return filled

    @field_validator("operations", "variants", mode="before")
    @classmethod
    def _can_be_named(cls, section: object, info: ValidationInfo) -> object:
        """Also where a target's own scenario says what an operation is."""
        assert info.field_name is not None, "it is a field's"
        names = list(cast("dict[str, object]", section)) if isinstance(section, dict) else []
        if isinstance(section, dict) and not names:
            raise ValueError(f"there is none. Add a section [{info.field_name}.NAME]")
        for name in names:
            if not NAMES[info.field_name].fullmatch(name):
                raise ValueError(f"{name!r} is no name that a budget can use. Write letters, digits and underscores")
        return section  # pyright: ignore[reportUnknownVariableType]  # It is validated after this.

    @model_validator(mode="after")
    def _known_operations(self) -> Self:
        for phase in self.phases:
            traced = [request.operation for request in phase.arrival.own_requests]
            for name in (*([phase.operation] if phase.operation else []), *phase.mix, *traced):
                known(f"operation for phase {phase.name!r}:", name, self.operations)
        return self

    @model_validator(mode="after")
    def _recall_can_be_told(self) -> Self:
        for budget in self.budgets:
            named = RECALL.search(budget)
            if named and named[1] not in self.searched:
                raise ValueError(f"budgets: {budget}: {self.without_recall(named[1])}")
        return self

    def without_recall(self, operation: str) -> str:
        """Says why the operation is not held against exact search, and what to do."""
        return (
            f"this target does not search exactly as well, so nobody knows what {operation} has missed. A Python class "
            "does by a method `exact`, and SQL by one statement that reads; leave the budget out for others."
        )

    @computed_field  # type: ignore[prop-decorator]  # mypy knows properties, but not pydantic's on top of them
    @property
    def strategies(self) -> tuple[str, ...]:
        """The variants in their order, as a record names them."""
        return tuple(self.variants)

    @property
    def variant_names(self) -> tuple[str, ...]:
        return tuple(self.variants)

    def completed(self) -> Self:
        """What is counted around a phase can be told of an operation only where that has one to itself.

        So each that a budget names so, and that shares its phases, gets a short one, in which nothing is timed. So
        does each whose statements the server is to tell, since it does not while requests are timed.
        """
        alone = {name for phase in self.phases if len(shares := self.shares(phase)) == 1 for name in shares}
        others = set(self.operation_names) - alone - {phase.name for phase in self.phases}
        counted = [
            name
            for name in self.operation_names
            if self._is_watched(name) or (name in others and self._is_counted(name))
        ]
        further = [
            OwnPhase(name=f"{name} alone", operation=name, requests=COUNTED_ALONE, warm_up=1, counted_only=True)
            for name in counted
            if f"{name} alone" not in {phase.name for phase in self.phases}
        ]
        return self.model_copy(update={"phases": (*self.phases, *further)}) if further else self

    def _is_counted(self, name: str) -> bool:
        return self._is_budgeted(name, r"\w+_per_op")

    def _is_watched(self, name: str) -> bool:
        asked = STATEMENTS_PER_OP if self.tells_plans else rf"{STATEMENTS_PER_OP}|(?:\w+\s*\.\s*)?plan"
        return self._is_budgeted(name, asked)

    def _is_budgeted(self, name: str, metric: str) -> bool:
        """Whether a budget names such a metric of the operation."""
        return any(re.search(rf"(?<![\w.]){name}\s*\.\s*(?:{metric})\b", budget) for budget in self.budgets)

    @property
    def tells_pool(self) -> bool:
        return False

    @property
    def tells_plans(self) -> bool:
        return False

    def watched_in(self, phase: Phase) -> str:
        assert isinstance(phase, OwnPhase), "it is one of this scenario's"
        name = phase.operation or ""
        return name if phase.counted_only and self._is_watched(name) else ""

    def alone(self, operation: str) -> OwnPhase:
        return OwnPhase(name=operation, operation=operation, requests=1)

    def only(self, names: Sequence[str]) -> Self:
        kept = {name: self.variants[name] for name in names}
        roles = {"baseline": names[0], "candidate": names[-1]}
        ends = {role: other for role, other in roles.items() if getattr(self, role) not in names}
        return self.model_copy(update={"variants": kept, **ends})

    @property
    def operation_names(self) -> tuple[str, ...]:
        performed = {name for phase in self.phases for name in self.shares(phase)}
        return tuple(name for name in self.operations if name in performed)

    def weights(self, phase: OwnPhase) -> Mapping[str, float]:
        """Of the operations that the phase draws its requests from."""
        if phase.operation is not None:
            return {phase.operation: 1.0}
        return {name: weight for name, weight in (phase.mix or dict.fromkeys(self.operations, 1.0)).items() if weight}

    def shares(self, phase: Phase) -> Mapping[str, int]:
        assert isinstance(phase, OwnPhase), "it is one of this scenario's"
        requests = phase.timed(self.seed)
        if phase.arrival.own_requests:
            timed = phase.arrival.own_requests[phase.warm_up :][:requests]
            return dict(Counter(request.operation for request in timed))
        weights = self.weights(phase)
        whole = sum(weights.values())
        return {name: math.ceil(requests * weight / whole) for name, weight in weights.items()}

    def workloads(self) -> Iterator[Workload]:
        seed, further_seeds = self.seed, Draws(self.seed, "further seeds")
        while True:
            yield self._drawn(seed)
            seed = further_seeds.index(SEEDS)

    def _drawn(self, seed: int) -> Workload:
        streams = {name: operation.requests(name, seed) for name, operation in self.operations.items()}
        by_phase: dict[str, tuple[Request, ...]] = {}
        for phase in self.phases:
            total = phase.total(self.seed)
            if phase.arrival.own_requests:
                by_phase[phase.name] = tuple(phase.arrival.own_requests[:total])
            else:
                order = islice(_mixed(self.weights(phase), Draws(seed, f"{phase.name} operations")), total)
                by_phase[phase.name] = tuple(next(streams[name]) for name in order)
        return Workload((), by_phase)

    def contents(self) -> Mapping[str, str | int]:
        """Says what the files of `schema` and `seed` say, those of variants included."""
        digest = hashlib.sha256(str(self.database.size or "").encode())
        databases = [self.database]
        databases += [
            each for variant in self.variants.values() if (each := self.database.of(variant)) not in databases
        ]
        for database in databases:
            if isinstance(database.seed, SeedCommand):
                digest.update(repr(database.seed.command).encode())
            for path in database.files:
                digest.update(hashlib.sha256(path.read_bytes()).digest())
        return {"name": self.name, "fingerprint": digest.hexdigest()[:16]}

    @property
    def size(self) -> int | None:
        return self.database.size

    def of_size(self, size: int) -> Self:
        return self.model_copy(update={"database": self.database.model_copy(update={"size": size})})

    @property
    def size_loaded_in_seconds(self) -> int:
        return 200_000

    @property
    def for_worker(self) -> dict[str, Any]:
        """With its target, which for this scenario is the default, and for a worker would be another's."""
        return {"target": self.target, **super().for_worker}

    @property
    def is_loaded_here(self) -> bool:
        """Says whether code of the user's is loaded by the process that asks, which has room for one version of it."""
        return False

    @property
    def code(self) -> Sequence[Path]:
        """The files of the user's that are loaded so, and that may fill the database."""
        return ()

    @property
    def bound_to_no_revision(self) -> str:
        """A sentence where a checkout of another revision would not change what is measured; else empty."""
        return ""

    @property
    def installs(self) -> Sequence[tuple[Path, Sequence[str]]]:
        """The commands that make a checkout ready, each with the folder in which it is started."""
        return ()

    @property
    def draws_from_database(self) -> bool:
        return any(value.statement is not None for _, value in self._values)

    async def with_draws(self, database_url: str) -> Self:
        from harness.measuring.drawn_rows import asking_once  # noqa: PLC0415 -- a driver is slow to import

        async with asking_once(database_url) as ask:
            operations = {name: await operation.with_rows(ask) for name, operation in self.operations.items()}
        return self.model_copy(update={"operations": operations})

    @property
    def doubts(self) -> tuple[str, ...]:
        """Says what a run of it does not show, known once its draws are there."""
        return tuple(
            f"{place} is the same in every request: what is measured is a sample of one."
            for place, value in self._values
            if value.is_one_value
        ) + tuple(
            f"operations.{name}: no argument is drawn, so that every request is the same: what is measured is a sample "
            "of one."
            for name, operation in self.operations.items()
            if operation.drawn and not any(True for argument in operation.drawn.values() for _ in argument.drawn)
        )

    @property
    def _values(self) -> Iterator[tuple[str, Any]]:
        for name, operation in self.operations.items():
            for key, argument in operation.drawn.items():
                for place, value in argument.drawn:
                    yield f"operations.{name}: {key}{place}", value


def _mixed(weights: Mapping[str, float], draws: Draws) -> Iterator[str]:
    """One draw decides each, so the shares are the stated ones."""
    names, distribution = tuple(weights), Weights(list(weights.values()))
    while True:
        yield names[distribution.index(draws)]
