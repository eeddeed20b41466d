"""Times each request as the service saw it: a header on every answer, and a log line for a slow one.

Pure ASGI, and outermost, so that an answer of any middleware or of the error handler carries the header too.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Final, TypeAlias
from uuid import uuid4

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from anima.spending import Spent, spending_of_request

HEADER: Final = b"x-response-time"
SLOW_MS: Final = 500.0
UNMATCHED: Final = "(unmatched)"
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Timed:
    """One answered request. `route` and `method` are of a closed set, so that a client cannot add to it."""

    request_id: str
    method: str
    route: str
    status: int
    elapsed_s: float
    spent: Spent


RequestObserver: TypeAlias = Callable[[Timed], None]


@dataclass(frozen=True, slots=True)
class TimingMiddleware:
    """`X-Response-Time` is the time to the head of the answer; observers are told when its body is sent."""

    app: ASGIApp
    observers: tuple[RequestObserver, ...]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = perf_counter()
        status = 500
        request_id = scope.setdefault("state", {})["request_id"] = str(uuid4())

        async def send_timed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                elapsed_ms = round((perf_counter() - started) * 1000)
                message.setdefault("headers", []).append((HEADER, b"%dms" % elapsed_ms))
            await send(message)

        with spending_of_request() as spent:
            try:
                await self.app(scope, receive, send_timed)
            finally:
                elapsed_s = perf_counter() - started
                timed = Timed(request_id, method_of(scope), route_of(scope), status, elapsed_s, spent)
                for observe in self.observers:
                    observe(timed)


def route_of(scope: Scope) -> str:
    """The path of a route that exists: no route has a parameter in its path."""
    return str(scope["path"]) if "endpoint" in scope else UNMATCHED


def method_of(scope: Scope) -> str:
    return str(scope["method"]) if scope["method"] in METHODS else "OTHER"


@dataclass(frozen=True, slots=True)
class SlowRequestLog:
    """A JSON line for each request over the limit: where its time went, and nothing of what it said."""

    limit_ms: float = SLOW_MS

    def __call__(self, timed: Timed) -> None:
        elapsed_ms = timed.elapsed_s * 1000
        if elapsed_ms <= self.limit_ms:
            return
        parts = {f"{part}_ms": round(spent_s * 1000, 1) for part, spent_s in timed.spent.items()}
        line = {
            "event": "slow_request",
            "request_id": timed.request_id,
            "method": timed.method,
            "route": timed.route,
            "status": timed.status,
            "elapsed_ms": round(elapsed_ms, 1),
            **parts,
        }
        logger.warning(json.dumps(line))
