"""Our own: `naive`, `batched` and `frontier`, with all that they record."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import uuid4

import asyncpg

from anima import migrations
from anima.assembly import exact_search, open_anima, pool_of
from anima.database import PoolSettings
from anima.embeddings.protocol import Embedded, ProviderCalls
from anima.model import NewMemory, Query, content_hash
from anima.strategy import preset
from peers.common import LIMIT, Embeddings, Floats, Layout, Note, Peer

COLUMNS = (
    "id",
    "content",
    "content_hash",
    "embedding",
    "created_at",
    "updated_at",
    "last_accessed",
    "tier_last_updated",
)
RANKING_ALL = """
SELECT m.content FROM unnest(find_by_ranking_all($1, '{}', 0, $2)) AS a JOIN memories AS m ON m.id = a.id
"""
TABLES_VERSION = 4
"""The tables without their vector index."""


class Given:
    """A provider that knows each text's embedding."""

    name = "hashing"
    model = "words-and-trigrams-1"

    def __init__(self, embeddings: Embeddings) -> None:
        self._embeddings = embeddings

    async def embed(self, text: str) -> Embedded:
        return Embedded(await self._embeddings.of(text), self.name)

    async def embed_many(self, texts: Sequence[str]) -> Sequence[Embedded]:
        return [await self.embed(text) for text in texts]

    def server_calls(self) -> tuple[ProviderCalls, ...]:
        return ()

    async def aclose(self) -> None:
        """Holds nothing that has to be closed."""


class OfAnima(Peer):
    distribution: ClassVar = "anima-harness"
    written_for: ClassVar = "0.1"
    records: ClassVar = (
        "tier, count, time, conversation and phi of each memory returned; a log; pairs returned together"
    )
    filters: ClassVar = False
    layout: ClassVar = Layout("memories", "content", "embedding", "''")

    async def make(self) -> None:
        await migrations.migrate(self.setup.url, to=TABLES_VERSION)

    async def load(self, connection: "asyncpg.Connection[Any]", loaded: Sequence[Note], embedded: Floats) -> None:
        at = datetime(2026, 1, 1, tzinfo=UTC)
        await connection.copy_records_to_table(
            "memories",
            columns=COLUMNS,
            records=[
                (uuid4(), note.text, content_hash(note.text), vector, at, at, at, at)
                for note, vector in zip(loaded, embedded, strict=True)
            ],
        )

    async def finish(self) -> None:
        await migrations.migrate(self.setup.url, to=preset(self.name).schema_version)

    async def connect(self) -> None:
        strategy = preset(self.name)
        self._stack = AsyncExitStack()
        pool = PoolSettings(
            strategy.pool_size,
            size_min=min(self.setup.users, strategy.pool_size),
            acquire_timeout_s=pool_of(strategy).acquire_timeout_s,
        )
        self._anima = await self._stack.enter_async_context(
            open_anima(self.setup.url, strategy, Given(self.embeddings), pool=pool)
        )
        self._stop = asyncio.Event()
        self._workers = asyncio.create_task(self._anima.background.run(self._stop))

    async def close(self) -> None:
        self._stop.set()
        await self._workers
        await self._stack.aclose()

    async def drain(self) -> None:
        await self._anima.background.drain()

    async def add(self, text: str, tenant: str) -> None:
        await self._anima.memory.add(NewMemory(content=text, tags=(tenant,)))

    async def search(self, question: str, owner: str | None) -> Sequence[str]:
        del owner
        found = await self._anima.memory.query(
            Query(
                query=question,
                limit=LIMIT,
                similarity_threshold=0.0,
                conversation_id=f"conversation {len(question) % 20}",
            )
        )
        return [each.memory.content for each in found.memories]

    async def exact(self, connection: "asyncpg.Connection[Any]", question: str, tenant: str | None) -> Sequence[str]:
        """By its own ranking, which counts use beside nearness; before the first search nothing has been used."""
        del connection, tenant
        query = Query(query=question, limit=LIMIT, similarity_threshold=0.0)
        async with self._anima.memory.database.session() as session:
            found = await exact_search().find(session, query, self.embeddings.at_once(question))
        return [each.memory.content for each in found]


class Naive(OfAnima):
    name: ClassVar = "naive"
    columns: ClassVar = {"defaults": "before the fixes"}


class Batched(OfAnima):
    name: ClassVar = "batched"
    columns: ClassVar = {"defaults": "after them"}


class Frontier(OfAnima):
    name: ClassVar = "frontier"
    columns: ClassVar = {"defaults": "what `anima serve` uses"}

    async def exact(self, connection: "asyncpg.Connection[Any]", question: str, tenant: str | None) -> Sequence[str]:
        """By its own ranking, of what is written down apart from the memories."""
        del tenant
        return [row[0] for row in await connection.fetch(RANKING_ALL, self.embeddings.at_once(question), LIMIT)]
