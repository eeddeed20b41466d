"""Each step is a statement of its own, in the transaction of the placement."""

from dataclasses import dataclass, replace
from datetime import datetime

from msgspec import structs

from anima.access_records.protocol import Access
from anima.associations.protocol import CoOccurrence
from anima.database import Session
from anima.embeddings.protocol import Vector
from anima.model import FoundMemory, Promotion, Query
from anima.recalls.protocol import Recalled, Steps


@dataclass(frozen=True, slots=True)
class StepwiseRecall:
    steps: Steps

    async def perform(self, session: Session, query: Query, embedding: Vector, at: datetime) -> Recalled:
        found = await self.steps.search.find(session, query, embedding)
        if not found:
            return Recalled((), (), self.steps.search.is_complete)
        memory_ids = [result.memory.id for result in found]
        async with self.steps.after_query.boundary(session):
            if query.conversation_id is not None and len(memory_ids) > 1:
                # First, since the rows that the access locks stay locked until the transaction ends.
                await self.steps.after_query.associate(session, CoOccurrence(memory_ids, query.conversation_id, at))
            access = Access(memory_ids, query.conversation_id, at)
            promotions = await self.steps.access_records.record(session, access)
        return Recalled(promoted(found, promotions), promotions, self.steps.search.is_complete)


def promoted(found: tuple[FoundMemory, ...], promotions: tuple[Promotion, ...]) -> tuple[FoundMemory, ...]:
    """The same results, each in the tier that it has now."""
    tiers = {promotion.memory_id: promotion.to_tier for promotion in promotions}
    return tuple(
        replace(result, memory=structs.replace(result.memory, tier=tiers.get(result.memory.id, result.memory.tier)))
        for result in found
    )
