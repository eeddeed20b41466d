"""Asks the HNSW index for the nearest memories, and looks for a duplicate only among them."""

from typing import Final

from anima.consolidations.protocol import Candidate, SemanticMatch
from anima.database import Session, Statement
from anima.model import SIMILARITY_DUPLICATE

NEIGHBOURS: Final = 10
"""More than one, since the index compares normalised single precision: its order of almost equal ones is not exact.

Those as near as the last come too, however many they are, so that the oldest of them can be taken.
"""

MATCH: Final = Statement(
    "consolidation.match",
    f"""
    WITH neighbours AS MATERIALIZED (
        SELECT id, created_at, 1 - (embedding <=> $1) AS similarity
        FROM memories
        WHERE deleted_at IS NULL AND (created_at, id) < ($3, $4)
        ORDER BY embedding <=> $1
        FETCH FIRST {NEIGHBOURS} ROWS WITH TIES
    )
    SELECT id, similarity FROM neighbours WHERE similarity >= $2 ORDER BY similarity DESC, created_at, id LIMIT 1
    """,  # noqa: S608 -- the number stands in the text, since a plan for any number reads the whole table
)


class NearestConsolidation:
    async def match(self, session: Session, candidate: Candidate) -> SemanticMatch | None:
        row = await session.fetch_row(
            MATCH, candidate.embedding, SIMILARITY_DUPLICATE, candidate.created_at, candidate.id
        )
        return SemanticMatch(row["id"], row["similarity"]) if row else None
