"""LangGraph's `AsyncPostgresStore`, with its index of vectors."""

import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, ClassVar
from uuid import uuid4

import asyncpg

from peers.common import DIMENSIONS, EVERYONE, LIMIT, Floats, Layout, Note, Peer, PeerTarget
from peers.sessions import with_settings

FIELD = "text"


class LangGraph(Peer):
    name: ClassVar = "langgraph"
    distribution: ClassVar = "langgraph-checkpoint-postgres"
    written_for: ClassVar = "3.2"
    columns: ClassVar = {
        "defaults": "`from_conn_string` with `index`: one connection, and HNSW, which `setup` makes",
        "tuned": "`pool_config` with a connection for each user, halfvec, and ef_search 200 with iterative scan by its "
        "connection string",
    }
    layout: ClassVar = Layout(
        "store_vectors AS v JOIN store AS s USING (prefix, key)",
        "s.value->>'text'",
        "v.embedding",
        "split_part(s.prefix, '.', 2)",
    )

    async def make(self) -> None:
        await self.connect()
        await self._store.setup()
        await self.close()

    async def load(self, connection: "asyncpg.Connection[Any]", loaded: Sequence[Note], embedded: Floats) -> None:
        keyed = [(f"{EVERYONE}.{note.tenant}", str(uuid4()), json.dumps({FIELD: note.text})) for note in loaded]
        await connection.copy_records_to_table("store", columns=("prefix", "key", "value"), records=keyed)
        await connection.copy_records_to_table(
            "store_vectors",
            columns=("prefix", "key", "field_name", "embedding"),
            records=[(prefix, key, FIELD, vector) for (prefix, key, _), vector in zip(keyed, embedded, strict=True)],
        )

    async def connect(self) -> None:
        from langgraph.store.postgres import AsyncPostgresStore  # noqa: PLC0415 -- once tracing is off

        index: dict[str, Any] = {"dims": DIMENSIONS, "embed": self._embed, "fields": [FIELD]}
        url, pool = self.setup.url, None
        if self.setup.tuned:
            index["ann_index_config"] = {"kind": "hnsw", "vector_type": "halfvec"}
            url, pool = with_settings(self.setup), {"min_size": self.setup.users, "max_size": self.setup.users}
        self._stack = AsyncExitStack()
        self._store = await self._stack.enter_async_context(
            AsyncPostgresStore.from_conn_string(url, pool_config=pool, index=index)
        )

    async def _embed(self, texts: Sequence[str]) -> list[list[float]]:
        return [await self.embeddings.floats(text) for text in texts]

    async def close(self) -> None:
        task = self._store._task  # noqa: SLF001 -- the store ends its task when it is collected, and not when it closes
        task.cancel()
        await self._stack.aclose()

    async def add(self, text: str, tenant: str) -> None:
        await self._store.aput((EVERYONE, tenant), str(uuid4()), {"text": text})

    async def search(self, question: str, owner: str | None) -> Sequence[str]:
        prefix = () if owner is None else (EVERYONE,) if owner == EVERYONE else (EVERYONE, owner)
        return [each.value["text"] for each in await self._store.asearch(prefix, query=question, limit=LIMIT)]


class Target(PeerTarget):
    """`peers.langgraph_store:Target`."""

    peer = LangGraph
