"""Says how a failure is told to a client: its status, its code, and a message without SQL, addresses or secrets.

What an expected failure said in full goes to the log, for who runs the service.
"""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from math import ceil
from typing import Final, NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from anima.errors import (
    AnimaError,
    DatabaseBusy,
    DatabaseConflict,
    DatabaseUnavailable,
    EmbeddingMisconfigured,
    EmbeddingRefused,
    EmbeddingUnavailable,
    InvalidEmbedding,
    InvalidInput,
)
from anima.http.answers import failure, request_id
from anima.http.schemas import ErrorBody, ValidationDetails

CLIENT_LEFT: Final = 499
CODES: Final[Mapping[int, str]] = {413: "CONTENT_TOO_LARGE"}
"""Statuses that versions of Python name differently."""

logger = logging.getLogger(__name__)


class PublicFailure(NamedTuple):
    status: int
    code: str
    message: str
    retry_after_s: int | None = None


PUBLIC: Final[Mapping[type[AnimaError], PublicFailure]] = {
    DatabaseBusy: PublicFailure(503, "DATABASE_BUSY", "Too many requests use the database now. Try again later.", 1),
    DatabaseConflict: PublicFailure(503, "DATABASE_BUSY", "Other requests changed the same memories. Try again.", 1),
    DatabaseUnavailable: PublicFailure(
        503, "DATABASE_UNAVAILABLE", "The database cannot be used now. Try again later.", 1
    ),
    EmbeddingMisconfigured: PublicFailure(
        503, "EMBEDDING_MISCONFIGURED", "The embedding provider turns the service away. The service's log says why."
    ),
    EmbeddingRefused: PublicFailure(
        422, "EMBEDDING_REFUSED", "The embedding provider cannot embed this text. Shorten or change it."
    ),
    EmbeddingUnavailable: PublicFailure(503, "EMBEDDING_UNAVAILABLE", "The embedding provider does not answer now.", 5),
    InvalidEmbedding: PublicFailure(502, "EMBEDDING_INVALID", "The embedding provider answered with no usable vector."),
}
UNEXPECTED: Final = PublicFailure(
    500, "INTERNAL_ERROR", "The service failed. Its log says why, under the request's id."
)


def refuse(request: Request, error: Exception) -> Response:
    """A request that the contract does not allow."""
    assert isinstance(error, InvalidInput)
    return failure(
        request, 400, ErrorBody("VALIDATION_ERROR", "The request is not valid.", ValidationDetails(error.issues))
    )


def explain(request: Request, error: Exception) -> Response:
    """An expected failure of what the service depends on."""
    public = next((PUBLIC[kind] for kind in type(error).__mro__ if kind in PUBLIC), UNEXPECTED)
    logger.warning("request %s: %s", request_id(request), error)
    return failure(request, public.status, ErrorBody(public.code, public.message), retry_after(public, error))


def retry_after(public: PublicFailure, error: Exception) -> dict[str, str]:
    """As a header in whole seconds: what the failure itself knows, else what is usual for its kind."""
    known_s = error.retry_after_s if isinstance(error, EmbeddingUnavailable) else None
    wait_s = public.retry_after_s if known_s is None else max(1, ceil(known_s))
    return {} if wait_s is None else {"Retry-After": str(wait_s)}


def decline(request: Request, error: Exception) -> Response:
    """Declines what HTTP itself rules out, such as an unknown path or a wrong method."""
    assert isinstance(error, HTTPException)
    code = CODES.get(error.status_code) or HTTPStatus(error.status_code).name
    return failure(request, error.status_code, ErrorBody(code, error.detail), dict(error.headers or {}))


def part(request: Request, error: Exception) -> Response:
    """The client has left: nobody reads this, but the measurements count it, by nginx's number."""
    del request, error
    return Response(status_code=CLIENT_LEFT)


def confess(request: Request, error: Exception) -> Response:
    """A failure that nobody expected; the server logs its traceback."""
    logger.error("request %s: %s", request_id(request), type(error).__name__)
    return failure(request, UNEXPECTED.status, ErrorBody(UNEXPECTED.code, UNEXPECTED.message))


HANDLERS: Final = {
    InvalidInput: refuse,
    AnimaError: explain,
    HTTPException: decline,
    ClientDisconnect: part,
    Exception: confess,
}
