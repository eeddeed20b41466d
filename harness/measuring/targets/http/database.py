"""The service's database, asked when its sessions have told what they did."""

import asyncio
from time import monotonic
from typing import Final

import asyncpg

from harness.measuring.connections import connected

WITHIN_S: Final = 12.0
POLL_S: Final = 0.2

UNTOLD: Final = """
SELECT count(*) FILTER (WHERE state <> 'idle' OR state_change > now() - interval '10.5 s')
  FROM pg_stat_activity
 WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
"""Sessions that may not have told the server's statistics what they did, which they do 10 s after they became idle."""

IN_TRANSACTION: Final = """
SELECT count(*)
  FROM pg_stat_activity
 WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
   AND state <> 'idle' AND xact_start < now() - interval '10.5 s'
"""


async def wait_for_statistics(url: str) -> bool:
    """Waits until every session has told what it did until now; False where one cannot, since it is in a transaction.

    Whoever is busy tells it at the end of a statement, as long as the last time was a second before.
    """
    deadline = monotonic() + WITHIN_S
    try:
        async with connected(url) as connection:
            while await connection.fetchval(UNTOLD) and monotonic() < deadline:  # noqa: ASYNC110 -- sessions of others
                await asyncio.sleep(POLL_S)
            return not await connection.fetchval(IN_TRANSACTION)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
