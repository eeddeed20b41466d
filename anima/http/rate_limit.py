"""Says how many requests one client may send: each tenant, or each key, or each address where there are no keys.

With Redis, all instances and processes count together. A Redis that does not answer lets requests pass: it then is left
alone for a while, and meanwhile nobody is counted.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import ceil
from typing import Any, Final, cast

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError
from pydantic import SecretStr
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from anima.circuit import CircuitBreaker, CircuitOpen
from anima.errors import InvalidInput
from anima.http.api_keys import OPEN_PATHS
from anima.http.failures import decline

STORAGE_TIMEOUT_S: Final = 0.25
STORAGE_BACKOFF_S: Final = 5.0


def read_limit(text: str) -> RateLimitItem:
    """`100/second`, `6000 per hour`. Raises `InvalidInput`."""
    try:
        return parse(text)
    except ValueError:
        raise InvalidInput(f"{text!r} is no rate limit. Say for example 100/second or 5000 per hour.") from None


@dataclass(frozen=True, slots=True)
class Limiter:
    """Counts in a sliding window, so that a client cannot send twice its share around the turn of a window."""

    limit: RateLimitItem
    strategy: SlidingWindowCounterRateLimiter
    circuit: CircuitBreaker

    async def wait_s(self, client: str) -> float | None:
        """Counts a request. None when it may pass, else in how many seconds the next one may."""
        try:
            with self.circuit.call(StorageError, TimeoutError):
                async with asyncio.timeout(STORAGE_TIMEOUT_S):
                    if await self.strategy.hit(self.limit, client):
                        return None
                    window = await self.strategy.get_window_stats(self.limit, client)
        except (CircuitOpen, StorageError, TimeoutError):
            return None
        return max(0.0, window.reset_time - time.time())


@asynccontextmanager
async def limiting(text: str, redis_url: SecretStr | None) -> AsyncGenerator[Limiter]:
    """Raises `InvalidInput`. Without Redis each process counts what it is sent itself."""
    async with storage_of(redis_url) as storage:
        circuit = CircuitBreaker("The storage of rate limits", failures_max=1, open_s=STORAGE_BACKOFF_S)
        yield Limiter(read_limit(text), SlidingWindowCounterRateLimiter(storage), circuit)


@asynccontextmanager
async def storage_of(redis_url: SecretStr | None) -> AsyncGenerator[Storage]:
    if redis_url is None:
        yield MemoryStorage()
        return
    url = redis_url.get_secret_value()
    # A command that is tried again would cost several time limits.
    pool = cast("Callable[..., ConnectionPool]", ConnectionPool.from_url)(url, retry=Retry(NoBackoff(), 0))
    options: dict[str, Any] = {"connection_pool": pool}
    try:
        yield RedisStorage(
            f"async+{url}", wrap_exceptions=True, implementation="redispy", key_prefix="anima:rate", **options
        )
    finally:
        await pool.aclose()


@dataclass(frozen=True, slots=True)
class RateLimit:
    app: ASGIApp
    limiter: Limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self.app(scope, receive, send)
            return
        wait_s = await self.limiter.wait_s(client_of(scope))
        if wait_s is None:
            await self.app(scope, receive, send)
            return
        refusal = HTTPException(
            429, f"No more than {self.limiter.limit} are allowed.", {"Retry-After": str(max(1, ceil(wait_s)))}
        )
        await decline(Request(scope), refusal)(scope, receive, send)


def client_of(scope: Scope) -> str:
    """The tenant of a key, or else its name; without keys the address that the request came from.

    It is never what a header claims.
    """
    state = scope.get("state", {})
    if tenant := state.get("tenant"):
        return f"tenant {tenant}"
    name = state.get("client")
    address = scope.get("client")
    return f"key {name}" if name else f"address {address[0] if address else ''}"
