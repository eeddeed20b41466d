"""A PostgreSQL server that is not a run's own, as a company's staging server is: shared, and with rights that end."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import quote, urlsplit, urlunsplit
from uuid import uuid4

import asyncpg

from harness.provisioners.addresses import with_database
from harness.provisioners.databases import PostgresServer
from harness.provisioners.embedded import EmbeddedProvisioner

PASSWORD = "a secret: p/w@"


async def execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


async def value(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    found = await connection.fetchval(query)
    await connection.close()
    return found


@asynccontextmanager
async def foreign_server() -> AsyncGenerator[PostgresServer]:
    async with EmbeddedProvisioner().start({"fsync": "off"}) as server:
        yield server


async def make_tenant(server: PostgresServer, rights: str = "CREATEDB", *, vector: bool = True) -> str:
    """A role of its own with these rights; returns the URL with which it logs in. New databases may bring pgvector."""
    name = f"tenant_{uuid4().hex[:8]}"
    await execute(server.admin_url, f"CREATE ROLE {name} LOGIN {rights} PASSWORD '{PASSWORD}'")
    if vector:
        await execute(with_database(server.admin_url, "template1"), "CREATE EXTENSION IF NOT EXISTS vector")
    parts = urlsplit(server.admin_url)
    netloc = f"{name}:{quote(PASSWORD, safe='')}@{parts.hostname}:{parts.port}"
    return urlunsplit(parts._replace(netloc=netloc))


def without_password(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.username}@{parts.hostname}:{parts.port}"))
