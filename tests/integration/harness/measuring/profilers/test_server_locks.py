"""Which statement waits for which, seen from outside while it happens."""

import asyncio

from harness.measuring.profilers.protocol import ProfiledOperation
from harness.measuring.profilers.server_locks import LOCK_WAITS, ServerLocks
from tests.integration.harness.conftest import Sessions
from tests.waiting import until

UPDATE = "UPDATE tally SET n = n + $1"


async def test_a_statement_that_waits_is_named_with_the_one_that_holds_its_lock(
    subject: ProfiledOperation, sessions: Sessions
) -> None:
    holder, waiter, watcher = sessions

    async def waiting() -> bool:
        return bool(await watcher.fetch(LOCK_WAITS, subject.database))

    await holder.execute("CREATE TABLE tally AS SELECT 0 AS n")
    async with ServerLocks().observe(subject) as observed:
        async with holder.transaction():
            await holder.execute(UPDATE, 1)
            blocked = asyncio.create_task(waiter.execute(UPDATE, 2))
            await until(waiting)
            # A look that begins now comes after the wait did; two of them end after one began.
            for _ in range(2):
                await watcher.fetch("SELECT pg_sleep(0.02)")
        await blocked
    (found,) = observed["lock_waits"]
    assert (found.waiting, found.lock, found.holding) == (UPDATE, "transactionid ShareLock", UPDATE)
    assert found.state == "idle in transaction"
    assert found.looks >= 1


async def test_sessions_that_wait_for_nobody_are_not_listed(subject: ProfiledOperation, sessions: Sessions) -> None:
    async with ServerLocks().observe(subject) as observed:
        await sessions[0].fetch("SELECT pg_sleep(0.03)")
    assert observed["lock_waits"] == ()
