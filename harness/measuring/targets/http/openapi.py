"""A scenario out of an OpenAPI document: each endpoint as an operation, with values drawn as its schema wants them.

What writes is proposed with weight 0 where it removes or replaces: somebody decides what a measurement may do.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

from harness.errors import UsageError
from harness.measuring.toml import identifier, inline, slug

Document = Mapping[str, Any]

WEIGHTS: Final[Mapping[str, int]] = {"get": 9, "post": 1, "put": 0, "patch": 0, "delete": 0}
DEPTH_MAX: Final = 8
"""Of references: a schema may contain itself."""

HEALTH: Final = re.compile(r"health|ready|live|ping|status")
PARAMETER: Final = re.compile(r"\{([^{}]+)\}")


def scenario_of(document: Document, url: str) -> str:
    """The text of a scenario file. Raises `UsageError` where the document describes nothing that can be asked."""
    proposed = {operation.name: operation for operation in _operations(document)}
    if not proposed:
        raise UsageError("The document has no `paths` with operations: it is no OpenAPI document of version 3.")
    mix = {name: operation.weight for name, operation in proposed.items()}
    if not any(mix.values()):
        mix = dict.fromkeys(mix, 1)
    title = str(document.get("info", {}).get("title", "service"))
    lines = [
        f"name = {inline(slug(title))}",
        f"title = {inline(title)}",
        'target = "http"',
        f"budgets = {inline([f'{name}.errors <= 0%' for name, weight in mix.items() if weight])}",
        "",
        "[service]",
        f"url = {inline(url)}  # or `command`, `env` and `ready`, to have it started on a database of its own",
        f"ready = {inline(_ready(proposed.values()))}",
    ]
    for operation in proposed.values():
        lines += ["", f"[operations.{operation.name}]", *operation.lines]
    lines += ["", "[[phases]]", f"mix = {inline(mix)}", "requests = 100", "warm_up = 10", "time_s = 30", ""]
    return "\n".join(lines)


class _Proposed:
    """One endpoint by its method."""

    def __init__(self, document: Document, path: str, method: str, endpoint: Document, shared: Sequence[Any]) -> None:
        self._document = document
        self._endpoint = endpoint
        self.path, self.method, self.weight = path, method, WEIGHTS[method]
        self.name = identifier(str(endpoint.get("operationId") or f"{method}_{path}"))
        parameters = [_resolved(document, each) for each in (*shared, *endpoint.get("parameters", ()))]
        self._parameters = {(each["in"], each["name"]): each for each in parameters if "in" in each and "name" in each}

    @property
    def is_plain(self) -> bool:
        """Whether it can be asked without a value."""
        needed = any(each.get("required") for each in self._parameters.values())
        return self.method == "get" and not needed and "{" not in self.path

    @property
    def lines(self) -> Iterator[str]:
        names = {name: identifier(name) for name in PARAMETER.findall(self.path)}
        yield f"method = {inline(self.method.upper())}"
        yield f"path = {inline(PARAMETER.sub(lambda found: f'{{{names[found[1]]}}}', self.path))}"
        query = {name: self._drawn(each) for (place, name), each in self._parameters.items() if _needed(place, each)}
        if query:
            yield f"query = {inline(query)}"
        if self._is_secured:
            yield 'headers = { Authorization = "Bearer {env.API_KEY}" }'
        for content, key in (("application/json", "json"), ("application/x-www-form-urlencoded", "form")):
            if schema := self._body.get(content, {}).get("schema"):
                yield f"{key} = {inline(_value(self._document, schema))}"
                break
        if names:
            drawn = {own: self._drawn(self._parameters.get(("path", name), {})) for name, own in names.items()}
            yield f"values = {inline(drawn)}"
        if status := next((int(each) for each in self._endpoint.get("responses", {}) if re.fullmatch("2..", each)), 0):
            yield f"expect = {inline({'status': status})}"

    @property
    def _body(self) -> Document:
        body = _resolved(self._document, self._endpoint.get("requestBody", {}))
        return cast("Document", body.get("content", {}))

    @property
    def _is_secured(self) -> bool:
        return bool(self._endpoint.get("security", self._document.get("security")))

    def _drawn(self, parameter: Document) -> object:
        value = _value(self._document, parameter.get("schema", {}))
        return cast("object", value) if isinstance(value, dict) else {"literal": {"value": value}}


def _needed(place: str, parameter: Document) -> bool:
    return place == "query" and bool(parameter.get("required"))


def _operations(document: Document) -> Iterator[_Proposed]:
    for path, item in _table(document.get("paths")).items():
        endpoints = _resolved(document, item)
        for method in WEIGHTS:
            if endpoint := _table(endpoints.get(method)):
                yield _Proposed(document, path, method, endpoint, endpoints.get("parameters", ()))


def _table(value: object) -> Document:
    """Empty where it is none."""
    return cast("Document", value) if isinstance(value, dict) else {}


def _value(document: Document, schema: object, depth: int = 0) -> object:
    """A value of the schema, with drawn ones in it: of an object what is required, or all where nothing is."""
    return _value_of(document, _resolved(document, schema), depth) if depth <= DEPTH_MAX else {}


def _value_of(document: Document, schema: Document, depth: int) -> object:
    for word in ("const", "example", "default"):
        if word in schema:
            return _literal(schema[word])
    for alternatives in ("oneOf", "anyOf"):
        if chosen := [each for each in schema.get(alternatives, ()) if each.get("type") != "null"]:
            return _value(document, chosen[0], depth + 1)
    if "enum" in schema:
        return {"uniform": {"of": schema["enum"]}}
    properties, required = _properties(document, schema)
    if properties:
        wanted = {name: each for name, each in properties.items() if name in required} or properties
        return {name: _value(document, each, depth + 1) for name, each in wanted.items()}
    return _simple(document, schema, depth)


FORMATS: Final[Mapping[str, str]] = {"uuid": "uuid", "date": "date", "date-time": "timestamp"}
"""Of texts, and the kind of drawn value that has it."""

SHORT: Final = 30
"""Characters that three words may exceed."""


def _simple(document: Document, schema: Document, depth: int) -> object:
    stated = schema.get("type", "string")
    kinds = cast("list[object]", stated) if isinstance(stated, list) else [stated]
    match next((kind for kind in kinds if kind != "null"), "string"):
        case "integer" | "number" as kind:
            return {"uniform": _range(schema, int if kind == "integer" else float)}
        case "boolean":
            return {"uniform": {"of": [True, False]}}
        case "array":
            return [_value(document, schema.get("items", {}), depth + 1)] if schema.get("minItems") else []
        case "object":
            return {}
        case _:
            named = FORMATS.get(schema.get("format", ""))
            is_one = "pattern" in schema or schema.get("maxLength", SHORT) < SHORT
            return {named: {}} if named else {"words": {"count": 1 if is_one else 3}}


def _range(schema: Document, of: type[int] | type[float]) -> dict[str, int | float]:
    least = schema.get("minimum", 1 if of is int else 0)
    most = least + (99 if of is int else 1)
    return {"min": of(least), "max": of(min(schema.get("maximum", most), most))}


def _literal(value: object) -> object:
    """A table would be read as one of drawn values, and TOML has no null."""
    return {"literal": {"value": value}} if _table(value) else "" if value is None else value


def _properties(document: Document, schema: Document) -> tuple[dict[str, Any], set[str]]:
    """With those of the schemas that it is made of."""
    properties: dict[str, Any] = dict(schema.get("properties", {}))
    required = set(schema.get("required", ()))
    for part in schema.get("allOf", ()):
        others, needed = _properties(document, _resolved(document, part))
        properties |= others
        required |= needed
    return properties, required


def _resolved(document: Document, part: object) -> Document:
    """What a reference within the document leads to. Raises `UsageError` where it leads nowhere."""
    resolved = _table(part)
    for _ in range(DEPTH_MAX):
        reference = resolved.get("$ref")
        if not isinstance(reference, str):
            break
        found: object = document
        for step in reference.removeprefix("#/").split("/"):
            found = _table(found).get(step.replace("~1", "/").replace("~0", "~"))
        if found is None:
            raise UsageError(f"The document refers to {reference}, which is not in it.")
        resolved = _table(found)
    return resolved


def _ready(operations: Any) -> str:  # noqa: ANN401 -- a view of values
    plain = [each.path for each in operations if each.is_plain]
    return next((path for path in plain if HEALTH.search(path)), plain[0] if plain else "/")
