"""What sessions wait for, seen from outside while it happens."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from harness.profilers.protocol import Subject
from harness.profilers.server_waits import WAITS, ServerWaits
from harness.provisioners.protocol import Server
from tests.waiting import until

LOCKED = "Lock: advisory"


async def test_a_session_that_waits_for_a_lock_is_seen_waiting(
    server: Server, database_url: str, tmp_path: Path
) -> None:
    database = urlsplit(database_url).path.removeprefix("/")
    subject = Subject("naive", "query", 1, tmp_path, server.admin_url, database)
    holder, waiter, watcher = [await asyncpg.connect(url) for url in (database_url, database_url, server.admin_url)]

    async def waiting() -> bool:
        return LOCKED in [row["event"] for row in await watcher.fetch(WAITS, database)]

    try:
        await holder.execute("SELECT pg_advisory_lock(1)")
        async with ServerWaits().observe(subject) as observed:
            blocked = asyncio.create_task(waiter.execute("SELECT pg_advisory_lock(1)"))
            await until(waiting)
            # A look that begins now comes after the wait did; two of them end after one began.
            for _ in range(2):
                await watcher.fetch("SELECT pg_sleep(0.02)")
            await holder.execute("SELECT pg_advisory_unlock(1)")
            await blocked
        assert observed["waits"][LOCKED] >= 1
    finally:
        for connection in (holder, waiter, watcher):
            await connection.close()
