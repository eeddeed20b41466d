"""One upsert per pair, each awaited in turn: 190 for 20 memories."""

from typing import Final

from anima.associations.protocol import CoOccurrence
from anima.database import Session, Statement

RECORD: Final = Statement(
    "association.record",
    """
    INSERT INTO memory_associations AS known (
        memory_a_id, memory_b_id, co_occurrence_count, strength, conversation_contexts,
        first_co_occurred_at, last_co_occurred_at, created_at, updated_at
    )
    VALUES ($1, $2, 1, log(2::double precision) / 10, ARRAY[$3::text], $4, $4, $4, $4)
    ON CONFLICT (memory_a_id, memory_b_id) DO UPDATE
    SET co_occurrence_count = known.co_occurrence_count + 1,
        strength = log((2 + known.co_occurrence_count)::double precision) / 10,
        conversation_contexts = CASE
            WHEN $3 = ANY(known.conversation_contexts) THEN known.conversation_contexts
            ELSE known.conversation_contexts || $3
        END,
        last_co_occurred_at = $4,
        updated_at = $4
    """,
)


class PerPairAssociations:
    async def record(self, session: Session, co_occurrence: CoOccurrence) -> None:
        for smaller, larger in co_occurrence.pairs():
            await session.execute(RECORD, smaller, larger, co_occurrence.conversation_id, co_occurrence.at)
