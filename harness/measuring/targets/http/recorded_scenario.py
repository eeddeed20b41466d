"""A scenario out of recorded requests: an operation for each route, with what was recorded drawn, or sent in its order.

Nothing secret is written: keys, cookies and passwords become placeholders of the environment.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast, get_args
from urllib.parse import unquote

from harness.errors import UsageError
from harness.measuring.targets.http.operation import HttpOperation
from harness.measuring.targets.http.recordings import RecordedRequest
from harness.measuring.targets.http.templates import PLACEHOLDER
from harness.measuring.toml import identifier, inline, slug
from harness.measuring.values import VALUES
from harness.quantities import count
from harness.redaction import HIDDEN, SECRET_NAME, all_without_secrets

METHODS: Final = frozenset(get_args(HttpOperation.model_fields["method"].annotation))
VALUES_MAX: Final = 1_000
"""Recorded values of one place that are drawn from."""

STATIC: Final = re.compile(
    r"\.(?:js|mjs|css|map|png|jpe?g|gif|svg|ico|webp|avif|woff2?|ttf|otf|eot|mp4|webm|mp3|pdf|wasm|webmanifest)$",
    re.IGNORECASE,
)
STATIC_KIND: Final = re.compile(r"^(?:image|font|audio|video)/|^text/css|javascript")
ID: Final = re.compile(
    r"\d+|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{16,}|(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]{20,}",
    re.IGNORECASE,
)
JWT: Final = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")
OF_THE_CLIENT: Final = re.compile(
    r":.*|host|content-length|connection|user-agent|accept-encoding|accept-language|sec-.*|origin|referer|te|upgrade.*|"
    r"cache-control|pragma|if-.*|range|priority|dnt|traceparent|tracestate|x-request-id|transfer-encoding|keep-alive|"
    r"x-forwarded-.*|x-real-ip|content-type|accept",
    re.IGNORECASE,
)
"""Headers that follow from who asks, or when."""

SECRET_HEADER: Final = re.compile(r"auth|csrf|xsrf|session|signature", re.IGNORECASE)
CREDENTIALS: Final[Mapping[str, str]] = {"bearer": "Bearer {env.API_KEY}", "basic": "Basic {env.BASIC_CREDENTIALS}"}


@dataclass(frozen=True, slots=True)
class RecordedScenario:
    """The text of the scenario and of its trace, and sentences on what was left out."""

    toml: str
    trace: str
    url: str
    remarks: Sequence[str]


@dataclass(slots=True)
class RecordedRoute:
    """Requests that differ in values only; `path` has a placeholder for each of `parameters`."""

    name: str
    path: str
    parameters: Sequence[str]
    requests: list[RecordedRequest] = field(default_factory=list[RecordedRequest])


def scenario_of_recording(
    title: str, recorded: Sequence[RecordedRequest], *, url: str | None, with_static: bool, trace: str | None
) -> RecordedScenario:
    """`trace` is the path of the trace, if requests are to be sent as they were. Raises `UsageError`."""
    origins = Counter(each.origin for each in recorded if each.origin)
    origin = next((each for each, _ in origins.most_common(1)), "")
    if not url and not origin:
        raise UsageError("The log does not say where the service runs. Say it with --url http://127.0.0.1:8000.")
    kept, remarks = _kept(recorded, origin, with_static=with_static)
    if not kept:
        raise UsageError(f"No request is left that can be sent again. {' '.join(remarks)}")
    routes = _routes(kept)
    asked = url or origin
    return RecordedScenario(_toml(title, asked, routes, trace), _trace(routes), asked, remarks)


def _kept(
    recorded: Sequence[RecordedRequest], origin: str, *, with_static: bool
) -> tuple[Sequence[RecordedRequest], Sequence[str]]:
    reasons: Counter[str] = Counter()
    kept: list[RecordedRequest] = []
    for each in recorded:
        if reason := _reason(each, origin, with_static=with_static):
            reasons[reason] += 1
        else:
            kept.append(each)
    return kept, [f"Left out: {count(number)} {reason}." for reason, number in reasons.items()]


def _reason(each: RecordedRequest, origin: str, *, with_static: bool) -> str | None:
    """Why it is left out."""
    if each.origin not in {"", origin}:
        return f"to another address than {origin}"
    if not with_static and (STATIC.search(each.path) or STATIC_KIND.search(each.answer_kind)):
        return "of static files (--static keeps them)"
    if each.method not in METHODS:
        return "with a method that is not sent"
    if not 200 <= each.status < 400:  # noqa: PLR2004 -- HTTP's range of what was answered right
        return "that were not answered with success"
    if each.has_unknown_body:
        return "whose body was not recorded, or is neither JSON nor a form"
    return None


def _routes(kept: Sequence[RecordedRequest]) -> Sequence[RecordedRoute]:
    routes: dict[tuple[object, ...], RecordedRoute] = {}
    taken: set[str] = set()
    for each in kept:
        path, parameters = _path(each.path)
        key = (each.method, path, tuple(sorted({name for name, _ in each.query})), each.kind)
        if key not in routes:
            routes[key] = RecordedRoute(_name(each.method, path, taken), path, parameters)
        routes[key].requests.append(each)
    return list(routes.values())


def _path(path: str) -> tuple[str, Sequence[str]]:
    """With placeholders for what identifies a thing, each named after what stands before it."""
    segments: list[str] = []
    parameters: list[str] = []
    for segment in path.split("/"):
        if not ID.fullmatch(unquote(segment)):
            segments.append("{env.TOKEN}" if JWT.search(segment) else PLACEHOLDER.sub(r"{\g<0>}", unquote(segment)))
            continue
        before = next((each for each in reversed(segments) if each and not each.startswith("{")), "")
        wished = f"{identifier(before).removesuffix('s').lower()}_id" if before else "id"
        name = wished if wished not in parameters else f"{wished}_{len(parameters) + 1}"
        parameters.append(name)
        segments.append(f"{{{name}}}")
    return "/".join(segments), parameters


def _name(method: str, path: str, taken: set[str]) -> str:
    wished = identifier(f"{method.lower()}_{re.sub(PLACEHOLDER, 'one', path)}")
    name = next(each for each in _numbered(wished) if each not in taken)
    taken.add(name)
    return name


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}_{number}"
        number += 1


def _toml(title: str, url: str, routes: Sequence[RecordedRoute], trace: str | None) -> str:
    lines = [
        f"name = {inline(slug(title))}",
        f"title = {inline(f'Requests as recorded in {title}')}",
        'target = "http"',
        "budgets = [",
        *(f"    {inline(f'{each.name}.errors <= 0%')}," for each in routes),
        "]",
        "",
        "[service]",
        f"url = {inline(url.rstrip('/'))}",
    ]
    plain = [each.path for each in routes if _is_plain(each)]
    lines += [f"ready = {inline(plain[0])}"] * bool(plain)
    for each in routes:
        lines += ["", f"# {count(len(each.requests))} recorded", f"[operations.{each.name}]", *_operation(each)]
    lines += ["", "[[phases]]"]
    if trace:
        lines += [f"arrival = {inline({'kind': 'trace', 'path': trace})}", ""]
    else:
        lines += [*(f"mix.{each.name} = {len(each.requests)}" for each in routes), "requests = 100", "warm_up = 10"]
        lines += ["time_s = 30", ""]
    return "\n".join(lines)


def _is_plain(route: RecordedRoute) -> bool:
    """Whether anybody can ask it without a value."""
    first = route.requests[0]
    return first.method == "GET" and not (route.parameters or first.query or _headers(route.requests))


def _operation(route: RecordedRoute) -> Iterator[str]:
    first = route.requests[0]
    yield f"method = {inline(first.method)}"
    yield f"path = {inline(route.path)}"
    queries = [_query(each) for each in route.requests]
    if queries[0]:
        yield f"query = {inline(_merged(queries))}"
    if headers := _headers(route.requests):
        yield f"headers = {inline(headers)}"
    if first.kind:
        form = "form" if first.kind.endswith("urlencoded") else "json"
        yield f"{form} = {inline(_merged([each.body for each in route.requests]))}"
    if route.parameters:
        values = [_path_values(route, each) for each in route.requests]
        yield f"values = {inline({name: _drawn([each[name] for each in values]) for name in route.parameters})}"
    statuses = sorted({each.status for each in route.requests})
    if all(each < 300 for each in statuses):  # noqa: PLR2004 -- a redirect is followed
        yield f"expect = {inline({'status': statuses[0] if len(statuses) == 1 else statuses})}"


def _query(each: RecordedRequest) -> dict[str, object]:
    """A name that occurs several times has a list."""
    values: dict[str, list[str]] = defaultdict(list)
    for name, value in each.query:
        values[name].append(value)
    return {name: found[0] if len(found) == 1 else found for name, found in values.items()}


def _path_values(route: RecordedRoute, each: RecordedRequest) -> Mapping[str, str]:
    found = (unquote(segment) for segment in each.path.split("/") if ID.fullmatch(unquote(segment)))
    return dict(zip(route.parameters, found, strict=True))


def _headers(requests: Iterable[RecordedRequest]) -> Mapping[str, str]:
    """Those that every request of the route has, and that say what is asked."""
    each_has = [each.headers for each in requests]
    names = [name for name in each_has[0] if all(name in headers for headers in each_has)]
    shown = {name: _header(name, each_has[0][name]) for name in names if not OF_THE_CLIENT.fullmatch(name)}
    kind = each_has[0].get("content-type", "").partition(";")[0].strip()
    return shown | ({"content-type": kind} if kind.endswith("+json") else {})


def _header(name: str, value: str) -> str:
    if name.lower() == "authorization":
        return CREDENTIALS.get(value.partition(" ")[0].lower(), "{env.AUTHORIZATION}")
    if name.lower() == "cookie" or _is_secret(name, value) or SECRET_HEADER.search(name):
        return _from_environment(name)
    return _escaped(value)


def _is_secret(name: str, value: object) -> bool:
    return isinstance(value, str) and (SECRET_NAME.search(name) is not None or JWT.search(value) is not None)


def _from_environment(name: str) -> str:
    return f"{{env.{identifier(name).upper()}}}"


def _escaped(text: str) -> str:
    return PLACEHOLDER.sub(r"{\g<0>}", text)


def _merged(values: Sequence[object], name: str = "") -> object:
    """One value of the shape that all of them have: what differs is drawn."""
    first = values[0]
    if any(_is_secret(name, value) for value in values):
        return _from_environment(name or "TOKEN")
    match first:
        case dict() if all(isinstance(each, dict) and each.keys() == first.keys() for each in values):
            tables = [cast("dict[str, object]", each) for each in values]
            merged: dict[str, object] = {key: _merged([each[key] for each in tables], key) for key in tables[0]}
            return {"literal": {"value": merged}} if len(merged) == 1 and set(merged) & VALUES.keys() else merged
        case list() if len({_length(each) for each in values}) == 1:
            lists = [cast("list[object]", each) for each in values]
            return [_merged([each[number] for each in lists], name) for number in range(len(lists[0]))]
        case _ if all(each == first for each in values):
            return _escaped(first) if isinstance(first, str) else first
        case _:
            return _drawn(values)


def _length(value: object) -> int | None:
    return len(cast("list[object]", value)) if isinstance(value, list) else None


def _drawn(values: Sequence[object]) -> object:
    """As often as each was recorded."""
    kept = [_public(each) for each in values if each is not None][:VALUES_MAX]
    return {"uniform": {"of": kept}}


def _public(value: object) -> object:
    """Without what is secret in it."""
    return json.loads(JWT.sub(HIDDEN, json.dumps(all_without_secrets({"value": value}))))["value"]


def _trace(routes: Sequence[RecordedRoute]) -> str:
    """One line a request, at the distance that it had from the first."""
    requests = sorted(((each, route) for route in routes for each in route.requests), key=lambda pair: pair[0].at_s)
    begin_s = requests[0][0].at_s
    lines: list[str] = []
    for each, route in requests:
        carried: dict[str, Any] = {"values": _path_values(route, each), "query": _query(each)}
        if each.kind:
            carried["form" if each.kind.endswith("urlencoded") else "json"] = each.body
        arguments = {name: _public(value) for name, value in carried.items() if value}
        line = {"offset_s": round(each.at_s - begin_s, 6), "operation": route.name, "arguments": arguments}
        lines.append(json.dumps(line, ensure_ascii=False))
    return "\n".join(lines) + "\n"
