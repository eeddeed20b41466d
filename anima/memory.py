"""The memory system: what add, query and bootstrap do, in which order.

Read this first. What a step costs is decided below the seams (`searches`, `access_records`, `associations`,
`consolidations`, `bootstraps`), and below `recalls` whether the steps of a query are statements or one statement; what
it means is decided here and in `model`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from uuid import UUID

from anima import store
from anima.bootstraps.protocol import BootstrapLoader
from anima.consolidations.protocol import Candidate
from anima.database import Database, Result, Session
from anima.embeddings.protocol import Embedded, EmbeddingProvider, Vector
from anima.model import Added, Bootstrap, BootstrapRequest, Found, NewMemory, Query
from anima.placements import AfterAdd, Written
from anima.recalls.protocol import Recall, Recalled
from anima.searches.protocol import Search
from anima.spending import spending
from anima.standbys import Reach, SessionWork
from anima.strategy import Strategy


@dataclass(frozen=True, slots=True)
class MemorySystem:
    """One strategy on one database. Methods raise `EmbeddingUnavailable`, `InvalidEmbedding`, `DatabaseUnavailable`."""

    strategy: Strategy
    """The strategy, whose choices the parts below are."""
    database: Database
    """The pool, through which all SQL goes."""
    embeddings: EmbeddingProvider
    """What turns texts into vectors."""
    search: Search
    """The search alone, which records nothing: it is there for whoever compares searches."""
    recall: Recall
    """A query's search and the records of it."""
    bootstraps: BootstrapLoader
    """What loads the memories for a new conversation."""
    after_add: AfterAdd
    """What is done after an add: inline, or in the background."""
    clock: Callable[[], datetime]
    """The time of day, as memories are stamped with it."""
    new_id: Callable[[], UUID]
    """A fresh number for a memory."""
    reach: Reach | None = None
    """Where reads and writes go of the caller whose system this is; None where the database does all."""

    def reaching(self, reach: Reach) -> "MemorySystem":
        """The same system for one caller, whose reads standbys may answer."""
        return replace(self, reach=reach)

    async def add(self, new: NewMemory) -> Added:
        """Counts an exact duplicate, merges a semantic one, and writes what is new."""
        embedded = await self._embedded(new.content)
        candidate = Candidate(embedded.vector, self.new_id(), self.clock())

        async def write(session: Session) -> Written:
            return await self.after_add.write(session, new, candidate)

        written = await self._write(write)
        return Added(written.memory, written.duplicate, embedded.provider)

    async def query(self, query: Query) -> Found:
        """Finds, then records the access; the rows show the state that the search saw, with the tier after it."""
        embedded = await self._embedded(query.query)
        now = self.clock()

        async def find_and_record(session: Session) -> Recalled:
            return await self.recall.perform(session, query, embedded.vector, now)

        recalled = await (
            self.database.perform(find_and_record)
            if self.reach is None
            else self._recall_apart(self.reach, query, embedded.vector, now)
        )
        return Found(recalled.memories, recalled.promotions, embedded.provider, recalled.is_proven)

    async def bootstrap(self, request: BootstrapRequest) -> Bootstrap:
        """Reads only, unless the strategy records an access of each row as the system before the fixes did."""

        async def load(session: Session) -> Bootstrap:
            return await self.bootstraps.load(session, request)

        async def load_and_record(session: Session) -> Bootstrap:
            bootstrap = await load(session)
            await self._record_bootstrap(session, bootstrap)
            return bootstrap

        if self.reach is None:
            return await self.database.perform(load_and_record)
        bootstrap = await self.reach.read(load)
        if self.strategy.bootstrap_records_access:
            await self.reach.write(partial(self._record_bootstrap, bootstrap=bootstrap))
        return bootstrap

    async def _write(self, work: SessionWork[Result]) -> Result:
        return await (self.database.perform(work) if self.reach is None else self.reach.write(work))

    async def _recall_apart(self, reach: Reach, query: Query, embedding: Vector, at: datetime) -> Recalled:
        """Finds where the caller's own writes are known, and records on the primary, which decides by its own rows."""

        async def find(session: Session) -> Recalled:
            return await self.recall.find(session, query, embedding)

        async def record(session: Session) -> Recalled:
            return await self.recall.record(session, query, found, at)

        found = await reach.read(find)
        return await reach.write(record) if found.memories else found

    async def _record_bootstrap(self, session: Session, bootstrap: Bootstrap) -> None:
        if self.strategy.bootstrap_records_access:
            rows = (*bootstrap.active, *bootstrap.thread, *bootstrap.stable)
            await store.record_bootstrap(session, [memory.id for memory in rows], self.clock())

    async def _embedded(self, text: str) -> Embedded:
        with spending("embedding"):
            return await self.embeddings.embed(text)
