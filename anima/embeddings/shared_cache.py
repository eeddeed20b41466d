"""Vectors kept in Redis, where several instances find each other's: the second tier, behind the one in the process.

It makes answers cheaper and never prevents one. A Redis that cannot be reached costs one caller `timeout_s` and is then
left alone for `backoff_s`; meanwhile the provider is asked as if there were no Redis.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from secrets import token_bytes
from typing import Final, Protocol, Self, cast

import numpy as np
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from anima.circuit import CircuitBreaker, CircuitOpen
from anima.embeddings.protocol import (
    CACHE,
    DIMENSIONS,
    Embedded,
    EmbeddingProvider,
    InFrontOfProvider,
    SharedCacheSettings,
    SharedCacheStatistics,
    Vector,
)
from anima.embeddings.vectors import validated
from anima.errors import InvalidEmbedding

COMPONENT: Final = np.dtype("<f4")
VECTOR_BYTES: Final = DIMENSIONS * COMPONENT.itemsize
POLL_S: Final = 0.05

RELEASE: Final = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"
"""Deletes a lock if it still holds the token: it may have expired and be another's."""


class SharedCacheUnavailable(Exception):
    """Redis gave no answer in time, or is not asked for a while."""


class RedisCommands(Protocol):
    """Names what is used of a Redis client."""

    async def execute_command(self, *command: str | bytes | int) -> object: ...

    async def aclose(self) -> None: ...


class SharedEmbeddings(InFrontOfProvider):
    """Answers from Redis, else asks `provider`: one instance does, while the others wait for its answer.

    They wait for `lock_s` at most and then ask as well, so an instance that dies delays the others but stops none.
    As in the first tier, only what `provider` itself answered is kept, and an error never is.
    """

    def __init__(
        self,
        provider: EmbeddingProvider,
        redis: RedisCommands,
        settings: SharedCacheSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(provider)
        self._redis = redis
        self._settings = settings
        self._clock = clock
        self._sleep = sleep
        self._circuit = CircuitBreaker(
            "The shared cache in Redis", failures_max=1, open_s=settings.backoff_s, clock=clock
        )
        self._hits = self._misses = self._waits = self._invalid = self._errors = self._skipped = 0

    @classmethod
    def connect(cls, provider: EmbeddingProvider, settings: SharedCacheSettings) -> Self:
        """Does not reach for Redis before the first text."""
        from_url = cast("Callable[..., RedisCommands]", Redis.from_url)  # pyright: ignore[reportUnknownMemberType]
        # A command that is tried again would cost several time limits.
        redis = from_url(settings.url.get_secret_value(), retry=Retry(NoBackoff(), 0))
        return cls(provider, redis, settings)

    async def embed(self, text: str) -> Embedded:
        key, token = self._key(text), token_bytes(16)
        try:
            vector = await self._kept_or_locked(key, token)
        except SharedCacheUnavailable:
            vector = None
        if vector is not None:
            self._hits += 1
            return Embedded(vector, CACHE)
        self._misses += 1
        try:
            answer = await self._provider.embed(text)
            await self._keep({key: answer})
            return answer
        finally:
            with suppress(SharedCacheUnavailable):
                await self._ask("EVAL", RELEASE, 1, _lock(key), token)

    async def embed_many(self, texts: Sequence[str]) -> Sequence[Embedded]:
        """One look-up for all, and no locks: whoever embeds many texts does so ahead of need."""
        keys = [self._key(text) for text in texts]
        vectors = await self._all_kept(keys) if keys else []
        unknown = [text for text, vector in zip(texts, vectors, strict=True) if vector is None]
        asked = iter(await self._provider.embed_many(unknown) if unknown else [])
        self._hits += len(texts) - len(unknown)
        self._misses += len(unknown)
        answers = [next(asked) if vector is None else Embedded(vector, CACHE) for vector in vectors]
        await self._keep(dict(zip(keys, answers, strict=True)))
        return answers

    def statistics(self) -> SharedCacheStatistics:
        lookups = self._hits + self._misses
        return SharedCacheStatistics(
            hits=self._hits,
            misses=self._misses,
            waits=self._waits,
            invalid=self._invalid,
            errors=self._errors,
            skipped=self._skipped,
            hit_rate=self._hits / lookups if lookups else 0.0,
            circuit=self._circuit.state,
        )

    async def aclose(self) -> None:
        try:
            await self._redis.aclose()
        finally:
            await self._provider.aclose()

    def _key(self, text: str) -> str:
        digest = hashlib.sha256(text.encode()).hexdigest()
        return f"anima:embedding:{self._settings.keyspace}{self.name}:{self.model}:{DIMENSIONS}:{digest}"

    async def _kept_or_locked(self, key: str, token: bytes) -> Vector | None:
        """None when the caller is to ask the provider: it holds the lock, or has waited long enough for who does."""
        deadline = self._clock() + self._settings.lock_s
        vector = await self._kept(key)
        if vector is not None or await self._has_locked(key, token):
            # Between the look and the lock, whoever held the lock before may have kept the answer.
            return await self._kept(key) if vector is None else vector
        self._waits += 1
        while vector is None and self._clock() < deadline:
            await self._sleep(POLL_S)
            vector = await self._kept(key)
            if vector is None and await self._has_locked(key, token):
                return await self._kept(key)
        return vector

    async def _kept(self, key: str) -> Vector | None:
        return self._vector(await self._ask("GET", key))

    async def _all_kept(self, keys: Sequence[str]) -> list[Vector | None]:
        try:
            values = cast("list[object]", await self._ask("MGET", *keys))
        except SharedCacheUnavailable:
            values = [None] * len(keys)
        return [*map(self._vector, values)]

    async def _has_locked(self, key: str, token: bytes) -> bool:
        lock_ms = int(self._settings.lock_s * 1000)
        return bool(await self._ask("SET", _lock(key), token, "NX", "PX", lock_ms))

    async def _keep(self, answers: Mapping[str, Embedded]) -> None:
        """Writes the provider's own answers, and what a cache knew not again."""
        own = {key: answer.vector for key, answer in answers.items() if answer.provider == self.name}
        ttl_ms = int(self._settings.ttl_s * 1000)
        with suppress(SharedCacheUnavailable):
            for key, vector in own.items():
                await self._ask("SET", key, vector.astype(COMPONENT).tobytes(), "PX", ttl_ms)

    def _vector(self, value: object) -> Vector | None:
        """What another instance wrote is held to the same rules as a provider's answer."""
        if value is None:
            return None
        if isinstance(value, bytes) and len(value) == VECTOR_BYTES:
            with suppress(InvalidEmbedding):
                return validated(np.frombuffer(value, COMPONENT), provider=self.name)
        self._invalid += 1
        return None

    async def _ask(self, *command: str | bytes | int) -> object:
        """Redis's answer within the time limit; raises `SharedCacheUnavailable`."""
        try:
            with self._circuit.call(RedisConnectionError, RedisTimeoutError, OSError):
                async with asyncio.timeout(self._settings.timeout_s):
                    return await self._redis.execute_command(*command)
        except CircuitOpen:
            self._skipped += 1
            raise SharedCacheUnavailable from None
        except (RedisError, OSError) as error:
            self._errors += 1
            raise SharedCacheUnavailable from error


def _lock(key: str) -> str:
    return f"{key}:lock"
