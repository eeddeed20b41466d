"""Fix 4: `checkSemanticDuplicateAsync`, started and forgotten after the insert."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from anima.database import Session
from anima.embeddings.protocol import Vector

FULL_UNIQUE = "CREATE UNIQUE INDEX memories_content_hash_key ON memories (content_hash)"

FIND = """
    SELECT id, content, 1 - (embedding <=> $1) AS similarity
    FROM memories
    WHERE deleted_at IS NULL AND 1 - (embedding <=> $1) >= 0.95
    ORDER BY similarity DESC
    LIMIT 1
"""
FIND_OTHER = """
    SELECT id, content, 1 - (embedding <=> $1) AS similarity
    FROM memories
    WHERE deleted_at IS NULL AND 1 - (embedding <=> $1) >= 0.95 AND id <> $2
    ORDER BY similarity DESC
    LIMIT 1
"""
MERGE = """
    UPDATE memories
    SET resonance_phi = LEAST(resonance_phi + 0.1, 5.0),
        metadata = jsonb_set(metadata, '{semantic_variants}',
            COALESCE(metadata -> 'semantic_variants', '[]')
                || jsonb_build_array(jsonb_build_object('content', $2::text)))
    WHERE id = $1
"""


async def consolidate(session: Session, new_id: UUID, embedding: Vector) -> None:
    match = await session.connection.fetchrow(FIND, embedding)
    if match and match["id"] != new_id:
        await merge(session, new_id, match["id"])


async def consolidate_others(
    session: Session, new_id: UUID, embedding: Vector, meeting: Callable[[], Awaitable[Any]]
) -> None:
    """The same with a search that leaves out the memory itself; at `meeting` all have found whom to merge with."""
    match = await session.connection.fetchrow(FIND_OTHER, embedding, new_id)
    await meeting()
    if match:
        await merge(session, new_id, match["id"])


async def merge(session: Session, new_id: UUID, match_id: UUID) -> None:
    both = await session.connection.fetch("SELECT id, created_at FROM memories WHERE id = ANY($1)", [new_id, match_id])
    created = {row["id"]: row["created_at"] for row in both}
    older, newer = (match_id, new_id) if created[match_id] < created[new_id] else (new_id, match_id)
    content = await session.connection.fetchval("SELECT content FROM memories WHERE id = $1", newer)
    await session.connection.execute(MERGE, older, content)
    await session.connection.execute("UPDATE memories SET deleted_at = NOW() WHERE id = $1", newer)
