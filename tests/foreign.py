"""A PostgreSQL server that is not a run's own, as a company's staging server is: shared, and with rights that end."""

from urllib.parse import quote, urlsplit, urlunsplit
from uuid import uuid4

import asyncpg

from harness.provisioners.addresses import with_database
from harness.provisioners.databases import PostgresServer


async def execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


async def make_tenant(server: PostgresServer, rights: str = "CREATEDB", *, vector: bool = True) -> str:
    """A role of its own with these rights; returns the URL with which it logs in. New databases may bring pgvector."""
    name, password = f"tenant_{uuid4().hex[:8]}", "a secret: p/w@"
    await execute(server.admin_url, f"CREATE ROLE {name} LOGIN {rights} PASSWORD '{password}'")
    if vector:
        await execute(with_database(server.admin_url, "template1"), "CREATE EXTENSION IF NOT EXISTS vector")
    parts = urlsplit(server.admin_url)
    netloc = f"{name}:{quote(password, safe='')}@{parts.hostname}:{parts.port}"
    return urlunsplit(parts._replace(netloc=netloc))
