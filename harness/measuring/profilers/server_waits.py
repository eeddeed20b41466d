"""Says what the database's sessions wait for, looked at a hundred times a second."""

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

from harness.measuring.profilers._shared.looking import looking
from harness.measuring.profilers.protocol import ProfiledOperation

WAITS: Final = """
    SELECT coalesce(wait_event_type || ': ' || wait_event, 'processor') AS event
    FROM pg_stat_activity
    WHERE datname = $1 AND state IN ('active', 'idle in transaction') AND backend_type = 'client backend'
"""


class ServerWaits:
    """A session that is inside a transaction and waits for its client counts as `Client: ClientRead`."""

    @asynccontextmanager
    async def observe(self, subject: ProfiledOperation) -> AsyncGenerator[dict[str, Any]]:
        observed: dict[str, Any] = {}
        seen: Counter[str] = Counter()
        async with looking(subject, WAITS, lambda rows: seen.update(row["event"] for row in rows)):
            yield observed
        observed["waits"] = dict(seen)
