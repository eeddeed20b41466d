"""All pairs of a query in one upsert per chunk. Arrays are bound, so no parameter limit shapes the chunk."""

from dataclasses import dataclass
from typing import Final

from anima.associations.protocol import NO_MERGES, CoOccurrence
from anima.database import Session, Statement

PAIRS_PER_STATEMENT: Final = 1_000

RECORD: Final = Statement(
    "association.record_batch",
    f"""
    WITH no_merges AS MATERIALIZED (SELECT {NO_MERGES})
    INSERT INTO memory_associations AS known (
        memory_a_id, memory_b_id, co_occurrence_count, strength, conversation_contexts,
        first_co_occurred_at, last_co_occurred_at, created_at, updated_at
    )
    SELECT smaller, larger, 1, log(2::double precision) / 10, ARRAY[$3::text], $4, $4, $4, $4
    FROM no_merges, unnest($1::uuid[], $2::uuid[]) AS pair (smaller, larger)
    ORDER BY smaller, larger
    ON CONFLICT (memory_a_id, memory_b_id) DO UPDATE
    SET co_occurrence_count = known.co_occurrence_count + 1,
        strength = log((2 + known.co_occurrence_count)::double precision) / 10,
        conversation_contexts = CASE
            WHEN $3 = ANY(known.conversation_contexts) THEN known.conversation_contexts
            ELSE known.conversation_contexts || $3
        END,
        last_co_occurred_at = $4,
        updated_at = $4
    """,  # noqa: S608 -- only the constant lock is put in
)


@dataclass(frozen=True, slots=True)
class BatchedAssociations:
    """`pairs_per_statement` bounds a statement's memory; every value gives the same tables."""

    pairs_per_statement: int = PAIRS_PER_STATEMENT

    async def record(self, session: Session, co_occurrence: CoOccurrence) -> None:
        pairs = co_occurrence.pairs()
        for start in range(0, len(pairs), self.pairs_per_statement):
            smaller, larger = zip(*pairs[start : start + self.pairs_per_statement], strict=True)
            await session.execute(RECORD, smaller, larger, co_occurrence.conversation_id, co_occurrence.at)
