"""Asks the index of the keys for the nearest memories, which it finds as well with a question without phi.

What the index proves, and that it is asked for more where it proves nothing, is in `find_duplicates` (migration 010).
"""

from typing import Final

from anima.consolidations.protocol import Candidate, Duplicates
from anima.database import Session, Statement
from anima.model import SIMILARITY_DUPLICATE

MATCH: Final = Statement(
    "consolidation.match",
    "SELECT id, similarity, is_older FROM find_duplicates($1, $4, $3, $2)",
    reads=True,
)


class AugmentedConsolidation:
    async def match(self, session: Session, candidate: Candidate) -> Duplicates:
        return Duplicates.of(
            await session.fetch(MATCH, candidate.embedding, SIMILARITY_DUPLICATE, candidate.created_at, candidate.id)
        )
