"""Fix 3: the part of `queryMemories` that updates, checks and promotes in three statements."""

from collections.abc import Sequence
from uuid import UUID

from anima.database import Session

UPDATE = """
    UPDATE memories
    SET access_count = access_count + 1,
        last_accessed = NOW(),
        resonance_phi = LEAST(resonance_phi + 0.1, 5.0),
        accessed_in_conversation_ids = array_append(COALESCE(accessed_in_conversation_ids, ARRAY[]::TEXT[]), $2),
        updated_at = NOW()
    WHERE id = ANY($1)
"""
CHECK = """
    SELECT id, access_count, tier
    FROM memories
    WHERE id = ANY($1)
        AND (
            (tier = 'active' AND access_count + 1 >= 5) OR
            (tier = 'thread' AND access_count + 1 >= 20)
        )
"""
PROMOTE = """
    UPDATE memories
    SET tier = CASE
            WHEN tier = 'active' AND access_count >= 5 THEN 'thread'
            WHEN tier = 'thread' AND access_count >= 20 THEN 'stable'
            ELSE tier
        END,
        tier_last_updated = NOW()
    WHERE id = ANY($1)
    RETURNING id, tier
"""


async def track(session: Session, memory_ids: Sequence[UUID], conversation_id: str) -> list[tuple[UUID, str]]:
    """What it reports as promotions: the memory and its tier."""
    await session.connection.execute(UPDATE, memory_ids, conversation_id)
    candidates = await session.connection.fetch(CHECK, memory_ids)
    if not candidates:
        return []
    promoted = await session.connection.fetch(PROMOTE, [row["id"] for row in candidates])
    return [(row["id"], row["tier"]) for row in promoted]
