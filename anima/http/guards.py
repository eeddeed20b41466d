"""Says what stands between the network and the routes, from the settings: who may ask, how much, how often."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from pydantic import SecretStr
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from anima.errors import InvalidInput
from anima.http.api_keys import ApiKeys, read_keys
from anima.http.body_limit import BODY_BYTES_MAX, BodyLimit
from anima.http.callers import POSITION_HEADER
from anima.http.rate_limit import RateLimit, limiting, read_limit
from anima.loopback import is_loopback
from anima.settings import Settings

READABLE_HEADERS: Final = ("X-Response-Time", "Retry-After", POSITION_HEADER)


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """Without keys, a limit or origins there is no such guard. It travels to each worker."""

    digests: Mapping[str, str] = field(default_factory=dict[str, str])
    rate_limit: str | None = None
    redis_url: SecretStr | None = None
    cors_origins: tuple[str, ...] = ()
    body_bytes_max: int = BODY_BYTES_MAX


UNGUARDED: Final = GuardSettings()


def guard_settings(settings: Settings) -> GuardSettings:
    """Raises `InvalidInput`, also where strangers could reach a service that asks nobody for a key."""
    digests = read_keys(settings.api_keys)
    if not (digests or settings.without_keys or is_loopback(settings.host)):
        raise InvalidInput(
            f"On {settings.host} whoever can reach this machine could read and write all memories. Set ANIMA_API_KEYS "
            "(`anima new-key NAME` makes one), listen on 127.0.0.1, or say --without-keys if that is what you want."
        )
    if settings.rate_limit is not None:
        read_limit(settings.rate_limit)
    origins = [origin.strip() for origin in (settings.cors_origins or "").split(",")]
    return GuardSettings(
        digests, settings.rate_limit, settings.redis_url, tuple(origin for origin in origins if origin)
    )


@asynccontextmanager
async def guarding(settings: GuardSettings) -> AsyncGenerator[list[Middleware]]:
    """The outermost first. A browser asks for permission without a key; a key is checked before its use is counted."""
    chosen: list[Middleware] = []
    async with AsyncExitStack() as stack:
        if settings.cors_origins:
            chosen.append(cors(settings.cors_origins))
        if settings.digests:
            chosen.append(Middleware(ApiKeys, settings.digests))
        if settings.rate_limit is not None:
            limiter = await stack.enter_async_context(limiting(settings.rate_limit, settings.redis_url))
            chosen.append(Middleware(RateLimit, limiter))
        yield [*chosen, Middleware(BodyLimit, settings.body_bytes_max)]


def cors(origins: Sequence[str]) -> Middleware:
    return Middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=("GET", "POST"),
        allow_headers=("Authorization", "Content-Type", POSITION_HEADER),
        expose_headers=READABLE_HEADERS,
    )
