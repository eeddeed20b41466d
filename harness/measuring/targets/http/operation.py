"""Tells what a scenario says of one operation of a service: the request, with placeholders, and a right answer."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal, Self, cast

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, model_validator

from harness.measuring.arguments import Argument, DrawnOne
from harness.measuring.own_scenario import Operation
from harness.measuring.section import Section
from harness.measuring.targets.http.templates import Placeholder, references
from harness.redaction import SECRET_NAME, names_another

DRAWN: Final = "(drawn)"
"""Of a reference to what was drawn for a place in `query`, `json` or `form`; no placeholder can be named so."""

OF_THE_RUN: Final = frozenset({"cookie", "authorization"})
HttpStatus = Annotated[int, Field(ge=100, le=599)]


def _is_table(argument: Argument | None) -> Argument | None:
    if argument is not None and not isinstance(argument.root, dict):
        raise ValueError("this is a table of names and values")
    return argument


ArgumentTable = Annotated[Argument, AfterValidator(_is_table)]


class Expectation(Section, frozen=True):
    """Says what makes an answer a right one. Without a status any of success does."""

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    status: HttpStatus | tuple[HttpStatus, ...] | None = None
    """One status, or several."""
    json_: JsonValue = Field(default=None, alias="json")
    """What the JSON holds at least; may hold the request's placeholders."""

    def allows(self, status: int) -> bool:
        match self.status:
            case None:
                return 200 <= status < 300  # noqa: PLR2004 -- HTTP's range of success
            case int():
                return status == self.status
            case _:
                return status in self.status

    @property
    def wanted(self) -> str:
        match self.status:
            case None:
                return "one of success"
            case int():
                return str(self.status)
            case _:
                return " or ".join(map(str, self.status))


class HttpOperation(Operation, frozen=True):
    """A request. `{title}` is what `values` draws under this name, `{create.id}` a part of the user's last such answer.

    In `query`, `json` and `form` a drawn value may stand in its place, without a name. `{env.API_KEY}` is a variable of
    the environment, which no record keeps.
    """

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] = "GET"
    """HTTP's word for what is done."""
    path: str = Field(pattern="^/")
    """Below the service's address; values in it are quoted."""
    query: ArgumentTable | None = None
    """What stands behind the `?`."""
    headers: Mapping[str, str] = {}
    """Headers beside those that every client sends."""
    json_: Argument | None = Field(default=None, alias="json")
    """The body, sent as JSON."""
    form: ArgumentTable | None = None
    """The body, sent as a browser sends a form."""
    values: ArgumentTable | None = None
    """Values drawn for each request, by the names of `{name}`."""
    expect: Expectation = Expectation()
    """What makes an answer a right one."""

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        if self.json_ is not None and self.form is not None:
            raise ValueError("`json` and `form` are both the body. Leave one of them out")
        return self

    @model_validator(mode="after")
    def _no_secrets(self) -> Self:
        for place, text in self._texts():
            key = place.rpartition(".")[2]
            if (SECRET_NAME.search(key) or key.lower() in OF_THE_RUN) and not names_another(text):
                raise ValueError(
                    f"{place}: a secret stands here, which no record keeps, so that the run could not be repeated. "
                    'Put it into the environment and write "{env.NAME}"'
                )
        return self

    @property
    def drawn(self) -> Mapping[str, Argument]:
        carried = {"values": self.values, "query": self.query, "json": self.json_, "form": self.form}
        return {name: argument for name, argument in carried.items() if argument and any(argument.drawn)}

    @property
    def names(self) -> tuple[str, ...]:
        """Says what `values` draws."""
        return tuple(self.values.root) if self.values and isinstance(self.values.root, dict) else ()

    @property
    def templates(self) -> Mapping[str, object]:
        """By its place, each part that may hold placeholders; references in the places of drawn values."""
        parts = {name: getattr(self, key) for name, key in (("query", "query"), ("json", "json_"), ("form", "form"))}
        return {
            "path": self.path,
            "headers": dict(self.headers),
            **{name: tree(argument, (name,)) for name, argument in parts.items() if argument is not None},
            **({"expect.json": self.expect.json_} if self.expect.json_ is not None else {}),
        }

    @property
    def references(self) -> Iterator[tuple[str, Placeholder]]:
        """Each placeholder with its place."""
        for place, template in self.templates.items():
            yield from ((at, each) for at, each in references(template, place) if each.name != DRAWN)

    def _texts(self) -> Iterator[tuple[str, str]]:
        for place, template in self.templates.items():
            yield from _texts_in(template, place)


def tree(argument: Argument, path: tuple[str, ...]) -> object:
    """Gives what it says, with a reference in the place of each drawn value."""
    match argument.root:
        case DrawnOne():
            return Placeholder(DRAWN, path)
        case tuple() as items:
            return [tree(item, (*path, str(number))) for number, item in enumerate(items)]
        case dict() as entries:
            return {name: tree(entry, (*path, name)) for name, entry in entries.items()}
        case literal:
            return literal


def _texts_in(template: object, place: str) -> Iterator[tuple[str, str]]:
    match template:
        case str():
            yield place, template
        case dict():
            for key, value in cast("dict[str, object]", template).items():
                yield from _texts_in(value, f"{place}.{key}")
        case list():
            for value in cast("list[object]", template):
                yield from _texts_in(value, place)
        case _:
            pass
