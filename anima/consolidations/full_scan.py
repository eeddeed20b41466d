"""Compares with every live memory: ordering by similarity, not by distance, keeps every index out."""

from typing import Final

from anima.consolidations.protocol import Candidate, SemanticMatch
from anima.database import Session, Statement
from anima.model import SIMILARITY_DUPLICATE

MATCH: Final = Statement(
    "consolidation.match",
    """
    SELECT id, 1 - (embedding <=> $1) AS similarity
    FROM memories
    WHERE deleted_at IS NULL
        AND (created_at, id) < ($3, $4)
        AND 1 - (embedding <=> $1) >= $2
    ORDER BY similarity DESC, created_at, id
    LIMIT 1
    """,
)


class FullScanConsolidation:
    async def match(self, session: Session, candidate: Candidate) -> SemanticMatch | None:
        row = await session.fetch_row(
            MATCH, candidate.embedding, SIMILARITY_DUPLICATE, candidate.created_at, candidate.id
        )
        return SemanticMatch(row["id"], row["similarity"]) if row else None
