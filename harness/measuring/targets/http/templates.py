"""Texts and JSON with placeholders: `{title}` is drawn, `{create.id}` was answered, `{env.API_KEY}` is secret.

A text that is one placeholder becomes the value itself, so that a number stays one in JSON; within other text it
becomes text. Braces around anything but a name stay as they are; `{{name}}` is the text `{name}`.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

ENVIRONMENT: Final = "env"
PLACEHOLDER: Final = re.compile(r"\{\{(?P<literal>[A-Za-z_][\w.-]*)\}\}|\{(?P<names>[A-Za-z_][\w-]*(?:\.[\w-]+)*)\}")


@dataclass(frozen=True, slots=True)
class Placeholder:
    """Says what stands between braces: a drawn value, a variable of the environment, or a part of an answer."""

    name: str
    path: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{{{'.'.join((self.name, *self.path))}}}"


Lookup = Callable[[Placeholder], object]
Filled = Callable[[Lookup], object]
"""A template that has been read once, and is filled for each request."""


def references(template: object, place: str) -> Iterator[tuple[str, Placeholder]]:
    """Each with the place at which it stands."""
    match template:
        case Placeholder():
            yield place, template
        case str():
            yield from ((place, part) for part in _parts(template) if isinstance(part, Placeholder))
        case Mapping():
            for key, value in cast("Mapping[str, object]", template).items():
                yield from references(value, f"{place}.{key}")
        case list() | tuple():
            for number, value in enumerate(cast("Sequence[object]", template)):
                yield from references(value, f"{place}.{number}")
        case _:
            pass


def read(template: object, *, quote: Callable[[str], str] = str) -> Filled:
    """`quote` is what a value needs to stand within other text. A `Reference` may stand anywhere by itself."""
    match template:
        case Placeholder():
            return lambda lookup: lookup(template)
        case str():
            return _read_text(_parts(template), quote)
        case Mapping():
            fields = {key: read(value, quote=quote) for key, value in cast("Mapping[str, object]", template).items()}
            return lambda lookup: {key: filled(lookup) for key, filled in fields.items()}
        case list() | tuple():
            items = [read(value, quote=quote) for value in cast("Sequence[object]", template)]
            return lambda lookup: [filled(lookup) for filled in items]
        case _:
            return lambda _: template


def read_text(template: str, *, quote: Callable[[str], str] = str) -> Callable[[Lookup], str]:
    """As `read`, and always text."""
    parts = _parts(template)
    return lambda lookup: "".join(part if isinstance(part, str) else quote(as_text(lookup(part))) for part in parts)


def as_text(value: object) -> str:
    """As JSON writes it, but for a text, which stands for itself."""
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def _read_text(parts: Sequence[str | Placeholder], quote: Callable[[str], str]) -> Filled:
    match parts:
        case [Placeholder() as whole]:
            return lambda lookup: lookup(whole)
        case [str() as text]:
            return lambda _: text
        case []:
            return lambda _: ""
        case _:
            return lambda lookup: "".join(
                part if isinstance(part, str) else quote(as_text(lookup(part))) for part in parts
            )


def _parts(text: str) -> list[str | Placeholder]:
    parts: list[str | Placeholder] = []
    end = 0
    for found in PLACEHOLDER.finditer(text):
        parts.append(text[end : found.start()])
        literal, names = found["literal"], found["names"]
        parts.append(f"{{{literal}}}" if literal else Placeholder(*_split(names)))
        end = found.end()
    parts.append(text[end:])
    return _joined(parts)


def _split(names: str) -> tuple[str, tuple[str, ...]]:
    name, *path = names.split(".")
    return name, tuple(path)


def _joined(parts: Sequence[str | Placeholder]) -> list[str | Placeholder]:
    """Without empty texts, and neighbouring texts as one."""
    joined: list[str | Placeholder] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part:
            joined.append(part)
    return joined


def picked(document: object, path: Sequence[str]) -> object:
    """The part of a JSON document at the path: names of fields, and numbers of items from 0. Raises `LookupError`."""
    for step in path:
        match document:
            case Mapping():
                document = cast("Mapping[str, object]", document)[step]
            case list() if step.isdecimal():
                document = cast("list[object]", document)[int(step)]
            case _:
                raise LookupError(step)
    return document
