"""Waits for what happens in another process, by its condition and never by a guess of how long it takes."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg

TIMEOUT_S = 120.0


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Returns as soon as `condition` holds, and fails the test when it does not within two minutes."""
    async with asyncio.timeout(TIMEOUT_S):
        while not await condition():  # noqa: ASYNC110 -- another process cannot set an event here
            await asyncio.sleep(0.02)


async def is_gone(url: str) -> bool:
    """Whether no database answers at this URL."""
    try:
        connection = await asyncpg.connect(url)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return True
    await connection.close()
    return False
