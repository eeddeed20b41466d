"""Says what an operation is asked with: literals, values drawn for each request, and lists and objects of both."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import date, time
from itertools import repeat
from typing import TYPE_CHECKING, Annotated, Any, Final, Self, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    RootModel,
    Tag,
    create_model,
    model_serializer,
)

from harness.measuring.draws import Draws
from harness.measuring.section import Section
from harness.measuring.values import VALUES
from harness.measuring.values.protocol import DrawnValue, Plain

Ask = Callable[[str], Awaitable[Sequence[Plain]]]
"""The first column of the rows of a statement."""


class DrawnOne(Section, frozen=True):
    """A table with one key, the kind of a drawn value."""

    @model_serializer
    def _one(self) -> dict[str, object]:
        [kind] = self.model_fields_set
        return {kind: self.value.model_dump(mode="json", exclude_unset=True)}

    @property
    def value(self) -> DrawnValue:
        [kind] = self.model_fields_set
        return cast("DrawnValue", getattr(self, kind))

    def with_rows(self, rows: Sequence[Plain]) -> Self:
        [kind] = self.model_fields_set
        return self.model_copy(update={kind: self.value.with_rows(rows)})


if TYPE_CHECKING:
    Drawn = DrawnOne
else:
    _kinds: Final[Mapping[str, Any]] = {
        kind: (settings | None, Field(default=None, description=settings.__doc__)) for kind, settings in VALUES.items()
    }
    Drawn = create_model("Drawn", __base__=DrawnOne, **_kinds)

# In the place of a mistake pydantic names the branch as well, which is no key of a scenario: see `scenario_files`.
DRAWN: Final = "(drawn)"
LIST: Final = "(list)"
OBJECT: Final = "(object)"
LITERAL: Final = "(literal)"
COMMAND: Final = "(command)"
BRANCHES: Final = frozenset({DRAWN, LIST, OBJECT, LITERAL, COMMAND})


def _branch(value: object) -> str:
    if isinstance(value, Argument):
        value = value.root
    match value:
        case DrawnOne():
            return DRAWN
        case dict():
            return DRAWN if _is_drawn(cast("dict[object, object]", value)) else OBJECT
        case list() | tuple():
            return LIST
        case _:
            return LITERAL


def _is_drawn(entries: Mapping[object, object]) -> bool:
    """Whether its only key is a kind, with settings."""
    return len(entries) == 1 and all(
        kind in VALUES and isinstance(settings, (dict, DrawnValue)) for kind, settings in entries.items()
    )


def _plain(value: object) -> object:
    """The value as JSON has it: TOML has dates of its own, and JSON has not."""
    return value.isoformat() if isinstance(value, (date, time)) else value


class Argument(
    RootModel[
        Annotated[
            Annotated[Drawn, Tag(DRAWN)]
            | Annotated[tuple["Argument", ...], Tag(LIST)]
            | Annotated[dict[str, "Argument"], Tag(OBJECT)]
            | Annotated[str | int | float | bool | None, BeforeValidator(_plain), Tag(LITERAL)],
            Discriminator(_branch),
        ]
    ],
    frozen=True,
):
    """One argument: what it says, or `{ zipf = { … } }` and the like, also deep inside a list or an object."""

    def stream(self, draws: Callable[[str], Draws], place: str = "") -> Iterator[Plain]:
        """One value after another. Each drawn one has a stream of its own, by its place."""
        match self.root:
            case DrawnOne() as drawn:
                return drawn.value.stream(draws(place))
            case tuple() as items:
                streams = [item.stream(draws, f"{place}.{number}") for number, item in enumerate(items)]
                return (list(values) for values in _together(streams))
            case dict() as entries:
                named = [entry.stream(draws, f"{place}.{name}") for name, entry in entries.items()]
                return (dict(zip(entries, values, strict=True)) for values in _together(named))
            case literal:
                return repeat(literal)

    @property
    def drawn(self) -> Iterator[tuple[str, DrawnValue]]:
        """Each drawn value in it, with its place."""
        match self.root:
            case DrawnOne() as drawn:
                yield "", drawn.value
            case tuple() as items:
                for number, item in enumerate(items, start=1):
                    yield from ((f".{number}{place}", value) for place, value in item.drawn)
            case dict() as entries:
                for name, entry in entries.items():
                    yield from ((f".{name}{place}", value) for place, value in entry.drawn)
            case _:
                return

    async def with_rows(self, ask: Ask) -> Self:
        """With what the statements in it give."""
        match self.root:
            case DrawnOne() as drawn:
                statement = drawn.value.statement
                return self if statement is None else self._with(drawn.with_rows(await ask(statement)))
            case tuple() as items:
                return self._with(tuple([await item.with_rows(ask) for item in items]))
            case dict() as entries:
                return self._with({name: await entry.with_rows(ask) for name, entry in entries.items()})
            case _:
                return self

    def _with(self, root: object) -> Self:
        return self.model_copy(update={"root": root})


def _together(streams: Sequence[Iterator[Plain]]) -> Iterator[tuple[Plain, ...]]:
    """Without an end, even of no streams."""
    while True:
        yield tuple(next(stream) for stream in streams)


def arguments_in(model: BaseModel) -> Mapping[str, Argument]:
    """Those that a section has, by their keys."""
    fields = {name: cast("object", getattr(model, name)) for name in type(model).model_fields}
    return {name: value for name, value in fields.items() if isinstance(value, Argument)}
