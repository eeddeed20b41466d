"""Vectors kept in front of a provider: the least recently used leaves first, none outstays its time."""

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Final, NamedTuple

from cachetools import TTLCache

from anima.embeddings.protocol import (
    CACHE,
    DIMENSIONS,
    CacheStatistics,
    Embedded,
    EmbeddingProvider,
    InFrontOfProvider,
    Vector,
)
from anima.spending import spending

VECTOR_BYTES: Final = DIMENSIONS * 4


class _Key(NamedTuple):
    """The text is kept as its SHA-256: 10,000 texts of 50,000 characters would be more than their vectors."""

    provider: str
    model: str
    dimensions: int
    text_sha256: bytes


class _Entries(TTLCache[_Key, Vector]):
    """Counts what leaves, and why."""

    evictions = 0
    expirations = 0

    def popitem(self) -> tuple[_Key, Vector]:
        self.evictions += 1
        return super().popitem()

    def expire(self, time: float | None = None) -> list[tuple[_Key, Vector]]:
        expired = super().expire(time)
        self.expirations += len(expired)
        return expired


class CachedEmbeddings(InFrontOfProvider):
    """Answers from memory, else asks `provider`, once for all who ask for the same text at the same time.

    Only what `provider` itself answered is kept, now, or earlier where another cache stands behind this one: a
    fallback's vector, kept under the primary's key, would be compared with another model's until it expires.
    """

    def __init__(
        self,
        provider: EmbeddingProvider,
        *,
        max_entries: int = 10_000,
        ttl_s: float = 3600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        assert max_entries > 0, "a cache without room can keep nothing"
        super().__init__(provider)
        self._entries = _Entries(max_entries, ttl_s, clock)
        self._calls: dict[_Key, asyncio.Task[Embedded]] = {}
        self._hits = 0
        self._misses = 0
        self._coalesced = 0

    async def embed(self, text: str) -> Embedded:
        key = self._key(text)
        vector = self._entries.get(key)
        if vector is not None:
            self._hits += 1
            return Embedded(vector, CACHE)
        call = self._joined_call(key)
        with spending("coalesced") if call else nullcontext():
            call = call or self._new_call(key, text)
            # Unlike awaiting the task, waiting for it leaves it running when the waiter is cancelled.
            await asyncio.wait([call])
        return call.result()

    async def embed_many(self, texts: Sequence[str]) -> Sequence[Embedded]:
        """Asks for what is not known in as few calls as the provider can; a text that comes twice, once."""
        known = {text: self._entries.get(self._key(text)) for text in texts}
        unknown = [text for text, vector in known.items() if vector is None]
        asked = dict(zip(unknown, await self._provider.embed_many(unknown), strict=True)) if unknown else {}
        self._misses += len(unknown)
        self._hits += len(texts) - len(unknown)
        for text, answer in asked.items():
            self._keep_answer(self._key(text), answer)
        return [Embedded(vector, CACHE) if (vector := known[text]) is not None else asked[text] for text in texts]

    def keep(self, text: str, vector: Vector) -> None:
        """Remembers what the provider is known to answer, as if it had been asked."""
        kept = vector.copy()
        kept.setflags(write=False)
        self._entries[self._key(text)] = kept

    def statistics(self) -> CacheStatistics:
        lookups = self._hits + self._misses + self._coalesced
        size = len(self._entries)  # Drops what has expired, and so comes before the count of that.
        return CacheStatistics(
            hits=self._hits,
            misses=self._misses,
            coalesced=self._coalesced,
            evictions=self._entries.evictions,
            expirations=self._entries.expirations,
            size=size,
            max_size=int(self._entries.maxsize),
            hit_rate=self._hits / lookups if lookups else 0.0,
            bytes=size * VECTOR_BYTES,
        )

    async def aclose(self) -> None:
        for call in self._calls.values():
            call.cancel()
        await asyncio.gather(*self._calls.values(), return_exceptions=True)
        await self._provider.aclose()

    def _key(self, text: str) -> _Key:
        return _Key(self.name, self.model, DIMENSIONS, hashlib.sha256(text.encode()).digest())

    def _joined_call(self, key: _Key) -> asyncio.Task[Embedded] | None:
        call = self._calls.get(key)
        self._coalesced += call is not None
        return call

    def _new_call(self, key: _Key, text: str) -> asyncio.Task[Embedded]:
        self._misses += 1
        call = self._calls[key] = asyncio.create_task(self._provider.embed(text))
        call.add_done_callback(partial(self._settle, key))
        return call

    def _settle(self, key: _Key, call: asyncio.Task[Embedded]) -> None:
        """Keeps a call's answer, and never its error."""
        del self._calls[key]
        # Reading the exception also keeps asyncio quiet about a failed call that nobody waits for any more.
        if call.cancelled() or call.exception() is not None:
            return
        self._keep_answer(key, call.result())

    def _keep_answer(self, key: _Key, answer: Embedded) -> None:
        if answer.provider in (self.name, CACHE):
            answer.vector.setflags(write=False)
            self._entries[key] = answer.vector
