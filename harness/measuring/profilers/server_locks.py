"""Says which statement waits for a lock, and which one holds it, looked at a hundred times a second."""

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg

from harness.measuring.profilers._shared.looking import looking
from harness.measuring.profilers.protocol import ProfiledOperation
from harness.record import LockWaitRecord

KINDS_MAX: Final = 50
TEXT_MAX: Final = 200

LOCK_WAITS: Final = """
    SELECT
        waiting.query AS waiting,
        wanted.locktype || ' ' || wanted.mode AS lock,
        holding.query AS holding,
        coalesce(holding.state, '') AS state
    FROM pg_stat_activity AS waiting
    JOIN pg_locks AS wanted ON wanted.pid = waiting.pid AND NOT wanted.granted
    CROSS JOIN LATERAL unnest(pg_blocking_pids(waiting.pid)) AS holder (pid)
    JOIN pg_stat_activity AS holding ON holding.pid = holder.pid
    WHERE waiting.datname = $1 AND waiting.wait_event_type = 'Lock'
"""


class ServerLocks:
    """A holder that is idle in its transaction is known by the last statement that it sent."""

    @asynccontextmanager
    async def observe(self, subject: ProfiledOperation) -> AsyncGenerator[dict[str, Any]]:
        observed: dict[str, Any] = {}
        seen: Counter[tuple[str, str, str, str]] = Counter()
        async with looking(subject, LOCK_WAITS, lambda rows: seen.update(map(_kind, rows))):
            yield observed
        observed["lock_waits"] = tuple(
            LockWaitRecord(waiting=waiting, lock=lock, holding=holding, state=state, looks=looks)
            for (waiting, lock, holding, state), looks in seen.most_common(KINDS_MAX)
        )


def _kind(row: asyncpg.Record) -> tuple[str, str, str, str]:
    return one_line(row["waiting"]), row["lock"], one_line(row["holding"]), row["state"]


def one_line(text: str) -> str:
    """A statement as a row of a table can hold it."""
    joined = " ".join(text.split())
    return joined if len(joined) <= TEXT_MAX else f"{joined[: TEXT_MAX - 1]}…"
