"""Says which statements the sessions of a database send, counted and planned, in phases without timing.

The server tells it, by `pg_stat_statements` where it has that, and else by its log where that is the run's to read.
What only ends transactions, or makes a session as it was for the next user of a pool, is no statement here.
"""

import contextlib
import re
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

import asyncpg

from harness.measuring.connections import connected
from harness.measuring.observation import Reading
from harness.measuring.plans import ACCESS_METHODS, EXPLAIN, read_plan
from harness.measuring.server_log import LoggedStatement, ServerLog, statements_logged
from harness.measuring.sql_texts import CONTROL, NAMED, bare
from harness.record import PlanRecord

PLANNED: Final = re.compile(r"(?:select|insert|update|delete|merge|values|with|table)\b", re.IGNORECASE)

NOT_TOLD: Final = (
    "the server has no pg_stat_statements that this role may read, and its log is not the run's to read: use the "
    "provisioner embedded or testcontainers, or load it there"
)
COUNTER: Final = "sent_statements"
"""How many were sent: in a phase that was watched, among what is counted around it."""

IS_AVAILABLE: Final = "SELECT count(*) > 0 FROM pg_available_extensions WHERE name = 'pg_stat_statements'"
HAS_COUNTS: Final = "SELECT to_regclass('pg_stat_statements') IS NOT NULL"
MAKE_COUNTS: Final = "CREATE EXTENSION IF NOT EXISTS pg_stat_statements"
COUNTS: Final = """
SELECT query, sum(calls)::bigint AS calls
  FROM pg_stat_statements
 WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND query NOT LIKE '%pg_stat_statements%'
 GROUP BY query
"""

PREPARE: Final = "PREPARE harness_planned AS "
FORGET: Final = "DEALLOCATE harness_planned"
PARAMETERS: Final = "SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = 'harness_planned'"
MODE: Final = "SELECT set_config('plan_cache_mode', $1, false)"


class Telling(Protocol):
    """Says how a server tells what it was sent."""

    def watching(self) -> contextlib.AbstractAsyncContextManager[list[tuple[LoggedStatement, int]]]:
        """Yields what is filled at the end of the block: each statement, and how often it was sent."""
        ...


@dataclass(frozen=True, slots=True)
class TellingByLog:
    """In their order, with the values of each."""

    log: ServerLog
    admin_url: str

    @asynccontextmanager
    async def watching(self) -> AsyncGenerator[list[tuple[LoggedStatement, int]]]:
        found: list[tuple[LoggedStatement, int]] = []
        async with statements_logged(self.admin_url):
            await self.log.read()
            self.log.statements.clear()
            yield found
            await self.log.read()
        found += [(statement, 1) for statement in self.log.statements]
        self.log.statements.clear()


@dataclass(frozen=True, slots=True)
class TellingByCounts:
    """Without their order, and with `$1` in place of values."""

    database_url: str

    @asynccontextmanager
    async def watching(self) -> AsyncGenerator[list[tuple[LoggedStatement, int]]]:
        found: list[tuple[LoggedStatement, int]] = []
        async with connected(self.database_url) as connection:
            before = await _counts(connection)
            yield found
            after = await _counts(connection)
        found += [
            (LoggedStatement(query), calls - before.get(query, 0))
            for query, calls in after.items()
            if calls > before.get(query, 0)
        ]


async def _counts(connection: "asyncpg.Connection[asyncpg.Record]") -> Mapping[str, int]:
    return {each["query"]: each["calls"] for each in await connection.fetch(COUNTS)}


@dataclass(slots=True)
class SentStatements:
    """Of one database. `plans` are those of what was sent in all blocks."""

    database_url: str
    """Straight to it, for who made it."""
    admin_url: str
    """The server, for an administrator."""
    log: ServerLog
    """What the server says of it."""
    plans: dict[str, PlanRecord] = field(default_factory=dict[str, PlanRecord])
    """By the names of statements."""
    _reading: Reading = field(default_factory=Reading)
    _unplanned: dict[str, LoggedStatement] = field(default_factory=dict[str, LoggedStatement])
    _telling: Telling | None = None
    _is_found: bool = False

    @asynccontextmanager
    async def watched(self, operation: str) -> AsyncGenerator[None]:
        """Whatever is sent within the block is taken for the operation's."""
        await self.find()
        if self._telling is None:
            self._reading = Reading({}, {COUNTER: NOT_TOLD})
            yield
            return
        async with self._telling.watching() as found:
            yield
        sent = [(statement, times) for statement, times in found if not CONTROL.match(bare(statement.sql))]
        self._reading = Reading({COUNTER: float(sum(times for _, times in sent))})
        for name, statement in named(operation, [statement for statement, _ in sent]).items():
            self._unplanned.setdefault(name, statement)

    def take(self) -> Reading:
        """Says what was counted since it was taken last; empty where nothing was watched."""
        taken, self._reading = self._reading, Reading()
        return taken

    async def find(self) -> None:
        """Finds how the server tells it, asked once, before anything is counted."""
        if not self._is_found:
            self._telling, self._is_found = await self._looked_for(), True

    async def _looked_for(self) -> Telling | None:
        if await self._has_counts():
            return TellingByCounts(self.database_url)
        return TellingByLog(self.log, self.admin_url) if await self.log.read() else None

    async def _has_counts(self) -> bool:
        """In the variant's own database, which is the run's to change."""
        with contextlib.suppress(asyncpg.PostgresError, OSError):
            async with connected(self.database_url) as connection:
                if not await connection.fetchval(IS_AVAILABLE):
                    return False
                with contextlib.suppress(asyncpg.PostgresError):
                    await connection.execute(MAKE_COUNTS)
                if await connection.fetchval(HAS_COUNTS):
                    await connection.fetch(COUNTS)
                    return True
        return False

    async def plan(self) -> None:
        """All that was sent in watched blocks. Its own session reads rows, so nothing is to be counted meanwhile."""
        if not self._unplanned:
            return
        async with connected(self.database_url) as connection:
            kinds = {each["index"]: each["access_method"] for each in await connection.fetch(ACCESS_METHODS)}
            for name, statement in self._unplanned.items():
                # What a driver sends need not be planned by itself: a type of a placeholder may not be known so.
                with contextlib.suppress(asyncpg.PostgresError):
                    explained = await _explained(connection, statement)
                    self.plans.setdefault(name, read_plan(name, explained, kinds).record)


async def _explained(connection: "asyncpg.Connection[asyncpg.Record]", statement: LoggedStatement) -> str:
    """As it was sent, or with any values where these are not known. The literals are those that the server wrote."""
    await connection.execute(PREPARE + statement.sql)
    try:
        count: int = await connection.fetchval(PARAMETERS)
        values = statement.values or ", ".join(["NULL"] * count)
        mode = "force_custom_plan" if statement.values or not count else "force_generic_plan"
        await connection.fetchval(MODE, mode)
        explained: str = await connection.fetchval(f"{EXPLAIN}EXECUTE harness_planned{f'({values})' if count else ''}")
    finally:
        await connection.execute(FORGET)
    return explained


def named(operation: str, statements: Sequence[LoggedStatement]) -> Mapping[str, LoggedStatement]:
    """Those that have a plan, each text once: by the name in its comment, or by its number where there are several."""
    first: dict[str, LoggedStatement] = {}
    for statement in statements:
        if PLANNED.match(bare(statement.sql)):
            first.setdefault(statement.sql, statement)
    return dict(_named(operation, list(first.values())))


def _named(operation: str, statements: Sequence[LoggedStatement]) -> Iterator[tuple[str, LoggedStatement]]:
    for number, statement in enumerate(statements, start=1):
        if stated := NAMED.search(statement.sql):
            yield f"{operation}.{stated[1]}", statement
        else:
            yield operation if len(statements) == 1 else f"{operation}.{number}", statement
