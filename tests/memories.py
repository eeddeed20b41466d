"""Memories for tests: vectors of a stated similarity, systems that use them, rows put in and tables read back."""

import math
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID, uuid4

import numpy as np

from anima.assembly import Anima, EmbeddingChain, connect
from anima.database import Observer, PoolSettings, Session, Statement, ignore, open_database
from anima.embeddings.cache import CachedEmbeddings
from anima.embeddings.hashing import hashed_vector
from anima.embeddings.protocol import DIMENSIONS, Embedded, ProviderCalls, Vector
from anima.model import Tier, content_hash
from anima.standbys import open_standbys
from anima.strategy import BATCHED, FRONTIER, NAIVE, Strategy

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

PLACED: Final[Mapping[str, Strategy]] = {
    "naive": NAIVE,
    "naive-background": replace(NAIVE, association_placement="background", consolidation_placement="background"),
    "batched": BATCHED,
    "frontier": FRONTIER,
    "batched-inline": replace(BATCHED, association_placement="inline", consolidation_placement="inline"),
    "batched-associations-inline": replace(BATCHED, association_placement="inline"),
    "batched-consolidation-inline": replace(BATCHED, consolidation_placement="inline"),
}
"""The presets, and two of them with their work placed the other way; the last two mix placements."""

PLANT = Statement(
    "test.plant",
    """
    INSERT INTO memories (
        id, content, content_hash, embedding, tier, access_count, resonance_phi, is_catalyst, metadata,
        last_accessed, created_at, deleted_at
    )
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
    """,
)

# The identities of rows in a log follow from a sequence, which no rollback turns back.
TABLES = {
    "memories": "SELECT to_jsonb(t) FROM current_memories t ORDER BY id",
    "memory_associations": "SELECT to_jsonb(t) FROM current_associations t ORDER BY memory_a_id, memory_b_id",
    "tier_promotions": "SELECT to_jsonb(t) - 'id' FROM tier_promotions t ORDER BY 1",
    "memory_access_log": "SELECT to_jsonb(t) FROM current_access_log t ORDER BY 1",
    "queue_log": "SELECT to_jsonb(t) - '{id,created}'::text[] FROM pgqueuer_log t ORDER BY id",
    "queue": "SELECT jsonb_build_array(entrypoint, status, attempts, payload::text) FROM pgqueuer ORDER BY id",
}


def vector(*components: float) -> Vector:
    """These components, then zeros."""
    filled = np.zeros(DIMENSIONS, dtype=np.float32)
    filled[: len(components)] = components
    return filled


EAST = vector(1)
# Pythagorean: their cosines to EAST, 19/20 and 49/50, come out of PostgreSQL without any rounding.
AT_095 = vector(19, 5, 3, 2, 1)
AT_098 = vector(49, 9, 3, 3)
# The square of its norm is 16,000,001: 3e-8 below 0.95, the nearest that small integers come without reaching it.
JUST_BELOW_095 = vector(3800, 1249)


def leaning(similarity: float, *, towards: int = 1) -> Vector:
    """A unit vector with this cosine to EAST, the rest of it along another axis."""
    components = [similarity] + [0.0] * towards
    components[towards] = math.sqrt(1 - similarity * similarity)
    return vector(*components)


@dataclass(frozen=True, slots=True)
class StatedEmbeddings:
    """Gives a text the vector that a test states for it, and any other text a lexical one."""

    vectors: Mapping[str, Vector] = field(default_factory=lambda: MappingProxyType({}))
    name: str = "stated"
    model: str = "stated"

    async def embed(self, text: str) -> Embedded:
        stated = self.vectors.get(text)
        return Embedded(hashed_vector(text) if stated is None else stated, self.name)

    async def embed_many(self, texts: Sequence[str]) -> Sequence[Embedded]:
        return [await self.embed(text) for text in texts]

    def server_calls(self) -> tuple[ProviderCalls, ...]:
        return ()

    async def aclose(self) -> None:
        pass


@dataclass(slots=True)
class Clock:
    """Goes on by a second with each look at it, so that no two moments are equal."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@asynccontextmanager
async def opened(
    url: str,
    strategy: Strategy,
    vectors: Mapping[str, Vector] = MappingProxyType({}),
    *,
    observer: Observer = ignore,
    clock: Callable[[], datetime] | None = None,
    new_id: Callable[[], UUID] = uuid4,
    replica_urls: Sequence[str] = (),
) -> AsyncGenerator[Anima]:
    """A system on a migrated database. A busy machine makes callers wait for a connection, and fail none of them."""
    provider = StatedEmbeddings(vectors)
    cache = CachedEmbeddings(provider) if strategy.embedding_cache else None
    pool = PoolSettings(strategy.pool_size, acquire_timeout_s=60)
    async with (
        open_database(url, pool, observer) as database,
        open_standbys(database, replica_urls, pool, observer) as standbys,
    ):
        anima = connect(
            strategy, database, EmbeddingChain(cache or provider, cache), clock=clock or Clock(), new_id=new_id
        )
        yield replace(anima, standbys=standbys) if replica_urls else anima


@asynccontextmanager
async def session_on(url: str, observer: Observer = ignore) -> AsyncGenerator[Session]:
    async with open_database(url, PoolSettings(1), observer) as database, database.session() as session:
        yield session


async def plant(
    session: Session,
    embedding: Vector = EAST,
    *,
    content: str | None = None,
    memory_id: UUID | None = None,
    tier: Tier = Tier.ACTIVE,
    access_count: int = 0,
    phi: float = 0.0,
    is_catalyst: bool = False,
    metadata: str = "{}",
    last_accessed: datetime = NOON,
    created_at: datetime = NOON,
    deleted_at: datetime | None = None,
) -> UUID:
    """Writes a memory in any state, past the system."""
    memory_id = memory_id or uuid4()
    content = content or f"memory {memory_id}"
    await session.execute(
        PLANT,
        memory_id,
        content,
        content_hash(content),
        embedding,
        tier,
        access_count,
        phi,
        is_catalyst,
        metadata,
        last_accessed,
        created_at,
        deleted_at,
    )
    return memory_id


async def rows(session: Session, sql: str, *arguments: object) -> list[dict[str, Any]]:
    return [dict(row) for row in await session.connection.fetch(sql, *arguments)]


async def value(session: Session, sql: str, *arguments: object) -> Any:
    return await session.connection.fetchval(sql, *arguments)


async def tables(session: Session) -> dict[str, list[str]]:
    """All that the system has written, clocks included, and the queue."""
    apart = await session.connection.fetchval("SELECT to_regclass('current_memories') IS NOT NULL")
    written = {name: sql if apart else sql.replace(" current_", " ") for name, sql in TABLES.items()}
    written["memory_access_log"] = written["memory_access_log"].replace(" access_log ", " memory_access_log ")
    written["memory_associations"] = written["memory_associations"].replace(" associations ", " memory_associations ")
    return {name: [row[0] for row in await session.connection.fetch(sql)] for name, sql in written.items()}
