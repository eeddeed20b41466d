"""One batch update, then two statements per memory and three per promotion: the system before the fixes."""

from typing import Final
from uuid import UUID

from anima.access_records.protocol import Access
from anima.database import Session, Statement
from anima.model import PHI_MAX, PHI_STEP_ACCESS, Promotion, Tier, promoted_tier

TOUCH: Final = Statement(
    "access.touch",
    """
    WITH locked AS MATERIALIZED (
        SELECT id FROM memories WHERE id = ANY($1::uuid[]) AND deleted_at IS NULL ORDER BY id FOR UPDATE
    )
    UPDATE memories AS m
    SET access_count = m.access_count + 1,
        last_accessed = $2,
        updated_at = $2,
        accessed_in_conversation_ids = CASE
            WHEN $3::text IS NULL OR $3 = ANY(m.accessed_in_conversation_ids) THEN m.accessed_in_conversation_ids
            ELSE m.accessed_in_conversation_ids || $3
        END
    FROM locked
    WHERE m.id = locked.id
    RETURNING m.id, m.tier, m.access_count
    """,
)
RAISE_PHI: Final = Statement(
    "access.raise_phi",
    "UPDATE memories SET resonance_phi = least(resonance_phi + $2, $3), updated_at = $4 WHERE id = $1",
)
LOG: Final = Statement("access.log", "INSERT INTO memory_access_log (memory_id, accessed_at) VALUES ($1, $2)")
READ_TIER: Final = Statement("promotion.read", "SELECT tier, access_count FROM memories WHERE id = $1")
PROMOTE: Final = Statement(
    "promotion.update",
    "UPDATE memories SET tier = $3, tier_last_updated = $4, updated_at = $4 WHERE id = $1 AND tier = $2",
)
AUDIT: Final = Statement(
    "promotion.audit",
    """
    INSERT INTO tier_promotions (memory_id, from_tier, to_tier, reason, access_count_at_promotion, created_at)
    VALUES ($1, $2, $3, 'access_threshold', $4, $5)
    """,
)


class PerMemoryAccessRecords:
    async def record(self, session: Session, access: Access) -> tuple[Promotion, ...]:
        touched = await session.fetch(TOUCH, access.memory_ids, access.at, access.conversation_id)
        touched.sort(key=lambda row: row["id"])
        promotions: list[Promotion] = []
        for row in touched:
            await session.execute(RAISE_PHI, row["id"], PHI_STEP_ACCESS, PHI_MAX, access.at)
            await session.execute(LOG, row["id"], access.at)
            if promoted_tier(Tier(row["tier"]), row["access_count"]):
                promotions += await self._promote(session, row["id"], access)
        return tuple(promotions)

    async def _promote(self, session: Session, memory_id: UUID, access: Access) -> list[Promotion]:
        """Reads again, since another query may have promoted the memory meanwhile; only one of them audits."""
        row = await session.fetch_row(READ_TIER, memory_id)
        assert row is not None, "a memory is never deleted, only marked"
        from_tier = Tier(row["tier"])
        to_tier = promoted_tier(from_tier, row["access_count"])
        if to_tier is None or not await session.execute(PROMOTE, memory_id, from_tier, to_tier, access.at):
            return []
        await session.execute(AUDIT, memory_id, from_tier, to_tier, row["access_count"], access.at)
        return [Promotion(memory_id, from_tier, to_tier)]
