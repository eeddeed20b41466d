"""A scenario of somebody's own service: how it is started or where it runs, and what it is asked."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Self, cast

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from harness.errors import nearest
from harness.measuring.beside import FolderBeside
from harness.measuring.own_scenario import ONLY_VARIANT, OwnScenario, OwnVariant
from harness.measuring.section import Section
from harness.measuring.servers.service import PORT
from harness.measuring.servers.service_url import plain
from harness.measuring.targets.http.operation import HttpOperation
from harness.measuring.targets.http.templates import ENVIRONMENT, Placeholder
from harness.redaction import SECRET_NAME, names_another

UNUSED_DATABASE: Final = (
    "What [database] names is made nowhere, since the service runs already, with a database of its own."
)
DATABASE_PARTS: Final = ("database_url", "database_host", "database_port", "database_name", "database_user")
"""What a service may be told of its database, in its command and in its environment."""

COUNTED_ON_THE_SERVER: Final = ("rows_per_op", "blocks_per_op")


def _no_secret(environment: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in environment.items():
        if SECRET_NAME.search(name) and not names_another(value):
            raise ValueError(
                f"{name}: a secret stands here, which no record keeps. Leave it out: the service has the harness's own "
                "environment as well"
            )
    return environment


def _commands(value: object) -> object:
    """One command stands for a list of one."""
    is_one = isinstance(value, (list, tuple)) and all(isinstance(part, str) for part in cast("list[object]", value))
    return [value] if value and is_one else value  # pyright: ignore[reportUnknownVariableType]  # It is validated.


ServiceCommands = Annotated[
    tuple[Annotated[tuple[str, ...], Field(min_length=1)], ...],
    BeforeValidator(_commands, json_schema_input_type=list[str] | list[list[str]]),
]
Environment = Annotated[Mapping[str, str], AfterValidator(_no_secret)]
Url = Annotated[str, AfterValidator(plain)]


class OwnService(Section, frozen=True):
    """A `command` that is started for each variant and round, or the `url` of a service that runs already."""

    command: tuple[str, ...] = Field(
        default=(),
        description="The program and its arguments, without a shell. {port} stands for the port on 127.0.0.1, and "
        f"{', '.join(f'{{{part}}}' for part in DATABASE_PARTS)} for its database.",
    )
    env: Environment = Field(default={})
    """Variables beside those that the harness has, with what stands in `command`."""
    install: ServiceCommands = ()
    """Makes a checkout of a git revision ready, for `harness compare --revisions`: the program and its arguments,
    without a shell, or several such lists; started in `directory`."""
    directory: FolderBeside = Field(default=Path(), validate_default=True)
    """Where it is started; beside the scenario unless stated."""
    ready: str = Field(default="/", pattern="^/")
    """The path that is answered with success once it is up."""
    start_timeout_s: float = Field(default=60.0, gt=0, le=3_600)
    """How long it may take to be ready."""
    url: Url | None = None
    """Of a service that runs already, with a database of its own."""
    timeout_s: float = Field(default=60.0, gt=0, le=3_600)
    """How long one answer is waited for."""

    def fault(self) -> str | None:
        if bool(self.command) == (self.url is not None):
            return "either `command` or `url` says which service is measured, and one of them only"
        if self.command and not any(PORT in text for text in (*self.command, *self.env.values())):
            return (
                f"{PORT} stands neither in `command` nor in `env`, so the service cannot know on which port to listen"
            )
        return None


class HttpVariant(OwnVariant, frozen=True):
    """Says what differs of the service or of its database."""

    command: tuple[str, ...] = ()
    """In place of the service's."""
    env: Environment = Field(default={})
    """Beside the service's."""
    directory: FolderBeside | None = None
    """In place of the service's."""
    url: Url | None = None
    """In place of the service's `command` or `url`."""


class HttpScenario(OwnScenario, frozen=True):
    """Before anything is timed each user makes the requests of whose answers others take a part."""

    target: str
    """The name of the target, `http`."""
    service: OwnService
    """The service that is measured."""
    operations: Annotated[Mapping[str, HttpOperation], Field(min_length=1)]
    """What is asked, by name."""
    variants: Mapping[str, HttpVariant] = {}
    """What is compared, by name; `current` alone."""

    def service_of(self, variant: str) -> OwnService:
        changed = self.variants.get(variant, HttpVariant())
        other: dict[str, object] = {"env": {**self.service.env, **changed.env}}
        if changed.directory is not None:
            other["directory"] = changed.directory
        if changed.command or changed.url is not None:
            other |= {"command": changed.command, "url": changed.url}
        return self.service.model_copy(update=other)

    @property
    def bound_to_no_revision(self) -> str:
        running = next((url for name in self.variants if (url := self.service_of(name).url) is not None), None)
        if running is None:
            return ""
        return (
            f"{running} runs already, whatever revision is checked out here. State `service.command`, with which each "
            "revision is started, and what its checkout needs before as `service.install`."
        )

    @property
    def installs(self) -> Sequence[tuple[Path, Sequence[str]]]:
        services = [self.service_of(name) for name in self.variants]
        return [(each.directory, command) for each in services for command in each.install]

    def works_on_database_of_run(self, variant: str) -> bool:
        return self.service_of(variant).url is None

    @property
    def needs_database(self) -> bool:
        """Not where all that is asked runs already, and nothing is drawn from a database or done to one."""
        works = any(self.works_on_database_of_run(name) for name in self.variants)
        return works or self.draws_from_database or bool(self.timeline or self.latency.database_rtt_ms)

    @property
    def doubts(self) -> tuple[str, ...]:
        unused = () if self.needs_database or not self.database.files else (UNUSED_DATABASE,)
        return (*super().doubts, *unused)

    @property
    def counts_rows(self) -> bool:
        """Says whether a budget names what a server tells of other sessions seconds later only."""
        return any(word in budget for budget in self.budgets for word in COUNTED_ON_THE_SERVER)

    @property
    def begun_with(self) -> tuple[str, ...]:
        """The operations whose answers others take something of, each after those that it takes something of itself."""
        begun: dict[str, None] = {}

        def begin(name: str, under_way: tuple[str, ...]) -> None:
            for giver in self._givers(name):
                if giver not in under_way:
                    begin(giver, (*under_way, giver))
                    begun[giver] = None

        for name in self.operations:
            begin(name, (name,))
        return tuple(begun)

    def kept_of(self, operation: str) -> frozenset[Placeholder]:
        """Says what other requests take of its answers."""
        return frozenset(
            reference
            for each in self.operations.values()
            for _, reference in each.references
            if reference.name == operation and reference.name not in each.names
        )

    @model_validator(mode="after")
    def _startable(self) -> Self:
        for name in self.variants:
            if fault := self.service_of(name).fault():
                of = "" if name == ONLY_VARIANT else f" of variant {name!r}"
                raise ValueError(f"service{of}: {fault}")
        return self

    @model_validator(mode="after")
    def _all_is_given(self) -> Self:
        for name, operation in self.operations.items():
            for place, reference in operation.references:
                if fault := self._ungiven(operation, reference):
                    raise ValueError(f"operations.{name}.{place}: nothing gives {reference}: {fault}")
        return self

    def _ungiven(self, operation: HttpOperation, reference: Placeholder) -> str | None:
        """Why it has no value, and what to do."""
        if reference.name in operation.names:
            return None
        if reference.name == ENVIRONMENT:
            return None if len(reference.path) == 1 else "a variable of the environment is named as in {env.API_KEY}"
        if reference.name not in self.operations:
            names = [*operation.names, *self.operations]
            return f"it is no name in `values`, and no operation. {nearest(reference.name, names)}"
        if not reference.path:
            return f"say which part of the answer is meant, as in {{{reference.name}.id}}"
        return None

    def _givers(self, name: str) -> Iterator[str]:
        operation = self.operations[name]
        for _, reference in operation.references:
            if reference.name in self.operations and reference.name not in operation.names:
                yield reference.name
