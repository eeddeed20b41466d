"""All pairs of a query in one upsert per chunk. Arrays are bound, so no parameter limit shapes the chunk."""

from dataclasses import dataclass
from typing import Final

from anima.associations.protocol import INSERT_PAIRS, NO_MERGES, ONCE, ONCE_MORE, CoOccurrence
from anima.database import Session, Statement

PAIRS_PER_STATEMENT: Final = 1_000

RECORD: Final = Statement(
    "association.record_batch",
    f"""
    WITH no_merges AS MATERIALIZED (SELECT {NO_MERGES})
    {INSERT_PAIRS}
    SELECT smaller, larger, {ONCE}
    FROM no_merges, unnest($1::uuid[], $2::uuid[]) AS pair (smaller, larger)
    ORDER BY smaller, larger
    {ONCE_MORE}
    """,  # noqa: S608 -- only constants of this axis are put in
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
