"""Takes the nearest candidates from the HNSW index and ranks only them: approximate, held to a stated recall.

The index orders by distance, the contract by structural weight, so more candidates are taken than are returned.
"""

from typing import Final

from anima.database import Session, Statement
from anima.embeddings.protocol import Vector
from anima.model import FoundMemory, Query
from anima.rows import COLUMNS, found_from, structural_weight_of

CANDIDATES_PER_RESULT: Final = 5
CANDIDATES_MIN: Final = 100

FIND: Final = Statement(
    "query.search",
    f"""
    WITH candidates AS MATERIALIZED (
        SELECT {COLUMNS}, 1 - (embedding <=> $1) AS similarity
        FROM memories
        WHERE deleted_at IS NULL AND (cardinality($2::text[]) = 0 OR tier = ANY($2::text[]))
        ORDER BY embedding <=> $1
        LIMIT $5
    )
    SELECT *, {structural_weight_of("similarity")}
    FROM candidates
    WHERE similarity >= $3
    ORDER BY structural_weight DESC, resonance_phi DESC, id
    LIMIT $4
    """,  # noqa: S608 -- only constants are put in
    reads=True,
)


class HnswSearch:
    is_complete = False

    async def find(self, session: Session, query: Query, embedding: Vector) -> tuple[FoundMemory, ...]:
        rows = await session.fetch(
            FIND,
            embedding,
            list(query.tiers),
            query.similarity_threshold,
            query.limit,
            max(CANDIDATES_MIN, CANDIDATES_PER_RESULT * query.limit),
        )
        return tuple(map(found_from, rows))
