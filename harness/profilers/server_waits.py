"""What the database's sessions wait for, looked at a hundred times a second over a connection of its own."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg

from harness.profilers.protocol import Subject

INTERVAL_S: Final = 0.01
WAITS: Final = """
    SELECT coalesce(wait_event_type || ': ' || wait_event, 'processor') AS event
    FROM pg_stat_activity
    WHERE datname = $1 AND state IN ('active', 'idle in transaction') AND backend_type = 'client backend'
"""


class ServerWaits:
    """A session that is inside a transaction and waits for its client counts as `Client: ClientRead`."""

    @asynccontextmanager
    async def observe(self, subject: Subject) -> AsyncGenerator[dict[str, Any]]:
        observed: dict[str, Any] = {}
        seen: Counter[str] = Counter()
        connection = await asyncpg.connect(subject.admin_url)
        looking = asyncio.create_task(_look(connection, subject.database, seen))
        try:
            yield observed
        finally:
            looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await looking
            await connection.close()
        observed["waits"] = dict(seen)


async def _look(connection: "asyncpg.Connection[asyncpg.Record]", database: str, seen: Counter[str]) -> None:
    while True:
        seen.update(row["event"] for row in await connection.fetch(WAITS, database))
        await asyncio.sleep(INTERVAL_S)
