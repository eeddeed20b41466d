"""pgvector by bare asyncpg: the floor under everything that speaks to PostgreSQL."""

from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import uuid4

import asyncpg
from pgvector.asyncpg import register_vector

from peers.common import EVERYONE, LIMIT, Floats, Layout, Note, Peer, PeerTarget

TABLE = """
CREATE EXTENSION IF NOT EXISTS vector;
CREATE TABLE notes (
    id uuid PRIMARY KEY,
    content text NOT NULL,
    tenant text NOT NULL,
    owner text NOT NULL,
    embedding vector(768) NOT NULL
);
"""
INDEXES = """
CREATE INDEX notes_embedding ON notes USING hnsw (embedding vector_cosine_ops);
CREATE INDEX notes_tenant ON notes (tenant);
"""
COLUMNS = ("id", "content", "tenant", "owner", "embedding")
SEARCH = "SELECT id, content, 1 - (embedding <=> $1) AS similarity FROM notes ORDER BY embedding <=> $1 LIMIT $2"
SEARCH_TENANT = """
SELECT id, content, 1 - (embedding <=> $1) AS similarity FROM notes WHERE tenant = $3 ORDER BY embedding <=> $1 LIMIT $2
"""
SEARCH_OWNER = """
SELECT id, content, 1 - (embedding <=> $1) AS similarity FROM notes WHERE owner = $3 ORDER BY embedding <=> $1 LIMIT $2
"""
INSERT = "INSERT INTO notes (id, content, tenant, owner, embedding) VALUES ($1, $2, $3, $4, $5)"


class NotesTable(Peer):
    """The table that bare drivers share, filled in the same way."""

    layout: ClassVar = Layout("notes", "content", "embedding", "tenant")

    async def make(self) -> None:
        connection = await asyncpg.connect(self.setup.url)
        try:
            await connection.execute(TABLE + (INDEXES if self.setup.tuned else ""))
        finally:
            await connection.close()

    async def load(self, connection: "asyncpg.Connection[Any]", loaded: Sequence[Note], embedded: Floats) -> None:
        await connection.copy_records_to_table(
            "notes",
            columns=COLUMNS,
            records=[
                (uuid4(), note.text, note.tenant, EVERYONE, vector)
                for note, vector in zip(loaded, embedded, strict=True)
            ],
        )


class BareAsyncpg(NotesTable):
    name: ClassVar = "asyncpg"
    distribution: ClassVar = "asyncpg"
    written_for: ClassVar = "0.32"
    columns: ClassVar = {
        "defaults": "no index, which is pgvector's exact search; a pool with a connection for each user",
        "tuned": "HNSW, ef_search 200, iterative scan in relaxed order, an index on the tenant: pgvector's README",
    }

    async def connect(self) -> None:
        self._pool = await asyncpg.create_pool(
            self.setup.url,
            min_size=self.setup.users,
            max_size=self.setup.users,
            init=register_vector,
            server_settings=dict(self.setup.hnsw) if self.setup.tuned else {},
        )

    async def close(self) -> None:
        await self._pool.close()

    async def add(self, text: str, tenant: str) -> None:
        await self._pool.execute(INSERT, uuid4(), text, tenant, EVERYONE, await self.embeddings.of(text))

    async def search(self, question: str, owner: str | None) -> Sequence[str]:
        vector = await self.embeddings.of(question)
        if owner is None:
            rows = await self._pool.fetch(SEARCH, vector, LIMIT)
        else:
            rows = await self._pool.fetch(SEARCH_OWNER if owner == EVERYONE else SEARCH_TENANT, vector, LIMIT, owner)
        return [row["content"] for row in rows]


class Target(PeerTarget):
    """`peers.bare_asyncpg:Target`."""

    peer = BareAsyncpg
