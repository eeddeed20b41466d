"""Requests that somebody recorded: a HAR file of a browser, an access log of nginx or Apache, or one of JSON lines."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import parse_qsl, urlsplit

from harness.errors import UsageError

COMBINED: Final = re.compile(
    r'^\S+ \S+ .*?\[(?P<time>[^\]]+)\] "(?P<method>[A-Z]+) (?P<url>\S+)(?: HTTP/[\d.]+)?" (?P<status>\d{3})\b'
)
COMBINED_TIME: Final = "%d/%b/%Y:%H:%M:%S %z"
LOGGED: Final[Mapping[str, Sequence[str]]] = {
    "time": ("time", "timestamp", "ts", "@timestamp", "time_iso8601", "time_local", "msec", "startedDateTime"),
    "method": ("method", "request_method", "http_method", "verb"),
    "url": ("uri", "url", "request_uri", "path"),
    "status": ("status", "status_code", "response_code"),
}
"""The keys under which JSON lines have it."""
REQUEST_LINE: Final = re.compile(r"^([A-Z]+) (\S+)")
MILLISECONDS_FROM: Final = 1e11
"""A number of seconds would be in the year 5138."""


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """A request of somebody, as a log or a browser kept it."""

    at_s: float
    """When it was sent, in seconds since 1970."""
    method: str
    """HTTP's word for what was done."""
    origin: str
    """The scheme, host and port that it went to; empty where they are not known."""
    path: str
    """The path, without the query."""
    query: Sequence[tuple[str, str]]
    """What stood behind the `?`, in its order."""
    status: int
    """The status of the answer."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """The headers that were kept of it."""
    kind: str = ""
    """The type of its body; empty without one."""
    body: object = None
    """Its body: JSON, or the fields of a form."""
    has_unknown_body: bool = False
    """Whether there was a body which cannot be sent again."""
    answer_kind: str = ""
    """The type of the answer's body; empty where it is not known."""


def read_recording(path: Path) -> tuple[Sequence[RecordedRequest], int]:
    """In the order of time, and how many lines could not be read. Raises `UsageError` where none could."""
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}).") from None
    if path.suffix.lower() == ".har" or re.match(r'\s*\{\s*"log"\s*:', text):
        recorded, unread = list(_har(path, text)), 0
    else:
        lines = [line for line in text.splitlines() if line.strip()]
        read = [_json_line(line) if line.lstrip().startswith("{") else _combined_line(line) for line in lines]
        recorded = [each for each in read if each is not None]
        unread = len(lines) - len(recorded)
    if not recorded:
        raise UsageError(
            f"{path} holds no request. It is a HAR file, or an access log with one request a line: the combined format "
            "of nginx and Apache, or JSON with a time, a method, a path and a status."
        )
    return sorted(recorded, key=lambda each: each.at_s), unread


def _har(path: Path, text: str) -> Iterator[RecordedRequest]:
    try:
        document: object = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{path} is not JSON, which a HAR file is: {error}. Export it again.") from None
    entries = _table(_table(document).get("log")).get("entries")
    if not isinstance(entries, list):
        raise UsageError(f"{path} has no log.entries, so it is no HAR file. Export it again, with its content.")
    for number, entry in enumerate(cast("list[object]", entries)):
        try:
            yield _entry(_table(entry))
        except (KeyError, ValueError, TypeError) as error:
            raise UsageError(f"{path}: log.entries[{number}] is no request of a HAR file ({error!r}).") from None


def _entry(entry: Mapping[str, Any]) -> RecordedRequest:
    request, answer = _table(entry["request"]), _table(entry.get("response"))
    parts = urlsplit(str(request["url"]))
    headers = {str(each["name"]).lower(): str(each["value"]) for each in request.get("headers", ())}
    posted = _table(request.get("postData"))
    kind, body, is_unknown = _body(posted)
    return RecordedRequest(
        _seconds(entry["startedDateTime"]),
        str(request["method"]).upper(),
        f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
        parts.path or "/",
        parse_qsl(parts.query, keep_blank_values=True),
        int(answer.get("status") or 0),
        headers,
        kind,
        body,
        is_unknown,
        str(_table(answer.get("content")).get("mimeType", "")),
    )


def _body(posted: Mapping[str, Any]) -> tuple[str, object, bool]:
    """Its type, what it holds, and whether it is one that cannot be sent again."""
    text = str(posted.get("text") or "")
    if not text and not posted.get("params"):
        return "", None, False
    kind = str(posted.get("mimeType", "")).partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        try:
            return kind, json.loads(text), False
        except ValueError:
            return kind, None, True
    if kind == "application/x-www-form-urlencoded":
        pairs = parse_qsl(text, keep_blank_values=True)
        fields = pairs or [(str(each["name"]), str(each.get("value", ""))) for each in posted.get("params", ())]
        return kind, dict(fields), False
    return kind, None, True


def _combined_line(line: str) -> RecordedRequest | None:
    found = COMBINED.match(line)
    if found is None:
        return None
    try:
        at_s = _combined_seconds(found["time"])
    except ValueError:
        return None
    return _logged(at_s, found["method"], found["url"], int(found["status"]))


def _json_line(line: str) -> RecordedRequest | None:
    try:
        document = _table(json.loads(line))
        request = document.get("request")
        document = {**document, **_table(request)}
        first = REQUEST_LINE.match(request) if isinstance(request, str) else None
        found = {name: next((document[key] for key in keys if key in document), None) for name, keys in LOGGED.items()}
        method, url = first.groups() if first else (found["method"], found["url"])
        asked = document.get("query_string") or document.get("args") or ""
        whole = f"{url}?{str(asked).removeprefix('?')}" if asked and "?" not in str(url) else str(url)
        return _logged(_seconds(found["time"]), str(method).upper(), whole, int(str(found["status"]))) if url else None
    except (ValueError, TypeError):
        return None


def _logged(at_s: float, method: str, url: str, status: int) -> RecordedRequest | None:
    """A log does not have what a request carried."""
    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc}" if parts.scheme in {"http", "https"} else ""
    if not parts.path.startswith("/"):
        return None
    query = parse_qsl(parts.query, keep_blank_values=True)
    return RecordedRequest(
        at_s, method, origin, parts.path, query, status, has_unknown_body=method in {"POST", "PUT", "PATCH"}
    )


def _seconds(time: object) -> float:
    """Raises `ValueError`."""
    match time:
        case int() | float():
            return time / 1000 if time > MILLISECONDS_FROM else float(time)
        case str() if re.fullmatch(r"\d+(\.\d+)?", time):
            return _seconds(float(time))
        case str() if "/" in time:
            return _combined_seconds(time)
        case str():
            read = datetime.fromisoformat(time)
            return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
        case _:
            raise ValueError("there is no time")


def _combined_seconds(time: str) -> float:
    return datetime.strptime(time, COMBINED_TIME).timestamp()  # noqa: DTZ007 -- the format has a zone


def _table(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}
