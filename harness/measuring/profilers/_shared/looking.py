"""Says what the profilers of the server share: one question, asked again and again over a connection of its own."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import asyncpg

from harness.measuring.connections import connected
from harness.measuring.profilers.protocol import ProfiledOperation

INTERVAL_S: Final = 0.01


@asynccontextmanager
async def looking(
    subject: ProfiledOperation, query: str, take: Callable[[Sequence[asyncpg.Record]], None]
) -> AsyncGenerator[None]:
    """While the block goes on, `take` gets the rows of each look at the subject's database."""
    async with connected(subject.admin_url) as connection:
        task = asyncio.create_task(_look(connection, query, subject.database, take))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _look(
    connection: "asyncpg.Connection[asyncpg.Record]",
    query: str,
    database: str,
    take: Callable[[Sequence[asyncpg.Record]], None],
) -> None:
    while True:
        take(await connection.fetch(query, database))
        await asyncio.sleep(INTERVAL_S)
