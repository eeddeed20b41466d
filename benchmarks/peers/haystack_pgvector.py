"""Haystack's `PgvectorDocumentStore` and its retriever."""

import json
from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import uuid4

import asyncpg

from peers.common import EVERYONE, LIMIT, Floats, Layout, Note, Peer, PeerTarget

TABLE = "haystack_documents"


class Haystack(Peer):
    name: ClassVar = "haystack"
    distribution: ClassVar = "pgvector-haystack"
    written_for: ClassVar = "8.1"
    columns: ClassVar = {
        "defaults": "exact search, and a text index; one connection",
        "tuned": '`search_strategy="hnsw"` with `hnsw_ef_search=200`; one connection, of which it has no more',
    }
    layout: ClassVar = Layout(TABLE, "content", "embedding", "meta->>'tenant'")

    async def make(self) -> None:
        await self.connect()
        await self._store._ensure_db_setup_async()  # noqa: SLF001 -- what its first request would call
        await self.close()

    async def load(self, connection: "asyncpg.Connection[Any]", loaded: Sequence[Note], embedded: Floats) -> None:
        await connection.copy_records_to_table(
            TABLE,
            columns=("id", "embedding", "content", "meta"),
            records=[
                (str(uuid4()), vector, note.text, json.dumps({"tenant": note.tenant, "owner": EVERYONE}))
                for note, vector in zip(loaded, embedded, strict=True)
            ],
        )

    async def connect(self) -> None:
        from haystack.utils import Secret  # noqa: PLC0415 -- once telemetry is off
        from haystack_integrations.components.retrievers.pgvector import (  # noqa: PLC0415
            PgvectorEmbeddingRetriever,
        )
        from haystack_integrations.document_stores.pgvector import PgvectorDocumentStore  # noqa: PLC0415

        tuned: dict[str, Any] = (
            {"search_strategy": "hnsw", "hnsw_ef_search": self.setup.ef_search} if self.setup.tuned else {}
        )
        self._store = PgvectorDocumentStore(connection_string=Secret.from_token(self.setup.url), **tuned)
        self._retriever = PgvectorEmbeddingRetriever(document_store=self._store, top_k=LIMIT)

    async def close(self) -> None:
        await self._store.close_async()

    async def add(self, text: str, tenant: str) -> None:
        from haystack import Document  # noqa: PLC0415 -- once telemetry is off

        embedding = await self.embeddings.floats(text)
        meta = {"tenant": tenant, "owner": EVERYONE}
        await self._store.write_documents_async([Document(content=text, embedding=embedding, meta=meta)])

    async def search(self, question: str, owner: str | None) -> Sequence[str]:
        filters = None
        if owner is not None:
            field = "meta.owner" if owner == EVERYONE else "meta.tenant"
            filters = {"field": field, "operator": "==", "value": owner}
        embedding = await self.embeddings.floats(question)
        found = await self._retriever.run_async(query_embedding=embedding, filters=filters)
        return [document.content for document in found["documents"]]


class Target(PeerTarget):
    """`peers.haystack_pgvector:Target`."""

    peer = Haystack
