"""Asks an index that orders by structural weight itself, and goes on until it is proven that nothing is missing.

The proof, and what happens where there is none, is in `find_memories` (migration 016).
"""

from dataclasses import dataclass
from typing import Final

from anima.database import Session, Statement
from anima.embeddings.protocol import Vector
from anima.model import FoundMemory, Query
from anima.rows import found_from
from anima.searches.protocol import RANKED_AT_ONCE

FIND: Final = Statement(
    "query.search",
    """
    SELECT c.id, c.content, c.content_hash, f.tier, f.tier_last_updated, f.access_count, f.last_accessed,
        f.accessed_in_conversation_ids, c.category, c.tags, c.source, f.resonance_phi, c.is_catalyst, c.metadata,
        c.created_at, f.updated_at, f.similarity, f.structural_weight
    FROM find_memories($1, $2, $3, $4, $5, $3 > 0::float8) AS outcome, unnest(outcome.answers) AS f
    JOIN current_memories AS c ON c.id = f.id
    ORDER BY f.structural_weight DESC, f.resonance_phi DESC, f.id
    """,
    reads=True,
)


@dataclass(frozen=True, slots=True)
class AugmentedSearch:
    """Ranks so many memories at once without asking the index."""

    ranked_at_once: int = RANKED_AT_ONCE
    is_complete: bool = True

    async def find(self, session: Session, query: Query, embedding: Vector) -> tuple[FoundMemory, ...]:
        rows = await session.fetch(
            FIND, embedding, list(query.tiers), query.similarity_threshold, query.limit, self.ranked_at_once
        )
        return tuple(map(found_from, rows))
