"""A PostgreSQL server that is not a run's own, as a company's staging server is: shared, and with rights that end."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import quote, urlsplit, urlunsplit
from uuid import uuid4

import asyncpg

from harness.measuring.servers.addresses import with_database
from harness.measuring.servers.network import with_endpoint
from harness.measuring.servers.provisioners._shared.databases import PostgresServer
from harness.measuring.servers.provisioners.embedded import EmbeddedProvisioner

PASSWORD = "a secret: p/w@"
TERMINATE = b"X\0\0\0\4"
"""The protocol's message of a client that leaves."""


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
async def role_on(url: str, rights: str = "") -> AsyncGenerator[tuple[str, str]]:
    """A role without rights on what is in the database, and the URL with which it logs in."""
    name = f"role_{uuid4().hex[:8]}"
    await execute(url, f"CREATE ROLE {name} LOGIN {rights} PASSWORD '{PASSWORD}'")
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    yield name, urlunsplit(parts._replace(netloc=f"{name}:{quote(PASSWORD, safe='')}@{host}"))
    await execute(url, f"DROP OWNED BY {name} CASCADE", f"DROP ROLE {name}")


@asynccontextmanager
async def foreign_server() -> AsyncGenerator[PostgresServer]:
    async with EmbeddedProvisioner().start({"fsync": "off"}) as server:
        yield server


async def make_tenant(server: PostgresServer, rights: str = "CREATEDB", *, vector: bool = True) -> str:
    """A role of its own with these rights; returns its URL. New databases there then bring pgvector, or do not."""
    name = f"tenant_{uuid4().hex[:8]}"
    await execute(server.admin_url, f"CREATE ROLE {name} LOGIN {rights} PASSWORD '{PASSWORD}'")
    extension = "CREATE EXTENSION IF NOT EXISTS vector" if vector else "DROP EXTENSION IF EXISTS vector"
    await execute(with_database(server.admin_url, "template1"), extension)
    parts = urlsplit(server.admin_url)
    netloc = f"{name}:{quote(PASSWORD, safe='')}@{parts.hostname}:{parts.port}"
    return urlunsplit(parts._replace(netloc=netloc))


def without_password(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.username}@{parts.hostname}:{parts.port}"))


@asynccontextmanager
async def pooled(url: str) -> AsyncGenerator[str]:
    """The URL through a pooler, as PgBouncer is one: it keeps its connection to a server when the client has left.

    PostgreSQL clones no database that somebody is connected to, so here it clones none at all.
    """
    parts = urlsplit(url)
    kept = list[asyncio.StreamWriter]()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until its sender leaves, with or without a word."""
        while (data := await reader.read(2**16)) and not data.endswith(TERMINATE):
            writer.write(data)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(parts.hostname, parts.port)
        kept.append(server_writer)
        ways = [asyncio.create_task(forward(*way)) for way in ((reader, server_writer), (server_reader, writer))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        writer.close()
        for way in ways:
            way.cancel()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        yield with_endpoint(url, *listener.sockets[0].getsockname()[:2])
    for writer in kept:
        writer.close()
