"""Fix 1: `EmbeddingCache`, and `generateEmbedding` around it. A Map keeps the order of insertion, as a dict does."""

import hashlib
from collections.abc import Callable

from anima.embeddings.protocol import EmbeddingProvider, Vector


class GuideCache:
    def __init__(self, max_size: int, ttl_s: float, clock: Callable[[], float]) -> None:
        self.cache: dict[str, tuple[Vector, float]] = {}
        self.max_size = max_size
        self.ttl_s = ttl_s
        self.clock = clock

    def cache_key(self, text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    def get(self, text: str) -> Vector | None:
        cached = self.cache.get(self.cache_key(text))
        if cached and self.clock() - cached[1] < self.ttl_s:
            return cached[0]
        return None

    def set(self, text: str, embedding: Vector) -> None:
        if len(self.cache) >= self.max_size:
            del self.cache[next(iter(self.cache))]
        self.cache[self.cache_key(text)] = (embedding, self.clock())


async def generate_embedding(cache: GuideCache, provider: EmbeddingProvider, text: str) -> Vector:
    cached = cache.get(text)
    if cached is not None:
        return cached
    embedded = await provider.embed(text)
    cache.set(text, embedded.vector)
    return embedded.vector
