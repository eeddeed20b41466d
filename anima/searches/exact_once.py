"""Ranks every live memory, as `exact` does, but computes each distance once: a vector is read once, not three times."""

from typing import Final

from anima.database import Session, Statement
from anima.embeddings.protocol import Vector
from anima.model import FoundMemory, Query
from anima.rows import COLUMNS, found_from, structural_weight_of

FIND: Final = Statement(
    "query.search",
    f"""
    SELECT *, {structural_weight_of("similarity")}
    FROM (
        SELECT {COLUMNS}, 1 - (embedding <=> $1) AS similarity
        FROM memories
        WHERE deleted_at IS NULL AND (cardinality($2::text[]) = 0 OR tier = ANY($2::text[]))
        OFFSET 0  -- keeps the planner from putting the distance back wherever it is named
    ) AS compared
    WHERE similarity >= $3
    ORDER BY structural_weight DESC, resonance_phi DESC, id
    LIMIT $4
    """,  # noqa: S608 -- only constants are put in
    reads=True,
)


class ExactOnceSearch:
    is_complete = True

    async def find(self, session: Session, query: Query, embedding: Vector) -> tuple[FoundMemory, ...]:
        rows = await session.fetch(FIND, embedding, list(query.tiers), query.similarity_threshold, query.limit)
        return tuple(map(found_from, rows))
