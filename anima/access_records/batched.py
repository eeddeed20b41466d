"""All accesses of a query, their log, promotions and audit in one statement, whatever their number."""

from typing import Final

from anima.access_records.protocol import Access
from anima.database import Session, Statement
from anima.model import PHI_MAX, PHI_STEP_ACCESS, PROMOTIONS, Promotion, Tier

RECORD: Final = Statement(
    "access.record",
    """
    WITH locked AS MATERIALIZED (
        SELECT id, tier, access_count + 1 AS access_count
        FROM memories
        WHERE id = ANY($1::uuid[]) AND deleted_at IS NULL
        ORDER BY id
        FOR UPDATE
    ),
    step (from_tier, threshold, to_tier) AS (
        SELECT * FROM unnest($6::text[], $7::bigint[], $8::text[])
    ),
    accessed AS (
        SELECT locked.id, locked.access_count, locked.tier AS from_tier, step.to_tier
        FROM locked LEFT JOIN step ON step.from_tier = locked.tier AND locked.access_count >= step.threshold
    ),
    updated AS (
        UPDATE memories AS m
        SET access_count = accessed.access_count,
            last_accessed = $2,
            updated_at = $2,
            resonance_phi = least(m.resonance_phi + $4, $5),
            accessed_in_conversation_ids = CASE
                WHEN $3::text IS NULL OR $3 = ANY(m.accessed_in_conversation_ids) THEN m.accessed_in_conversation_ids
                ELSE m.accessed_in_conversation_ids || $3
            END,
            tier = coalesce(accessed.to_tier, m.tier),
            tier_last_updated = CASE WHEN accessed.to_tier IS NULL THEN m.tier_last_updated ELSE $2 END
        FROM accessed
        WHERE m.id = accessed.id
    ),
    logged AS (
        INSERT INTO memory_access_log (memory_id, accessed_at) SELECT id, $2 FROM accessed
    ),
    audited AS (
        INSERT INTO tier_promotions (memory_id, from_tier, to_tier, reason, access_count_at_promotion, created_at)
        SELECT id, from_tier, to_tier, 'access_threshold', access_count, $2
        FROM accessed
        WHERE to_tier IS NOT NULL
    )
    SELECT id, from_tier, to_tier FROM accessed WHERE to_tier IS NOT NULL ORDER BY id
    """,
)


class BatchedAccessRecords:
    async def record(self, session: Session, access: Access) -> tuple[Promotion, ...]:
        rows = await session.fetch(
            RECORD,
            access.memory_ids,
            access.at,
            access.conversation_id,
            PHI_STEP_ACCESS,
            PHI_MAX,
            list(PROMOTIONS),
            [threshold for threshold, _ in PROMOTIONS.values()],
            [to_tier for _, to_tier in PROMOTIONS.values()],
        )
        return tuple(Promotion(row["id"], Tier(row["from_tier"]), Tier(row["to_tier"])) for row in rows)
