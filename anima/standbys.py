"""Reads that standbys answer: which of them a caller may be answered by, and what becomes of one that cannot be asked.

A standby may answer whoever's own writes it has replayed: positions in the write-ahead log say so. Else the primary
does. Nothing that is written is decided by what a standby says: whatever was found there is looked at again by the
statement that writes.
"""

import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from time import monotonic
from typing import Final

from anima.circuit import CircuitBreaker, CircuitOpen
from anima.database import Database, Observer, PoolSettings, Result, Session, Statement, ignore, open_database
from anima.errors import AnimaError, DatabaseBusy, DatabaseConflict, DatabaseUnavailable

SessionWork = Callable[[Session], Awaitable[Result]]

LEFT_OUT_S: Final = 1.0
"""How long a standby that could not be asked is left out, until one read tries it again."""

KNOWN_FOR_S: Final = 1.0
"""How long what is known of a standby holds for callers who need no more: it may have stopped, or been promoted."""

ACQUIRE_TIMEOUT_S: Final = 0.5
"""The longest wait for a connection to a standby, since the primary can be asked instead."""

# The end of all that has been written, commits that are not yet on disk included: a caller's own come before it.
WRITTEN: Final = Statement(
    "standby.written", "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint AS position", reads=True
)
# A server that takes writes is no standby: after a promotion its positions count another history.
REPLAYED: Final = Statement(
    "standby.replayed",
    """
    SELECT CASE WHEN pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint ELSE -1 END
        AS position
    """,
    reads=True,
)


class NotYetReplayed(AnimaError):
    """A standby is behind what the caller has written, or has been promoted."""


class StandbyBusy(AnimaError):
    """A standby has no connection free, or what it replays ended the read."""


class StandbyLost(AnimaError):
    """A standby cannot be asked."""


@dataclass(slots=True)
class CallerHistory:
    """Says how far a caller's own writes go: `position` in the primary's write-ahead log, in bytes; 0 before any."""

    position: int = 0

    def extend(self, position: int) -> None:
        self.position = max(self.position, position)


@dataclass(slots=True)
class Standby:
    """One server that follows the primary. `replayed` is how far it has come, as of `known_at` (monotonic seconds)."""

    database: Database
    circuit: CircuitBreaker
    replayed: int = -1
    known_at: float = -math.inf

    async def perform(self, work: SessionWork[Result], position: int) -> Result:
        """Raises `NotYetReplayed`, `StandbyBusy`, `StandbyLost` and `CircuitOpen`, whatever the work raises besides."""
        with self.circuit.call(StandbyLost):
            try:
                async with self.database.session() as session:
                    await self._refuse_behind(session, position)
                    return await work(session)
            except DatabaseConflict as error:
                raise StandbyBusy(str(error)) from error
            except DatabaseUnavailable as error:
                # Connections that are all in use show a server that answers.
                is_busy = isinstance(error, DatabaseBusy) and self.database.pool_statistics().size > 0
                raise (StandbyBusy if is_busy else StandbyLost)(str(error)) from error

    async def _refuse_behind(self, session: Session, position: int) -> None:
        if self.replayed < max(position, 0) or monotonic() - self.known_at > KNOWN_FOR_S:
            row = await session.fetch_row(REPLAYED)
            assert row is not None
            self.replayed, self.known_at = row["position"], monotonic()
        if self.replayed < max(position, 0):
            raise NotYetReplayed(f"The standby at {self.database.location} has replayed {self.replayed} of {position}.")


@dataclass(slots=True)
class Replication:
    """The primary and the servers that follow it, which take reads in turn. It counts who answered."""

    primary: Database
    standbys: Sequence[Standby]
    by_standbys: int = 0
    """How many reads were answered by a standby."""
    by_primary: int = 0
    """How many had to be answered by the primary."""
    _turn: int = 0

    def of_schema(self, schema: str) -> "Replication":
        """The same servers, for a schema, with what is known of them by itself."""
        standbys = [standby_on(standby.database.of_schema(schema)) for standby in self.standbys]
        return Replication(self.primary.of_schema(schema), standbys)

    async def read(self, work: SessionWork[Result], history: CallerHistory) -> Result:
        """From the first standby, in turn, that can be asked and has replayed what the caller wrote; else the primary.

        Raises what `Database.perform` does.
        """
        for standby in self._in_turn():
            try:
                answer = await standby.perform(work, history.position)
            except (NotYetReplayed, StandbyBusy, StandbyLost, CircuitOpen):
                continue
            self.by_standbys += 1
            return answer
        self.by_primary += 1
        return await self.primary.perform(work)

    async def write(self, work: SessionWork[Result], history: CallerHistory) -> Result:
        """On the primary; the caller's history goes to here. Raises what `Database.perform` does."""

        async def work_and_look(session: Session) -> tuple[Result, int]:
            result = await work(session)
            row = await session.fetch_row(WRITTEN)
            assert row is not None
            return result, row["position"]

        result, position = await self.primary.perform(work_and_look)
        history.extend(position)
        return result

    def _in_turn(self) -> Iterator[Standby]:
        self._turn = (self._turn + 1) % len(self.standbys)
        yield from self.standbys[self._turn :]
        yield from self.standbys[: self._turn]


@dataclass(frozen=True, slots=True)
class Reach:
    """Says where the reads and the writes of one caller go.

    `is_known` is false of a caller whose earlier writes nobody here knows: the primary answers, and the history begins.
    """

    standbys: Replication
    history: CallerHistory
    is_known: bool = True

    async def read(self, work: SessionWork[Result]) -> Result:
        if not self.is_known:
            return await self.standbys.write(work, self.history)
        return await self.standbys.read(work, self.history)

    async def write(self, work: SessionWork[Result]) -> Result:
        return await self.standbys.write(work, self.history)


@asynccontextmanager
async def open_standbys(
    primary: Database, urls: Sequence[str], pool: PoolSettings, observer: Observer = ignore
) -> AsyncGenerator[Replication]:
    """A pool for each, closed when the block ends. One that is away now is taken in when it answers.

    Raises `InvalidInput`.
    """
    settings = replace(pool, size_min=0, acquire_timeout_s=min(pool.acquire_timeout_s, ACQUIRE_TIMEOUT_S))
    async with AsyncExitStack() as stack:
        databases = [await stack.enter_async_context(open_database(url, settings, observer)) for url in urls]
        yield Replication(primary, [standby_on(database) for database in databases])


def standby_on(database: Database) -> Standby:
    return Standby(database, CircuitBreaker(f"The standby at {database.location}", failures_max=1, open_s=LEFT_OUT_S))
