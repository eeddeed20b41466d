"""Schemas of a comparison's own in somebody's database: they are dropped when it ends, whatever way it ends.

A process that is killed leaves its schemas behind, but not its advisory lock: the next comparison finds the lock free,
and drops them.
"""

import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from anima.connections import Row, connected

PREFIX: Final = "anima_equivalence"
LOCK: Final = "SELECT pg_advisory_lock(hashtextextended($1, 0))"
OF_THE_DEAD: Final = """
SELECT nspname AS name FROM pg_namespace
WHERE nspname ~ '^anima_equivalence_[0-9a-f]{8}_'
    AND pg_try_advisory_lock(hashtextextended(substring(nspname FROM '^anima_equivalence_[0-9a-f]{8}'), 0))
"""
EXTENSION_SCHEMA: Final = """
SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace AS n ON n.oid = extnamespace WHERE extname = 'vector'
"""


@asynccontextmanager
async def own_schemas(url: str, count: int) -> AsyncGenerator[list[str]]:
    """URLs by which a connection sees an empty schema, and pgvector. Raises `DatabaseUnavailable`."""
    key = f"{PREFIX}_{secrets.token_hex(4)}"
    names = [f"{key}_{number}" for number in range(count)]
    async with connected(url) as connection:
        await connection.execute(LOCK, key)
        await _drop(connection, [row["name"] for row in await connection.fetch(OF_THE_DEAD)])
        try:
            for name in names:
                await connection.execute(f"CREATE SCHEMA {name}")
            extension_schema = await _extension_schema(connection, names[0])
            yield [with_search_path(url, f"{name}, {extension_schema}") for name in names]
        finally:
            # The connection of before may be the reason for the end.
            async with connected(url) as another:
                await _drop(another, names)


def with_search_path(url: str, search_path: str) -> str:
    """What a URL's query says and asyncpg does not know is for it a setting of the server."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query=urlencode([*parse_qsl(parts.query), ("search_path", search_path)])))


async def _extension_schema(connection: "asyncpg.Connection[Row]", schema: str) -> str:
    """Where pgvector is; where the database has none, it is made in `schema`, and goes with it."""
    found: str | None = await connection.fetchval(EXTENSION_SCHEMA)
    if found is None:
        await connection.execute(f"CREATE EXTENSION vector SCHEMA {schema}")
    return found or schema


async def _drop(connection: "asyncpg.Connection[Row]", names: Sequence[str]) -> None:
    """One by one, since each holds many locks. The first may hold what the others use, so it goes last."""
    for name in sorted(names, reverse=True):
        await connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
