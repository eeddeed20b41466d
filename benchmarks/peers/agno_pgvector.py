"""Agno's `PgVector`, the vector store of its knowledge bases."""

import asyncio
import hashlib
import json
import logging
from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import uuid4

import asyncpg

from peers.common import DIMENSIONS, EVERYONE, LIMIT, Embeddings, Floats, Layout, Note, Peer, PeerTarget

TABLE = "notes"
COLUMNS = ("id", "meta_data", "filters", "content", "embedding", "content_hash", "user_id")


class Agno(Peer):
    name: ClassVar = "agno"
    distribution: ClassVar = "agno"
    written_for: ClassVar = "3.1"
    columns: ClassVar = {
        "defaults": "`HNSW()`, of which `create` makes no index, so that none is there; a pool of 5 to 15",
        "tuned": "`HNSW(ef_search=200)`, its index made once the rows are there by the first half of `optimize`, by "
        "psycopg2 (`optimize` itself fails); asked by psycopg 3, a pool with a connection for each user",
    }
    layout: ClassVar = Layout(f"ai.{TABLE}", "content", "embedding", "user_id")

    async def make(self) -> None:
        await self.connect()
        await asyncio.to_thread(self.store.create)
        await self.close()

    async def load(self, connection: "asyncpg.Connection[Any]", loaded: Sequence[Note], embedded: Floats) -> None:
        await connection.copy_records_to_table(
            TABLE,
            schema_name="ai",
            columns=COLUMNS,
            records=[
                (
                    str(uuid4()),
                    json.dumps({"owner": EVERYONE}),
                    None,
                    note.text,
                    vector,
                    _digest(note.text),
                    note.tenant,
                )
                for note, vector in zip(loaded, embedded, strict=True)
            ],
        )

    async def finish(self) -> None:
        if self.setup.tuned:
            await self.open_by("psycopg2")
            # The half of `optimize` that makes the index of vectors; the other half fails.
            await asyncio.to_thread(self.store._create_vector_index)  # noqa: SLF001
            await self.close()

    async def connect(self) -> None:
        await self.open_by("psycopg")

    async def open_by(self, driver: str) -> None:
        from agno.vectordb.pgvector import HNSW, PgVector  # noqa: PLC0415 -- once telemetry is off
        from sqlalchemy import create_engine  # noqa: PLC0415 -- what agno takes

        logging.getLogger("agno").setLevel(logging.WARNING)
        url = f"postgresql+{driver}://{self.setup.url.partition('://')[2]}"
        tuned: dict[str, Any] = {"vector_index": HNSW(ef_search=self.setup.ef_search)} if self.setup.tuned else {}
        pool = {"pool_size": max(5, self.setup.users)} if self.setup.tuned else {}
        self.store = PgVector(
            table_name=TABLE, db_engine=create_engine(url, **pool), embedder=_given(self.embeddings), **tuned
        )

    async def close(self) -> None:
        self.store.db_engine.dispose()

    async def add(self, text: str, tenant: str) -> None:
        from agno.knowledge.document import Document  # noqa: PLC0415 -- once telemetry is off

        note = Document(content=text, meta_data={"owner": EVERYONE})
        # Its `async_insert` sends with a synchronous driver on the loop, where all users would wait for one.
        await asyncio.to_thread(self.store.insert, _digest(text), [note], user_id=tenant)

    async def search(self, question: str, owner: str | None) -> Sequence[str]:
        filters = {"owner": EVERYONE} if owner == EVERYONE else None
        user = owner if owner != EVERYONE else None
        found = await self.store.async_search(question, LIMIT, filters=filters, user_id=user)
        return [each.content for each in found]


def _digest(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()  # noqa: S324 -- as agno does


def _given(embeddings: Embeddings) -> Any:  # noqa: ANN401 -- of a library without types
    from agno.knowledge.embedder import Embedder  # noqa: PLC0415 -- once telemetry is off

    class Given(Embedder):  # type: ignore[misc]
        """The embedder that is asked in a thread of agno's."""

        def get_embedding(self, text: str) -> list[float]:
            return embeddings.waited_for(text)

        def get_embedding_and_usage(self, text: str) -> tuple[list[float], dict[str, Any] | None]:
            return embeddings.waited_for(text), None

    return Given(dimensions=DIMENSIONS)


class Target(PeerTarget):
    """`peers.agno_pgvector:Target`."""

    peer = Agno
