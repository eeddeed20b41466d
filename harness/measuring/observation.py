"""Readings of all probes around a phase, and what they come to."""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import asyncpg

from harness.measuring.probes import PROBES
from harness.measuring.probes.protocol import AskServer, CountedSpan, NotObserved, Observable

LEVEL_COUNTERS: Final = frozenset(name for probe in PROBES.values() if probe.is_level for name in probe.counters)

TABLES: Final = """
SELECT json_object_agg(
         t.relname,
         json_build_object(
           'table_rows',
           t.seq_tup_read + coalesce(t.idx_tup_fetch, 0) + t.n_tup_ins + t.n_tup_upd + t.n_tup_del,
           'table_blocks',
           b.heap_blks_read + b.heap_blks_hit + coalesce(b.idx_blks_read + b.idx_blks_hit, 0)
           + coalesce(b.toast_blks_read + b.toast_blks_hit, 0)
         )
       ) AS counts
  FROM pg_stat_user_tables AS t JOIN pg_statio_user_tables AS b USING (relid)
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """Holds what was counted, by the counters' names, and for what could not be, why."""

    values: Mapping[str, float] = field(default_factory=dict[str, float])
    missing: Mapping[str, str] = field(default_factory=dict[str, str])

    def since(self, earlier: "Reading") -> "Reading":
        """By how much counters grew; levels as they are."""
        missing = {**earlier.missing, **self.missing}
        values = {
            name: value if name in LEVEL_COUNTERS else value - earlier.values.get(name, 0.0)
            for name, value in self.values.items()
            if name not in missing
        }
        for name in [name for name, value in values.items() if value < 0]:
            del values[name]
            missing[name] = "the server began to count anew meanwhile"
        return Reading(values, missing)

    def plus(self, further: "Reading") -> "Reading":
        """Says what both spans come to; levels as they were in the later one."""
        missing = {**self.missing, **further.missing}
        together = {
            name: value if name in LEVEL_COUNTERS else self.values.get(name, 0.0) + value
            for name, value in further.values.items()
        }
        values = {name: value for name, value in {**self.values, **together}.items() if name not in missing}
        return Reading(values, missing)


@asynccontextmanager
async def asking(admin_url: str) -> AsyncGenerator[AskServer]:
    """One session for all readings, since to open one costs more than to ask; again where a disruption has ended it."""
    connection: asyncpg.Connection | None = None

    async def ask(query: str, *values: object) -> asyncpg.Record | None:
        nonlocal connection
        try:
            if connection is None or connection.is_closed():
                connection = await asyncpg.connect(admin_url)
            return await connection.fetchrow(query, *values)
        except (
            OSError,
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            asyncpg.TargetServerAttributeNotMatched,
        ) as error:
            raise NotObserved(f"the server did not say it ({error})") from error

    try:
        yield ask
    finally:
        if connection is not None:
            await connection.close()


async def counts_by_table(ask: AskServer) -> Mapping[str, float]:
    """Rows and blocks of each table since it was made, as `table_rows NAME` and `table_blocks NAME`."""
    row = await ask(TABLES)
    counts: Mapping[str, Mapping[str, float]] = json.loads(row["counts"]) if row and row["counts"] else {}
    return {f"{what} {table}": float(count) for table, each in counts.items() for what, count in each.items()}


async def take_reading(observable: Observable, span: CountedSpan, *, before: bool) -> Reading:
    """All probes of this span, one after the other; `before` says on which side of what is counted."""
    values: dict[str, float] = {}
    missing: dict[str, str] = {}
    for probe in reversed(PROBES.values()) if before else PROBES.values():
        if probe.span == span:
            try:
                values |= await probe.read(observable)
            except NotObserved as error:
                missing |= dict.fromkeys(probe.counters, str(error))
    return Reading(values, missing)
