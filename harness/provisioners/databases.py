"""The databases of one PostgreSQL server: makes, copies and removes them, and reads what a run records about it.

Every provisioner ends here, with the URL of an administrator. Each operation opens a connection of its own, so a
server may be shared between event loops. Not for what a database contains: targets migrate, execution loads.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from harness.errors import ProvisioningError
from harness.provisioners.protocol import ServerFacts

DEFAULT_SETTINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        # An SSD's random read costs about as much as a sequential one. At PostgreSQL's own 4.0, a scan over
        # TOASTed vectors looks cheaper to the planner than the HNSW index.
        "random_page_cost": "1.1",
        "shared_buffers": "256MB",
        "max_connections": "200",
        # A commit costs what it costs in production. A test that throws its data away may turn these off.
        "fsync": "on",
        "synchronous_commit": "on",
        # Two hosts in unlike time zones are alike.
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
)
"""The settings of a server that a provisioner starts, unless the run states others."""

IDENTIFIER_BYTES_MAX: Final = 63
"""PostgreSQL shortens a longer name silently, and two databases would become one."""

SERVER_VERSION: Final = "SELECT current_setting('server_version')"
VECTOR_VERSION: Final = "SELECT default_version FROM pg_available_extensions WHERE name = 'vector'"
# Where a server keeps its files and listens says nothing about how it performs.
STATED_SETTINGS: Final = """
SELECT name, current_setting(name) AS value
  FROM pg_settings
 WHERE source IN ('command line', 'configuration file')
   AND name !~ '_(directory|directories|file)$'
   AND name NOT IN ('port', 'listen_addresses', 'scram_iterations')
 ORDER BY name
"""
# A statement on databases takes no parameters, so the server itself quotes the names into it.
WITH_NAMES: Final = "SELECT format($1, VARIADIC $2::text[])"
CREATE_DATABASE: Final = "CREATE DATABASE %I"
# Measured on a template of 71 MB (8,000 vectors and their HNSW index, six clones each, four noisy cores): median 0.26 s
# by WAL_LOG, 0.47 s by FILE_COPY, which waits for two checkpoints; without fsync 0.28 s and 0.33 s.
CLONE_DATABASE: Final = "CREATE DATABASE %I TEMPLATE %I STRATEGY WAL_LOG"
DROP_DATABASE: Final = "DROP DATABASE IF EXISTS %I WITH (FORCE)"
CREATE_VECTOR: Final = "CREATE EXTENSION vector"

FAILURES: Final = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
ADVICE: Final[Mapping[type[Exception], str]] = {
    asyncpg.DuplicateDatabaseError: "Drop it, or choose another name.",
    asyncpg.InvalidCatalogNameError: "Create it first.",
    asyncpg.ObjectInUseError: "Close every connection to it first: a database in use cannot be copied.",
    asyncpg.DiskFullError: "Free some space where the server keeps its data, or use a smaller corpus.",
    asyncpg.InsufficientPrivilegeError: "Use a role that may create databases and extensions.",
    asyncpg.FeatureNotSupportedError: "Install pgvector on that server.",
}


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A `Server` that is reached as an administrator. Frozen: its databases change, what it is does not."""

    admin_url: str = field(repr=False)
    facts: ServerFacts

    async def create_database(self, name: str) -> str:
        await self._execute(CREATE_DATABASE, name)
        url = with_database(self.admin_url, name)
        async with _connection(url) as connection:
            await connection.execute(CREATE_VECTOR)
        return url

    async def clone_database(self, template: str, name: str) -> str:
        await self._execute(CLONE_DATABASE, name, template)
        return with_database(self.admin_url, name)

    async def drop_database(self, name: str) -> None:
        await self._execute(DROP_DATABASE, name)

    async def _execute(self, statement: str, *names: str) -> None:
        _refuse_long(names)
        async with _connection(self.admin_url) as connection:
            await connection.execute(await connection.fetchval(WITH_NAMES, statement, names))


async def open_server(provisioner: str, admin_url: str) -> PostgresServer:
    """The server at `admin_url`. Raises `ProvisioningError` when it cannot be reached or lacks pgvector."""
    async with _connection(admin_url) as connection:
        vector_version = await connection.fetchval(VECTOR_VERSION)
        if vector_version is None:
            raise ProvisioningError(
                f"The PostgreSQL server at {_address(admin_url)} has no pgvector. Install it there, or use the "
                "`embedded` provisioner, which brings its own."
            )
        facts = ServerFacts(
            provisioner=provisioner,
            postgres_version=await connection.fetchval(SERVER_VERSION),
            pgvector_version=vector_version,
            settings=MappingProxyType(dict(await connection.fetch(STATED_SETTINGS))),
        )
    return PostgresServer(admin_url=admin_url, facts=facts)


def with_database(url: str, name: str) -> str:
    """`url` with another database's name."""
    return urlunsplit(urlsplit(url)._replace(path="/" + quote(name, safe="")))


@asynccontextmanager
async def _connection(url: str) -> AsyncGenerator["asyncpg.Connection[Any]"]:
    try:
        connection = await asyncpg.connect(url)
    except FAILURES as error:
        raise ProvisioningError(
            f"No connection to PostgreSQL at {_address(url)}: {error}. Check that it runs there and lets this user in."
        ) from error
    try:
        yield connection
    except FAILURES as error:
        raise ProvisioningError(_refusal(url, error)) from error
    finally:
        await connection.close()


def _refusal(url: str, error: Exception) -> str:
    kind = asyncpg.DiskFullError if "No space left on device" in str(error) else type(error)
    advice = ADVICE.get(kind, "The server's log may say more.")
    return f"PostgreSQL at {_address(url)} refused: {error}. {advice}"


def _refuse_long(names: tuple[str, ...]) -> None:
    for name in names:
        if not 0 < len(name.encode()) <= IDENTIFIER_BYTES_MAX:
            raise ProvisioningError(
                f"{name!r} cannot name a database: use 1 to {IDENTIFIER_BYTES_MAX} bytes, or PostgreSQL shortens it."
            )


def _address(url: str) -> str:
    """Where `url` leads, without its password."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or 5432}"
