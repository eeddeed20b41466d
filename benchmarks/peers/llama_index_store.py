"""LlamaIndex's `PGVectorStore`."""

import json
from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import uuid4

import asyncpg

from peers.common import DIMENSIONS, EVERYONE, LIMIT, Floats, Layout, Note, Peer, PeerTarget

TABLE = "data_notes"


class LlamaIndex(Peer):
    name: ClassVar = "llama_index"
    distribution: ClassVar = "llama-index-vector-stores-postgres"
    written_for: ClassVar = "0.9"
    columns: ClassVar = {
        "defaults": "`from_params` with nothing else: no index of vectors, metadata as JSON; a pool of 5 to 15",
        "tuned": "`hnsw_kwargs` (m 16, ef_construction 64, ef_search 200), `use_jsonb`, the tenant among "
        "`indexed_metadata_keys`, a pool with a connection for each user",
    }
    layout: ClassVar = Layout(TABLE, "text", "embedding", "metadata_->>'tenant'")

    async def make(self) -> None:
        await self.connect()
        await self.close()

    async def load(self, connection: "asyncpg.Connection[Any]", loaded: Sequence[Note], embedded: Floats) -> None:
        records = []
        for note, vector in zip(loaded, embedded, strict=True):
            node = self._node(note.text, note.tenant)
            row = self._metadata(node, remove_text=True, flat_metadata=False)
            records.append((note.text, json.dumps(row), node.node_id, vector))
        await connection.copy_records_to_table(
            TABLE, columns=("text", "metadata_", "node_id", "embedding"), records=records
        )

    async def connect(self) -> None:
        from llama_index.core.vector_stores.utils import node_to_metadata_dict  # noqa: PLC0415 -- it is slow to import
        from llama_index.vector_stores.postgres import PGVectorStore  # noqa: PLC0415

        self._metadata = node_to_metadata_dict
        tuned: dict[str, Any] = {}
        if self.setup.tuned:
            tuned = {
                "hnsw_kwargs": {
                    "hnsw_m": 16,
                    "hnsw_ef_construction": 64,
                    "hnsw_ef_search": self.setup.ef_search,
                    "hnsw_dist_method": "vector_cosine_ops",
                },
                "use_jsonb": True,
                "indexed_metadata_keys": {("tenant", "text")},
                "create_engine_kwargs": {"pool_size": max(5, self.setup.users)},
            }
        plain = self.setup.url.partition("://")[2]
        self._store = PGVectorStore.from_params(
            connection_string=f"postgresql+psycopg2://{plain}",
            async_connection_string=f"postgresql+asyncpg://{plain.replace('sslmode=', 'ssl=')}",
            table_name="notes",
            embed_dim=DIMENSIONS,
            **tuned,
        )
        self._store._initialize()  # noqa: SLF001 -- what its first request would call

    async def close(self) -> None:
        await self._store.close()

    async def add(self, text: str, tenant: str) -> None:
        node = self._node(text, tenant)
        node.embedding = await self.embeddings.floats(text)
        await self._store.async_add([node])

    async def search(self, question: str, owner: str | None) -> Sequence[str]:
        from llama_index.core.vector_stores.types import (  # noqa: PLC0415 -- it is slow to import
            MetadataFilter,
            MetadataFilters,
            VectorStoreQuery,
        )

        filters = None
        if owner is not None:
            key = "owner" if owner == EVERYONE else "tenant"
            filters = MetadataFilters(filters=[MetadataFilter(key=key, value=owner)])
        embedding = await self.embeddings.floats(question)
        found = await self._store.aquery(
            VectorStoreQuery(query_embedding=embedding, similarity_top_k=LIMIT, filters=filters)
        )
        return [node.text for node in found.nodes]

    def _node(self, text: str, tenant: str) -> Any:  # noqa: ANN401 -- of a library without types
        from llama_index.core.schema import TextNode  # noqa: PLC0415 -- it is slow to import

        return TextNode(id_=str(uuid4()), text=text, metadata={"tenant": tenant, "owner": EVERYONE})


class Target(PeerTarget):
    """`peers.llama_index_store:Target`."""

    peer = LlamaIndex
