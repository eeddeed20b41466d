"""The planner's statistics of another database, brought into one of a run: it then plans for the rows that are there.

The planner scales rows by the pages that a table has now: of a small table with the statistics of a large one it takes
few rows again. So the density is set too, as all those rows on the pages that are here. What it then takes too low is
the pages: reading a whole table looks cheaper than there, by the pages that it would read.
"""

import asyncio
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import asyncpg
import click

from harness.errors import UsageError
from harness.measuring.connections import connected

POSTGRES_MAJOR_MIN: Final = 18
"""The first that restores statistics."""

STATEMENT: Final = re.compile(r"""(?:--[^\n]*|'(?:[^']|'')*'|"[^"]*"|[^;'"-]|-)+;""")
META_COMMAND: Final = re.compile(r"^\\(?:un)?restrict\b.*$", re.MULTILINE)
"""What pg_dump writes for psql alone."""

ABSENT: Final = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.InvalidSchemaNameError)
"""The other database may have indexes, columns and tables that are not here."""

TABLES: Final = """
SELECT c.oid, n.nspname AS schema, c.relname AS name, c.reltuples AS rows, b.pages
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 CROSS JOIN LATERAL (
       SELECT (pg_relation_size(c.oid) / current_setting('block_size')::integer)::integer AS pages) AS b
 WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND c.relpages <> b.pages
 ORDER BY n.nspname, c.relname
"""
"""The tables whose pages are not those of their statistics."""

INDEXES: Final = """
SELECT n.nspname AS schema, c.relname AS name,
       CASE WHEN i.indpred IS NULL THEN t.reltuples ELSE c.reltuples END AS rows,
       (pg_relation_size(c.oid) / current_setting('block_size')::integer)::integer AS pages
  FROM pg_index AS i
  JOIN pg_class AS c ON c.oid = i.indexrelid
  JOIN pg_class AS t ON t.oid = i.indrelid
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE i.indrelid = $1
 ORDER BY c.relname
"""
"""Those of a table, also where only this database has them."""

DENSITY: Final = """
SELECT pg_restore_relation_stats(
       'schemaname', $1::text, 'relname', $2::text, 'relpages', $3::integer, 'reltuples', $4::real)
"""
KEPT: Final = "SELECT format('ALTER TABLE %I.%I SET (autovacuum_enabled = off)', $1::text, $2::text)"
"""Else the server would analyse the table in the midst of a run."""


async def restore(url: str, files: Sequence[Path]) -> None:
    """Raises `UsageError` with what the server says."""
    async with connected(url) as connection:
        major = connection.get_server_version().major
        if major < POSTGRES_MAJOR_MIN:
            raise UsageError(
                f"database.statistics needs PostgreSQL {POSTGRES_MAJOR_MIN} or later, and this is {major}: "
                "leave it out, or choose another server."
            )
        for path in files:
            await _execute(connection, path)
    # Not on the same connection: pg_dump empties the search path of its session.
    async with connected(url) as connection:
        await _keep_rows(connection)


async def _execute(connection: "asyncpg.Connection[asyncpg.Record]", path: Path) -> None:
    absent = 0
    for statement in _statements(await asyncio.to_thread(path.read_text, encoding="utf-8")):
        try:
            await connection.execute(statement)
        except ABSENT:
            absent += 1
        except asyncpg.PostgresError as error:
            raise UsageError(f"{path}: {error}. Give what `pg_dump --statistics-only` writes.") from error
    if absent:
        click.echo(f"note: {path}: {absent} of its tables, columns or indexes are not here.", err=True)


def _statements(text: str) -> Iterator[str]:
    return (found[0] for found in STATEMENT.finditer(META_COMMAND.sub("", text)))


async def _keep_rows(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    for table in await connection.fetch(TABLES):
        named = (table["schema"], table["name"])
        if not table["pages"]:
            raise UsageError(
                f"{'.'.join(named)} is empty here, and of no pages the planner takes no rows. Let `seed` add some."
            )
        await connection.execute(await connection.fetchval(KEPT, *named))
        await connection.fetchval(DENSITY, *named, table["pages"], table["rows"])
        for index in await connection.fetch(INDEXES, table["oid"]):
            await connection.fetchval(DENSITY, index["schema"], index["name"], index["pages"], index["rows"])
