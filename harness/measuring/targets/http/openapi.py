"""A scenario out of an OpenAPI document: each endpoint as an operation, with values drawn as its schema wants them.

What writes is proposed with weight 0 where it removes or replaces: somebody decides what a measurement may do.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from harness.errors import UsageError
from harness.measuring.targets.http.openapi_values import (
    Document,
    ExampleValues,
    listed,
    properties_of,
    resolved,
    table,
)
from harness.measuring.toml import identifier, inline, slug

WEIGHTS: Final[Mapping[str, int]] = {"get": 9, "post": 1, "put": 0, "patch": 0, "delete": 0}
HEALTH: Final = re.compile(r"health|ready|live|ping|status")
PARAMETER: Final = re.compile(r"\{([^{}]+)\}")
SUCCESS: Final = re.compile(r"2\d\d")
FORM: Final = "application/x-www-form-urlencoded"
OF_THE_CLIENT: Final = frozenset({"accept", "authorization", "content-type"})
"""Headers that the document may describe as parameters, and which follow from elsewhere."""

KEY: Final = "{env.API_KEY}"


def scenario_of(document: Document, url: str) -> str:
    """The text of a scenario file. Raises `UsageError` where the document describes nothing that can be asked."""
    if "swagger" in document:
        raise UsageError(f"This is a document of Swagger {document['swagger']}. Convert it to OpenAPI 3 first.")
    proposed = {operation.name: operation for operation in _operations(document)}
    if not proposed:
        raise UsageError("The document has no `paths` with operations: it is no OpenAPI document of version 3.")
    mix = {name: operation.weight for name, operation in proposed.items()}
    if not any(mix.values()):
        mix = dict.fromkeys(mix, 1)
    title = str(table(document.get("info")).get("title", "service"))
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
        lines += ["", f"[operations.{operation.name}]", *operation.lines(list(proposed.values()))]
    lines += ["", "[[phases]]", f"mix = {inline(mix)}", "requests = 100", "warm_up = 10", "time_s = 30", ""]
    return "\n".join(lines)


class _Proposed:
    """One endpoint by its method."""

    def __init__(self, document: Document, path: str, method: str, endpoint: Document, shared: Sequence[Any]) -> None:
        self._document = document
        self._endpoint = endpoint
        self.path, self.method = path, method
        self.name = identifier(str(endpoint.get("operationId") or f"{method}_{path}"))
        parameters = [resolved(document, each) for each in (*shared, *listed(endpoint.get("parameters")))]
        self._parameters = {(each["in"], each["name"]): each for each in parameters if "in" in each and "name" in each}

    @property
    def weight(self) -> int:
        return 0 if self._unsent or self._endpoint.get("deprecated") else WEIGHTS[self.method]

    @property
    def is_plain(self) -> bool:
        """Whether it can be asked without a value."""
        needed = any(each.get("required") for each in self._parameters.values())
        return self.method == "get" and not needed and "{" not in self.path

    def lines(self, others: Sequence["_Proposed"]) -> Iterator[str]:
        values = ExampleValues(self._document)
        path = self._path(values, others)
        query = {name: self._drawn(values, each) for name, each in self._needed("query")}
        headers = {name: self._text(values, each) for name, each in self._needed("header")}
        self._secure(headers, query)
        body = list(self._sent(values, headers))
        yield f"method = {inline(self.method.upper())}"
        yield f"path = {inline(path)}"
        if query:
            yield f"query = {inline(query)}"
        if headers:
            yield f"headers = {inline(headers)}"
        yield from body
        if values.named:
            yield f"values = {inline(values.named)}"
        if statuses := [int(each) for each in table(self._endpoint.get("responses")) if SUCCESS.fullmatch(str(each))]:
            yield f"expect = {inline({'status': statuses[0] if len(statuses) == 1 else statuses})}"

    def given(self, parameter: str) -> str | None:
        """Where in its answer the value of a parameter is, such as `id` or `items.0.id`."""
        answers = [each for status, each in table(self._endpoint.get("responses")).items() if SUCCESS.fullmatch(status)]
        for answer in answers:
            content = table(resolved(self._document, answer).get("content"))
            schema = next((table(each).get("schema") for kind, each in content.items() if _is_json(kind)), None)
            if place := self._place(schema, (parameter, identifier(parameter), "id")):
                return place
        return None

    def _place(self, schema: object, names: Sequence[str], depth: int = 0) -> str | None:
        found = resolved(self._document, schema)
        properties, _ = properties_of(self._document, found)
        if name := next((name for name in names if name in properties), None):
            return name
        if "items" in found:
            below = self._place(found["items"], names, depth + 1)
            return f"0.{below}" if below else None
        lists = [] if depth else [(name, each) for name, each in properties.items() if _is_list(self._document, each)]
        return next((f"{name}.{below}" for name, each in lists if (below := self._place(each, names, 1))), None)

    def _path(self, values: ExampleValues, others: Sequence["_Proposed"]) -> str:
        """A thing that another operation makes or lists is asked for; else what is drawn."""

        def placeholder(found: "re.Match[str]") -> str:
            name = found[1]
            if taken := _taken(self.path[: found.start()].rstrip("/"), name, others):
                return f"{{{taken}}}"
            own = identifier(name)
            values.named[own] = self._drawn_only(values, self._parameters.get(("path", name), {}))
            return f"{{{own}}}"

        return PARAMETER.sub(placeholder, self.path)

    def _needed(self, place: str) -> Iterator[tuple[str, Document]]:
        for (at, name), each in self._parameters.items():
            if at == place and each.get("required") and name.lower() not in OF_THE_CLIENT:
                yield name, each

    @staticmethod
    def _schema(parameter: Document) -> Document:
        """With the example that stands beside it."""
        examples = [table(each).get("value") for each in table(parameter.get("examples")).values()]
        stated = {"example": parameter["example"]} if "example" in parameter else {}
        stated = stated or ({"example": examples[0]} if examples else {})
        contents = [table(each).get("schema") for each in table(parameter.get("content")).values()]
        schema = table(parameter["schema"]) if "schema" in parameter else table(contents[0] if contents else None)
        return {**stated, "allOf": [schema]} if stated or "$ref" in schema else schema

    def _drawn(self, values: ExampleValues, parameter: Document) -> object:
        return values.of(self._schema(parameter), str(parameter["name"]))

    def _drawn_only(self, values: ExampleValues, parameter: Document) -> object:
        return values.drawn(self._schema(parameter))

    def _text(self, values: ExampleValues, parameter: Document) -> str:
        name = str(parameter["name"])
        own = identifier(name)
        value = values.of(self._schema(parameter), name)
        if isinstance(value, str):
            return value
        values.named[own] = value if isinstance(value, dict) else {"literal": {"value": value}}
        return f"{{{own}}}"

    def _secure(self, headers: dict[str, str], query: dict[str, object]) -> None:
        """As the first of the ways that the document allows; not at all where it allows that."""
        ways = listed(self._endpoint.get("security", self._document.get("security")))
        schemes = table(table(self._document.get("components")).get("securitySchemes"))
        for name in table(ways[0]) if ways and {} not in ways else ():
            scheme = resolved(self._document, schemes.get(name))
            match (scheme.get("type"), scheme.get("in"), str(scheme.get("scheme", "")).lower()):
                case ("apiKey", "query", _):
                    query[str(scheme.get("name"))] = KEY
                case ("apiKey", "header", _):
                    headers[str(scheme.get("name"))] = KEY
                case ("apiKey", "cookie", _):
                    headers["Cookie"] = "{env.COOKIE}"
                case (_, _, "basic"):
                    headers["Authorization"] = "Basic {env.BASIC_CREDENTIALS}"
                case _:
                    headers["Authorization"] = f"Bearer {KEY}"

    @property
    def _body(self) -> Document:
        body = resolved(self._document, self._endpoint.get("requestBody"))
        return table(body.get("content"))

    @property
    def _unsent(self) -> str | None:
        """The kind of a body that is needed and cannot be sent."""
        if any(_is_json(kind) or kind == FORM for kind in self._body):
            return None
        return next(iter(self._body), None)

    def _sent(self, values: ExampleValues, headers: dict[str, str]) -> Iterator[str]:
        if self._unsent:
            yield f"# Its body is {self._unsent}, which is not sent; so its weight is 0."
        for kind, each in self._body.items():
            if schema := table(each).get("schema"):
                stated = {key: each[key] for key in ("example",) if key in each}
                value = values.of({**stated, "allOf": [schema]} if stated else schema)
                if kind == FORM:
                    yield f"form = {inline(_logged_in(value))}"
                    return
                if _is_json(kind):
                    if kind not in {"application/json", "*/*"}:
                        headers["Content-Type"] = kind
                    yield f"json = {inline(value)}"
                    return


def _logged_in(form: object) -> object:
    """With whom to log in as from the environment, where it asks that."""
    fields = dict(table(form))
    if {"username", "password"} <= fields.keys():
        return fields | {"username": "{env.USERNAME}", "password": "{env.PASSWORD}"}
    return fields


def _is_json(kind: str) -> bool:
    kind = kind.partition(";")[0].strip()
    return kind in {"application/json", "*/*"} or kind.endswith("+json")


def _is_list(document: Document, schema: object) -> bool:
    return "items" in resolved(document, schema)


def _taken(collection: str, parameter: str, others: Sequence[_Proposed]) -> str | None:
    """The operation that makes or lists the things below a path, with the place in its answer."""
    for method in ("post", "get"):
        for each in others:
            if each.path.rstrip("/") == collection and each.method == method and (place := each.given(parameter)):
                return f"{each.name}.{place}"
    return None


def _operations(document: Document) -> Iterator[_Proposed]:
    taken: set[str] = set()
    for path, item in table(document.get("paths")).items():
        endpoints = resolved(document, item)
        for method in WEIGHTS:
            if endpoint := table(endpoints.get(method)):
                proposed = _Proposed(document, path, method, endpoint, listed(endpoints.get("parameters")))
                if proposed.name in taken:
                    proposed.name = identifier(f"{proposed.name}_{method}_{path}")
                taken.add(proposed.name)
                yield proposed


def _ready(operations: Iterable[_Proposed]) -> str:
    plain = [each.path for each in operations if each.is_plain]
    return next((path for path in plain if HEALTH.search(path)), plain[0] if plain else "/")
