"""Asks the index of the keys for the nearest memories, which it finds as well with a question without phi.

What the index proves, and that it is asked for more where it proves nothing, is in `find_duplicates` (migration 010).
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from anima.connections import Row
from anima.consolidations.protocol import Candidate, Duplicates
from anima.database import Session, Statement
from anima.model import SIMILARITY_DUPLICATE

MATCH: Final = Statement(
    "consolidation.match",
    "SELECT id, similarity, is_older FROM find_duplicates($1, $4, $3, $2)",
    reads=True,
)
MATCH_WRITTEN: Final = Statement(
    "consolidation.match_written",
    """
    SELECT m.id AS memory_id, d.id, d.similarity, d.is_older
    FROM unnest($1::uuid[]) AS due (id),
    LATERAL (
        SELECT id, embedding, created_at FROM memories
        WHERE id = due.id AND deleted_at IS NULL
        OFFSET 0  -- keeps the planner from joining all memories
    ) AS m,
    find_duplicates(m.embedding, m.id, m.created_at, $2) WITH ORDINALITY AS d
    ORDER BY m.id, d.ordinality
    """,
    reads=True,
)


class AugmentedConsolidation:
    async def match(self, session: Session, candidate: Candidate) -> Duplicates:
        return Duplicates.of(
            await session.fetch(MATCH, candidate.embedding, SIMILARITY_DUPLICATE, candidate.created_at, candidate.id)
        )

    async def match_written(self, session: Session, memory_ids: Sequence[UUID]) -> dict[UUID, Duplicates]:
        """In one statement, since nothing has to pass through here; one that has no duplicate is not named."""
        similar: dict[UUID, list[Row]] = {}
        for row in await session.fetch(MATCH_WRITTEN, memory_ids, SIMILARITY_DUPLICATE):
            similar.setdefault(row["memory_id"], []).append(row)
        return {memory_id: Duplicates.of(rows) for memory_id, rows in similar.items()}
