"""pgvector by psycopg 3, the driver that most of the others are built on."""

from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import uuid4

from pgvector.psycopg import register_vector_async
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from peers.bare_asyncpg import NotesTable
from peers.common import EVERYONE, LIMIT, PeerTarget

SEARCH = (
    "SELECT id, content, 1 - (embedding <=> %(v)s) AS similarity FROM notes ORDER BY embedding <=> %(v)s LIMIT %(n)s"
)
SEARCH_TENANT = """
SELECT id, content, 1 - (embedding <=> %(v)s) AS similarity
  FROM notes WHERE tenant = %(owner)s ORDER BY embedding <=> %(v)s LIMIT %(n)s
"""
SEARCH_OWNER = """
SELECT id, content, 1 - (embedding <=> %(v)s) AS similarity
  FROM notes WHERE owner = %(owner)s ORDER BY embedding <=> %(v)s LIMIT %(n)s
"""
INSERT = "INSERT INTO notes (id, content, tenant, owner, embedding) VALUES (%s, %s, %s, %s, %s)"


class BarePsycopg(NotesTable):
    name: ClassVar = "psycopg"
    distribution: ClassVar = "psycopg"
    written_for: ClassVar = "3.3"
    columns: ClassVar = {
        "defaults": "no index; a pool with a connection for each user, autocommit",
        "tuned": "the same table and settings as asyncpg's, and vectors in their binary form",
    }

    async def connect(self) -> None:
        self._pool = AsyncConnectionPool(
            self.setup.url,
            min_size=self.setup.users,
            max_size=self.setup.users,
            open=False,
            kwargs={"autocommit": True},
            configure=self._configure,
        )
        await self._pool.open(wait=True)

    async def _configure(self, connection: AsyncConnection[Any]) -> None:
        await register_vector_async(connection)
        if self.setup.tuned:
            for name, value in self.setup.hnsw.items():
                await connection.execute("SELECT set_config(%s, %s, false)", (name, value))

    async def close(self) -> None:
        await self._pool.close()

    async def add(self, text: str, tenant: str) -> None:
        vector = await self.embeddings.of(text)
        async with self._pool.connection() as connection:
            await connection.execute(INSERT, (uuid4(), text, tenant, EVERYONE, vector), binary=self.setup.tuned or None)

    async def search(self, question: str, owner: str | None) -> Sequence[str]:
        values = {"v": await self.embeddings.of(question), "n": LIMIT, "owner": owner}
        statement = SEARCH if owner is None else SEARCH_OWNER if owner == EVERYONE else SEARCH_TENANT
        async with self._pool.connection() as connection, connection.cursor(binary=self.setup.tuned) as cursor:
            await cursor.execute(statement, values)
            return [row[1] for row in await cursor.fetchall()]


class Target(PeerTarget):
    """`peers.bare_psycopg:Target`."""

    peer = BarePsycopg
