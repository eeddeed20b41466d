"""A query is one statement that commits by itself: a function of migration 010 takes its steps inside the server.

Where the connection breaks meanwhile nobody knows whether it took effect, so it is not done again; a deadlock undid it.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from anima.chores import FOLD
from anima.connections import Row
from anima.database import Session, Statement
from anima.embeddings.protocol import Vector
from anima.model import Promotion, Query
from anima.recalls.protocol import Recalled, Steps, promoted
from anima.rows import COLUMNS, TIERS, found_from
from anima.searches.protocol import RANKED_AT_ONCE

RECALL: Final = Statement(
    "query.recall",
    f"""
    SELECT {COLUMNS}, similarity, structural_weight, from_tier, is_proven, by_similarity
    FROM recall_memories($1, $2, $3, $4, $5, $6, $7, $8)
    """,  # noqa: S608 -- only the constant column list is put in
)
RECORD: Final = Statement(
    "query.record",
    """
    SELECT memory_id AS id, from_tier, to_tier AS tier FROM record_accesses($1, $2, $3, $2::text IS NOT NULL)
    WHERE to_tier IS NOT NULL
    ORDER BY memory_id
    """,
)
"""The same after a search elsewhere."""


@dataclass(frozen=True, slots=True)
class OneStatementRecall:
    """`proven_by_similarity`: the thresholds, in tenths, whose last answer was proven in the order of similarity."""

    steps: Steps
    proven_by_similarity: set[int] = field(default_factory=set[int])

    async def perform(self, session: Session, query: Query, embedding: Vector, at: datetime) -> Recalled:
        tenths = round(10 * query.similarity_threshold)
        rows = await session.fetch(
            RECALL,
            embedding,
            query.tiers,
            query.similarity_threshold,
            query.limit,
            RANKED_AT_ONCE,
            tenths in self.proven_by_similarity,
            query.conversation_id,
            at,
        )
        is_proven: bool = rows[0]["is_proven"]
        (self.proven_by_similarity.add if rows[0]["by_similarity"] else self.proven_by_similarity.discard)(tenths)
        if rows[0]["id"] is None:
            return Recalled((), (), is_proven)
        self.steps.background.note_accepted([FOLD])
        promotions = [_promotion(row) for row in rows if row["from_tier"] is not None]
        promotions.sort(key=lambda promotion: promotion.memory_id)
        return Recalled(tuple(map(found_from, rows)), tuple(promotions), is_proven)

    async def find(self, session: Session, query: Query, embedding: Vector) -> Recalled:
        return Recalled(await self.steps.search.find(session, query, embedding), (), self.steps.search.is_complete)

    async def record(self, session: Session, query: Query, found: Recalled, at: datetime) -> Recalled:
        memory_ids = [result.memory.id for result in found.memories]
        rows = await session.fetch(RECORD, memory_ids, query.conversation_id, at)
        self.steps.background.note_accepted([FOLD])
        promotions = tuple(map(_promotion, rows))
        return Recalled(promoted(found.memories, promotions), promotions, found.is_proven)


def _promotion(row: Row) -> Promotion:
    return Promotion(row["id"], TIERS[row["from_tier"]], TIERS[row["tier"]])
