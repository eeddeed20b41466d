"""The memory system: what add, query and bootstrap do, in which order and in which transactions.

Read this first. What a step costs is decided below the seams (`searches`, `access_records`, `associations`,
`consolidations`, `bootstraps`); what it means is decided here and in `model`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from anima import store
from anima.access_records.protocol import Access, AccessRecords
from anima.associations.protocol import CoOccurrence
from anima.bootstraps.protocol import BootstrapLoader
from anima.consolidations.protocol import Candidate
from anima.database import Database, Session
from anima.embeddings.protocol import Embedded, EmbeddingProvider
from anima.model import (
    Added,
    Bootstrap,
    BootstrapRequest,
    Found,
    FoundMemory,
    NewMemory,
    Promotion,
    Query,
)
from anima.placements import AfterAdd, AfterQuery
from anima.searches.protocol import Search
from anima.spending import spending
from anima.strategy import Strategy


@dataclass(frozen=True, slots=True)
class MemorySystem:
    """One strategy on one database.

    Methods raise `EmbeddingUnavailable`, `EmbeddingRefused`, `InvalidEmbedding`, `DatabaseUnavailable`.
    """

    strategy: Strategy
    database: Database
    embeddings: EmbeddingProvider
    search: Search
    access_records: AccessRecords
    bootstraps: BootstrapLoader
    after_add: AfterAdd
    after_query: AfterQuery
    clock: Callable[[], datetime]
    new_id: Callable[[], UUID]

    async def add(self, new: NewMemory) -> Added:
        """Counts an exact duplicate, merges a semantic one, and writes what is new."""
        embedded = await self._embedded(new.content)
        candidate = Candidate(embedded.vector, self.new_id(), self.clock())

        async def write(session: Session) -> Added:
            written = await self.after_add.write(session, new, candidate)
            return Added(written.memory, written.duplicate, embedded.provider)

        return await self.database.perform(write)

    async def query(self, query: Query) -> Found:
        """Finds, then records the access; the rows show the state that the search saw, with the tier after it."""
        embedded = await self._embedded(query.query)
        now = self.clock()

        async def find_and_record(session: Session) -> Found:
            found = await self.search.find(session, query, embedded.vector)
            if not found:
                return Found((), (), embedded.provider)
            memory_ids = [result.memory.id for result in found]
            async with self.after_query.boundary(session):
                if query.conversation_id is not None and len(memory_ids) > 1:
                    # First, since the rows that the access locks stay locked until the transaction ends.
                    co_occurrence = CoOccurrence(memory_ids, query.conversation_id, now)
                    await self.after_query.associate(session, co_occurrence)
                promotions = await self.access_records.record(session, Access(memory_ids, query.conversation_id, now))
            return Found(promoted(found, promotions), promotions, embedded.provider)

        return await self.database.perform(find_and_record)

    async def bootstrap(self, request: BootstrapRequest) -> Bootstrap:
        """Reads only, unless the strategy records an access of each row as the system before the fixes did."""

        async def load(session: Session) -> Bootstrap:
            bootstrap = await self.bootstraps.load(session, request)
            if self.strategy.bootstrap_records_access:
                rows = (*bootstrap.active, *bootstrap.thread, *bootstrap.stable)
                await store.record_bootstrap(session, [memory.id for memory in rows], self.clock())
            return bootstrap

        return await self.database.perform(load)

    async def _embedded(self, text: str) -> Embedded:
        with spending("embedding"):
            return await self.embeddings.embed(text)


def promoted(found: tuple[FoundMemory, ...], promotions: tuple[Promotion, ...]) -> tuple[FoundMemory, ...]:
    """The same results, each in the tier that it has now."""
    tiers = {promotion.memory_id: promotion.to_tier for promotion in promotions}
    return tuple(
        replace(result, memory=replace(result.memory, tier=tiers.get(result.memory.id, result.memory.tier)))
        for result in found
    )
