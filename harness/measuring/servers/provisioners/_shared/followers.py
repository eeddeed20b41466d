"""Servers that follow another by streaming replication: waits until they have what it has."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from harness.errors import ProvisioningError
from harness.measuring.servers.provisioners._shared.databases import connected

FLUSHED: Final = "SELECT pg_current_wal_flush_lsn()::text"
LACKS: Final = "SELECT pg_is_in_recovery() AND pg_last_wal_replay_lsn() < $1::text::pg_lsn"

BEHIND_S_MAX: Final = 30.0
POLL_INTERVAL_S: Final = 0.01


async def caught_up(url: str, *followers: str) -> None:
    """Returns when each follower shows all that the server at `url` has written to its log until now."""
    async with connected(url) as connection:
        end = await connection.fetchval(FLUSHED)
    async with in_time():
        for follower in followers:
            async with connected(follower) as connection:
                while await connection.fetchval(LACKS, end):  # noqa: ASYNC110 -- the server sets no event here
                    await asyncio.sleep(POLL_INTERVAL_S)


@asynccontextmanager
async def in_time() -> AsyncGenerator[None]:
    """Raises `ProvisioningError` where a server that follows is not as far as it should be."""
    try:
        async with asyncio.timeout(BEHIND_S_MAX):
            yield
    except TimeoutError:
        raise ProvisioningError(
            f"The server that follows is {BEHIND_S_MAX:g} s behind. Try again when the machine is less busy."
        ) from None
