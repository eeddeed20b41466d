"""Compares with every live memory: ordering by similarity, not by distance, keeps every index out."""

from typing import Final

from anima.consolidations.protocol import Candidate, ConsolidationOneByOne, Duplicates
from anima.database import Session, Statement
from anima.model import SIMILARITY_DUPLICATE

MATCH: Final = Statement(
    "consolidation.match",
    """
    SELECT id, 1 - (embedding <=> $1) AS similarity, (created_at, id) < ($3, $4) AS is_older
    FROM memories
    WHERE deleted_at IS NULL
        AND id <> $4
        AND 1 - (embedding <=> $1) >= $2
    ORDER BY is_older DESC, CASE WHEN (created_at, id) < ($3, $4) THEN embedding <=> $1 END, created_at, id
    """,
)


class FullScanConsolidation(ConsolidationOneByOne):
    async def match(self, session: Session, candidate: Candidate) -> Duplicates:
        return Duplicates.of(
            await session.fetch(MATCH, candidate.embedding, SIMILARITY_DUPLICATE, candidate.created_at, candidate.id)
        )
