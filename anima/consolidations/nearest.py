"""Asks the HNSW index for the nearest memories, and looks for duplicates only among them."""

from typing import Final

from anima.consolidations.protocol import Candidate, ConsolidationOneByOne, Duplicates
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
        WHERE deleted_at IS NULL AND id <> $4
        ORDER BY embedding <=> $1
        FETCH FIRST {NEIGHBOURS} ROWS WITH TIES
    )
    SELECT id, similarity, (created_at, id) < ($3, $4) AS is_older
    FROM neighbours
    WHERE similarity >= $2
    ORDER BY is_older DESC, CASE WHEN (created_at, id) < ($3, $4) THEN similarity END DESC, created_at, id
    """,  # noqa: S608 -- the number stands in the text, since a plan for any number reads the whole table
)
OLDER: Final = Statement(
    "consolidation.match_older",
    f"""
    WITH neighbours AS MATERIALIZED (
        SELECT id, created_at, 1 - (embedding <=> $1) AS similarity
        FROM memories
        WHERE deleted_at IS NULL AND (created_at, id) < ($3, $4)
        ORDER BY embedding <=> $1
        FETCH FIRST {NEIGHBOURS} ROWS WITH TIES
    )
    SELECT id, similarity, true AS is_older
    FROM neighbours
    WHERE similarity >= $2
    ORDER BY similarity DESC, created_at, id
    """,  # noqa: S608 -- the number stands in the text, since a plan for any number reads the whole table
)
NEWER: Final = Statement(
    "consolidation.match_newer",
    """
    SELECT id, 1 - (embedding <=> $1) AS similarity, false AS is_older
    FROM memories
    WHERE deleted_at IS NULL AND (created_at, id) > ($3, $4) AND 1 - (embedding <=> $1) >= $2
    ORDER BY created_at, id
    """,
)


class NearestConsolidation(ConsolidationOneByOne):
    async def match(self, session: Session, candidate: Candidate) -> Duplicates:
        """Where all neighbours are duplicates there may be more: then older ones are asked for apart.

        All memories are read only for one that has such a crowd and nothing older in it: all others of it go.
        """
        arguments = (candidate.embedding, SIMILARITY_DUPLICATE, candidate.created_at, candidate.id)
        similar = await session.fetch(MATCH, *arguments)
        if len(similar) >= NEIGHBOURS:
            similar = await session.fetch(OLDER, *arguments) or await session.fetch(NEWER, *arguments)
        return Duplicates.of(similar)
