"""A connection to a database of the run's own, for what is done to it while nothing is timed."""

import contextlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import asyncpg


@asynccontextmanager
async def connected(url: str) -> "AsyncGenerator[asyncpg.Connection[asyncpg.Record]]":
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def settle(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Vacuums, analyses and writes to disk what was loaded, so that no measured request has to."""
    await connection.execute("VACUUM (ANALYZE)")
    # A role on somebody's server may not; the run's facts then say so.
    with contextlib.suppress(asyncpg.InsufficientPrivilegeError):
        await connection.execute("CHECKPOINT")
