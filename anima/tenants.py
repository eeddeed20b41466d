"""Tenants: each has its tables in a PostgreSQL schema of its own, which no statement for another can name.

A connection's search path is the tenant's schema and that of pgvector (docs/decisions/0017). So every strategy and
every migration works for a tenant as it is, and without tenants nothing of this runs.
"""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

from anima.connections import connected
from anima.errors import DatabaseUnfit, InvalidInput
from anima.migrations import exclusive

TENANT: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
PREFIX: Final = "anima_"
MAKE: Final = "SELECT format('CREATE SCHEMA IF NOT EXISTS %I', $1::text)"
EXTENSION: Final = "CREATE EXTENSION IF NOT EXISTS vector"
COMMON: Final = """
    SELECT quote_ident(nspname)
    FROM pg_extension JOIN pg_namespace AS n ON n.oid = extnamespace
    WHERE extname = 'vector' AND to_regclass(format('%I.memories', nspname)) IS NOT NULL
"""


def schema_of(tenant: str) -> str:
    """Raises `InvalidInput` for what is no name of a tenant."""
    if not TENANT.fullmatch(tenant):
        raise InvalidInput(
            f"{tenant!r} is no name of a tenant. It has up to 40 lower-case letters, digits and _, a letter first."
        )
    return PREFIX + tenant


def schemas_of(tenants: Iterable[str]) -> dict[str, str]:
    return {tenant: schema_of(tenant) for tenant in tenants}


def url_of(url: str, tenant: str) -> str:
    """The same database as the tenant's connections see it, for migrations and checks."""
    base, _, query = url.partition("?")
    parameters = dict(parse_qsl(query, keep_blank_values=True)) | {"search_path": schema_of(tenant)}
    return f"{base}?{urlencode(parameters, quote_via=quote)}"


async def make_schema(url: str, tenant: str) -> None:
    """Makes the tenant's schema, where it is not there. Raises what `refuse_common_tables` does."""
    # IF NOT EXISTS fails where two make the same at once, as services do that start together.
    async with connected(url) as connection, exclusive(connection):
        await connection.execute(EXTENSION)
        await connection.execute(await connection.fetchval(MAKE, schema_of(tenant)))
    await refuse_common_tables(url)


async def refuse_common_tables(url: str) -> None:
    """Raises `DatabaseUnfit` where all tenants could reach tables that are nobody's."""
    async with connected(url) as connection:
        schema = await connection.fetchval(COMMON)
    if schema is not None:
        raise DatabaseUnfit(
            f"The schema {schema}, in which the database has pgvector, also has memories, and every tenant reaches "
            "that schema. Give the tenants another database, or have an administrator move the extension away: CREATE "
            "SCHEMA extensions; ALTER EXTENSION vector SET SCHEMA extensions;"
        )
