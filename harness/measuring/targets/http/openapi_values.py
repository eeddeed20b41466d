"""Values that a JSON schema of an OpenAPI document allows, as a scenario draws them."""

from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from typing import Any, Final, cast
from urllib.parse import unquote

from harness.errors import UsageError
from harness.measuring.targets.http.templates import PLACEHOLDER
from harness.measuring.toml import identifier
from harness.redaction import SECRET_NAME

Document = Mapping[str, Any]

DEPTH_MAX: Final = 8
"""Of references: a schema may contain itself."""

FORMATS: Final[Mapping[str, object]] = {
    "uuid": {"uuid": {}},
    "date": {"date": {}},
    "date-time": {"timestamp": {}},
    "time": "12:00:00Z",
    "duration": "P1D",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "byte": "aGVsbG8=",
    "binary": "hello",
}
"""Of texts, and what has it."""

WORDS: Final = 3
WORD_MIN: Final = 6
"""Characters of the shortest word, with the space behind it."""
WORD_MAX: Final = 7
SHORT: Final = 30
"""Characters that three words may exceed."""


def table(value: object) -> Document:
    """Empty where it is none."""
    return cast("Document", value) if isinstance(value, dict) else {}


def listed(value: object) -> Sequence[Any]:
    """Empty where it is no list."""
    return [*cast("list[object]", value)] if isinstance(value, list) else ()


def resolved(document: Document, part: object) -> Document:
    """Gives what a reference within the document leads to. Raises `UsageError` where it leads nowhere."""
    found_table = table(part)
    for _ in range(DEPTH_MAX):
        reference = found_table.get("$ref")
        if not isinstance(reference, str):
            break
        found: object = document
        for step in reference.removeprefix("#/").split("/"):
            found = table(found).get(unquote(step).replace("~1", "/").replace("~0", "~"))
        if found is None:
            raise UsageError(f"The document refers to {reference}, which is not in it.")
        found_table = table(found)
    return found_table


def properties_of(document: Document, schema: Document, depth: int = 0) -> tuple[dict[str, Any], set[str]]:
    """With those of the schemas that it is made of, and which of them are required."""
    properties: dict[str, Any] = dict(table(schema.get("properties")))
    required = set(map(str, listed(schema.get("required"))))
    for part in listed(schema.get("allOf")) if depth <= DEPTH_MAX else ():
        others, needed = properties_of(document, resolved(document, part), depth + 1)
        properties |= others
        required |= needed
    return properties, required


class ExampleValues:
    """`named` are those that stand within a text, by the names of their placeholders."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self.named: dict[str, object] = {}

    def of(self, schema: object, name: str = "", depth: int = 0) -> object:
        """A value of the schema, with drawn ones in it: of an object what is required, or all where nothing is."""
        return self._of(resolved(self._document, schema), name, depth) if depth <= DEPTH_MAX else {}

    def _of(self, found: Document, name: str, depth: int) -> object:
        if not SECRET_NAME.search(name) and (literals := list(_stated(found))):
            return _literal(literals[0])
        for alternatives in ("oneOf", "anyOf"):
            chosen = [each for each in listed(found.get(alternatives)) if table(each).get("type") != "null"]
            if chosen:
                return self.of(chosen[0], name, depth + 1)
        if "enum" in found:
            return {"uniform": {"of": [each for each in listed(found["enum"]) if each is not None]}}
        properties, required = properties_of(self._document, found)
        if properties:
            return self._object(properties, required, depth)
        if parts := listed(found.get("allOf")):
            return self.of({**found, **resolved(self._document, parts[0]), "allOf": parts[1:]}, name, depth + 1)
        return self._simple(found, name, depth)

    def _object(self, properties: Document, required: set[str], depth: int) -> Document:
        sent = {name: each for name, each in properties.items() if not resolved(self._document, each).get("readOnly")}
        wanted = {name: each for name, each in sent.items() if name in required} or sent
        return {name: self.of(each, name, depth + 1) for name, each in wanted.items()}

    def drawn(self, schema: object, name: str = "") -> object:
        """The same where only a drawn value may stand."""
        value = self.of(schema, name)
        return cast("object", value) if isinstance(value, dict) else {"literal": {"value": value}}

    def _simple(self, schema: Document, name: str, depth: int) -> object:
        stated = schema.get("type", "string")
        kinds = listed(stated) or [stated]
        match next((kind for kind in kinds if kind != "null"), "string"):
            case "integer" | "number" as kind:
                return {"uniform": _range(schema, int if kind == "integer" else float)}
            case "boolean":
                return {"uniform": {"of": [True, False]}}
            case "array":
                return [self.of(schema.get("items", {}), name, depth + 1)] * int(schema.get("minItems") or 0)
            case "object":
                return {}
            case _:
                return self._text(schema, name)

    def _text(self, schema: Document, name: str) -> object:
        form = str(schema.get("format", ""))
        if form == "email":
            own = identifier(name or form)
            self.named[own] = {"uuid": {}}
            return f"{{{own}}}@example.com"
        if form in FORMATS:
            return FORMATS[form]
        least, most = int(schema.get("minLength") or 0), int(schema.get("maxLength", SHORT))
        if most < WORD_MAX:
            return {"uniform": {"of": [letter * max(1, most) for letter in "abcdefgh"]}}
        is_one = "pattern" in schema or most < SHORT
        return {"words": {"count": max(1 if is_one else WORDS, min(ceil(least / WORD_MIN), most // WORD_MAX))}}


def _stated(schema: Document) -> Iterator[object]:
    """What the document itself gives as a value."""
    yield from (schema[word] for word in ("const", "example") if word in schema)
    yield from listed(schema.get("examples"))[:1]
    if schema.get("default") is not None:
        yield schema["default"]


def _literal(value: object) -> object:
    """Braces would be read as a placeholder, a table as one of drawn values, and TOML has no null."""
    match value:
        case str():
            return PLACEHOLDER.sub(r"{\g<0>}", value)
        case dict() | list():
            return {"literal": {"value": value}} if value else value  # pyright: ignore[reportUnknownVariableType]
        case _:
            return "" if value is None else value


def _range(schema: Document, of: type[int] | type[float]) -> dict[str, int | float]:
    step = 1 if of is int else 0.01
    low, high = _bound(schema, "inimum", step), _bound(schema, "aximum", -step)
    span = 99 if of is int else 1
    if low is None:
        low = min(1 if of is int else 0, high - span if high is not None and high < 1 else 1)
    return {"min": of(low), "max": of(low + span if high is None else max(low, min(high, low + span)))}


def _bound(schema: Document, word: str, step: float) -> float | None:
    """An exclusive one is a number of its own since 3.1, and before that a flag."""
    exclusive, inclusive = schema.get(f"exclusiveM{word}"), schema.get(f"m{word}")
    if isinstance(exclusive, bool):
        return None if inclusive is None else inclusive + (step if exclusive else 0)
    return inclusive if exclusive is None else exclusive + step
