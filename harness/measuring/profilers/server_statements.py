"""Says what the server spends on each statement, where it has `pg_stat_statements` and lets this session read it.

Where it has not, nothing is observed, and what EXPLAIN says of one execution has to do.
"""

import contextlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, astuple, dataclass
from typing import Any, Final

import asyncpg

from harness.measuring.profilers.protocol import ProfiledOperation

MAKE: Final = "CREATE EXTENSION IF NOT EXISTS pg_stat_statements"
IS_THERE: Final = "SELECT to_regclass('pg_stat_statements') IS NOT NULL"
READ: Final = r"""
SELECT queryid AS query_id,
       min(left(regexp_replace(query, '\s+', ' ', 'g'), 300)) AS text,
       sum(calls)::bigint AS calls,
       sum(rows)::bigint AS rows,
       sum(total_exec_time)::float8 AS elapsed_ms,
       sum(shared_blks_hit)::bigint AS blocks_hit,
       sum(shared_blks_read)::bigint AS blocks_read,
       sum(wal_bytes)::bigint AS wal_bytes
  FROM pg_stat_statements
 WHERE dbid = (SELECT oid FROM pg_database WHERE datname = $1)
   AND queryid IS NOT NULL
   AND query NOT LIKE '%pg_stat_statements%'  -- what this profiler itself does
 GROUP BY queryid
"""


@dataclass(frozen=True, slots=True)
class StatementCounts:
    """Since the server began to count."""

    calls: int = 0
    rows: int = 0
    elapsed_ms: float = 0.0
    blocks_hit: int = 0
    blocks_read: int = 0
    wal_bytes: int = 0

    def since(self, earlier: "StatementCounts") -> "StatementCounts":
        return StatementCounts(*(now - then for now, then in zip(astuple(self), astuple(earlier), strict=True)))


Statements = Mapping[tuple[int, str], StatementCounts]
"""By the server's number of the statement and its text, with `$1` for each constant."""


class ExecutedStatements:
    """Counts all that sessions of the database execute meanwhile, work in the background included."""

    @asynccontextmanager
    async def observe(self, subject: ProfiledOperation) -> AsyncGenerator[dict[str, Any]]:
        observed: dict[str, Any] = {}
        connection = await _opened(subject)
        if connection is None:
            yield observed
            return
        try:
            before = await _read(connection, subject.database)
            yield observed
            observed["server_statements"] = _since(await _read(connection, subject.database), before)
        finally:
            await connection.close()


async def _opened(subject: ProfiledOperation) -> "asyncpg.Connection[asyncpg.Record] | None":
    """To the database that has the extension: the server's own, or the variant's, which is the run's to change."""
    for url, made in ((subject.admin_url, False), (subject.database_url, True)):
        connection = await asyncpg.connect(url)
        # A role on somebody's server may not make it, and a server may not have it, or not have loaded it.
        with contextlib.suppress(asyncpg.PostgresError):
            if made:
                await connection.execute(MAKE)
            if await connection.fetchval(IS_THERE):
                await connection.fetch(READ, subject.database)
                return connection
        await connection.close()
    return None


async def _read(connection: "asyncpg.Connection[asyncpg.Record]", database: str) -> Statements:
    rows = [dict(row) for row in await connection.fetch(READ, database)]
    return {(row.pop("query_id"), row.pop("text")): StatementCounts(**row) for row in rows}


def _since(after: Statements, before: Statements) -> list[dict[str, Any]]:
    grown = {key: spent.since(before.get(key, StatementCounts())) for key, spent in after.items()}
    return [
        {"query_id": query_id, "text": text, **asdict(spent)}
        for (query_id, text), spent in grown.items()
        if spent.calls > 0
    ]
