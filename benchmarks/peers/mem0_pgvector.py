"""mem0 with its pgvector provider, without a language model: `infer=False`."""

import hashlib
import json
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Literal
from uuid import uuid4

import asyncpg

from peers.common import DIMENSIONS, EVERYONE, LIMIT, Embeddings, Floats, Layout, Note, Peer, PeerTarget
from peers.sessions import with_settings

COLLECTION = "mem0"


class Mem0(Peer):
    name: ClassVar = "mem0"
    distribution: ClassVar = "mem0ai"
    written_for: ClassVar = "2.2"
    columns: ClassVar = {
        "defaults": "HNSW and a text index, which it makes itself; a pool of at most 5; it asks for 80 candidates",
        "tuned": "`maxconn` as many as there are users, and ef_search 200 with iterative scan by its connection string",
    }
    layout: ClassVar = Layout(COLLECTION, "payload->>'data'", "vector", "payload->>'user_id'")

    async def make(self) -> None:
        memory = self._memory()
        memory.vector_store._ensure_collection()  # noqa: SLF001 -- what its first insert would call
        _close(memory)

    async def load(self, connection: "asyncpg.Connection[Any]", loaded: Sequence[Note], embedded: Floats) -> None:
        from mem0.utils.lemmatization import lemmatize_for_bm25  # noqa: PLC0415 -- once telemetry is off

        at = datetime.now(UTC).isoformat()
        await connection.copy_records_to_table(
            COLLECTION,
            columns=("id", "vector", "payload"),
            records=[
                (uuid4(), vector, _payload(note, at, lemmatize_for_bm25(note.text)))
                for note, vector in zip(loaded, embedded, strict=True)
            ],
        )

    async def connect(self) -> None:
        self._opened = self._memory()

    async def close(self) -> None:
        _close(self._opened)

    async def add(self, text: str, tenant: str) -> None:
        await self._opened.add(text, user_id=tenant, agent_id=EVERYONE, infer=False)

    async def search(self, question: str, owner: str | None) -> Sequence[str]:
        """It refuses a search without an owner, so that of all is one of everyone's."""
        filters = {"agent_id": EVERYONE} if owner in (None, EVERYONE) else {"user_id": owner}
        found = await self._opened.search(question, top_k=LIMIT, filters=filters, threshold=0.0)
        return [each["memory"] for each in found["results"]]

    def _memory(self) -> Any:  # noqa: ANN401 -- of a library without types
        from mem0 import AsyncMemory  # noqa: PLC0415 -- once telemetry is off
        from mem0.configs.base import MemoryConfig  # noqa: PLC0415
        from mem0.embeddings.mock import MockEmbeddings  # noqa: PLC0415

        url, pool = self.setup.url, {}
        if self.setup.tuned:
            url, pool = with_settings(self.setup), {"maxconn": max(5, self.setup.users)}
        memory = AsyncMemory(
            MemoryConfig(
                vector_store={
                    "provider": "pgvector",
                    "config": {"connection_string": url, "embedding_model_dims": DIMENSIONS, **pool},
                },
                history_db_path=str(Path(tempfile.mkdtemp(prefix="mem0-")) / "history.db"),
            )
        )
        memory.embedding_model = _given(MockEmbeddings, self.embeddings)
        return memory


def _given(base: type, embeddings: Embeddings) -> Any:  # noqa: ANN401 -- of a library without types
    class Given(base):  # type: ignore[misc]
        """The provider that is asked in a thread of mem0's."""

        def embed(self, text: str, memory_action: Literal["add", "search", "update"] | None = None) -> list[float]:
            del memory_action
            return embeddings.waited_for(text)

    return Given()


def _payload(note: Note, at: str, lemmatized: str) -> str:
    return json.dumps(
        {
            "user_id": note.tenant,
            "agent_id": EVERYONE,
            "role": "user",
            "data": note.text,
            "hash": hashlib.md5(note.text.encode()).hexdigest(),  # noqa: S324 -- as mem0 does
            "created_at": at,
            "updated_at": at,
            "text_lemmatized": lemmatized,
        }
    )


def _close(memory: Any) -> None:  # noqa: ANN401 -- of a library without types
    for store in (memory.vector_store, memory._entity_store):  # noqa: SLF001 -- it has no way to close them
        if store is not None:
            store.connection_pool.close()
    with suppress(AttributeError):
        memory.db.close()


class Target(PeerTarget):
    """`peers.mem0_pgvector:Target`."""

    peer = Mem0
