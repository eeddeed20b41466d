"""Ranks every live memory: the guide's statement, with its ties closed."""

from typing import Final

from anima.database import Session, Statement
from anima.embeddings.protocol import Vector
from anima.model import FoundMemory, Query
from anima.rows import COLUMNS, found_from, structural_weight_of

FIND: Final = Statement(
    "query.search",
    f"""
    SELECT {COLUMNS},
        1 - (embedding <=> $1) AS similarity,
        {structural_weight_of("(1 - (embedding <=> $1))")}
    FROM memories
    WHERE deleted_at IS NULL
        AND (cardinality($2::text[]) = 0 OR tier = ANY($2::text[]))
        AND 1 - (embedding <=> $1) >= $3
    ORDER BY structural_weight DESC, resonance_phi DESC, id
    LIMIT $4
    """,  # noqa: S608 -- only constants are put in
    reads=True,
)


class ExactSearch:
    is_complete = True

    async def find(self, session: Session, query: Query, embedding: Vector) -> tuple[FoundMemory, ...]:
        rows = await session.fetch(FIND, embedding, list(query.tiers), query.similarity_threshold, query.limit)
        return tuple(map(found_from, rows))
