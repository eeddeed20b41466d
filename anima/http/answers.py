"""Answers as JSON: the envelope of an operation, and documents without one."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from msgspec import json
from starlette.requests import Request
from starlette.responses import Response

from anima.http.schemas import ErrorBody, Failure, Meta, Success

ENCODER = json.Encoder()


def request_id(request: Request) -> str:
    """The same in an answer and in the log lines of its request."""
    return str(request.scope.setdefault("state", {}).setdefault("request_id", str(uuid4())))


def document(content: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(ENCODER.encode(content), status, headers, media_type="application/json")


def success(request: Request, data: object, status: int = 200, **meta: Any) -> Response:  # noqa: ANN401 -- Meta's own types
    return document(Success(data=data, meta=Meta(request_id(request), datetime.now(UTC), **meta)), status)


def failure(request: Request, status: int, error: ErrorBody, headers: dict[str, str] | None = None) -> Response:
    return document(Failure(error=error, meta=Meta(request_id(request), datetime.now(UTC))), status, headers)
