"""What sessions wait for, seen from outside while it happens."""

import asyncio

from harness.measuring.profilers.protocol import ProfiledOperation
from harness.measuring.profilers.server_waits import WAITS, ServerWaits
from tests.integration.harness.conftest import Sessions
from tests.waiting import until

LOCKED = "Lock: advisory"


async def test_a_session_that_waits_for_a_lock_is_seen_waiting(subject: ProfiledOperation, sessions: Sessions) -> None:
    holder, waiter, watcher = sessions

    async def waiting() -> bool:
        return LOCKED in [row["event"] for row in await watcher.fetch(WAITS, subject.database)]

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
