"""Each step is a statement of its own, in the transaction of the placement."""

from dataclasses import dataclass
from datetime import datetime

from anima.access_records.protocol import Access
from anima.associations.protocol import CoOccurrence
from anima.database import Session
from anima.embeddings.protocol import Vector
from anima.model import Query
from anima.recalls.protocol import Recalled, Steps, promoted


@dataclass(frozen=True, slots=True)
class StepwiseRecall:
    steps: Steps

    async def perform(self, session: Session, query: Query, embedding: Vector, at: datetime) -> Recalled:
        found = await self.find(session, query, embedding)
        return await self.record(session, query, found, at) if found.memories else found

    async def find(self, session: Session, query: Query, embedding: Vector) -> Recalled:
        return Recalled(await self.steps.search.find(session, query, embedding), (), self.steps.search.is_complete)

    async def record(self, session: Session, query: Query, found: Recalled, at: datetime) -> Recalled:
        memory_ids = [result.memory.id for result in found.memories]
        async with self.steps.after_query.boundary(session):
            if query.conversation_id is not None and len(memory_ids) > 1:
                # First, since the rows that the access locks stay locked until the transaction ends.
                await self.steps.after_query.associate(session, CoOccurrence(memory_ids, query.conversation_id, at))
            access = Access(memory_ids, query.conversation_id, at)
            promotions = await self.steps.access_records.record(session, access)
        return Recalled(promoted(found.memories, promotions), promotions, found.is_proven)
