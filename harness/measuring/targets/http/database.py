"""The service's database: made from the scenario's files, and asked when its sessions have told what they did."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Final

import asyncpg

from harness.errors import UsageError
from harness.measuring.own_scenario import OwnDatabase

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


@asynccontextmanager
async def connected(url: str) -> "AsyncGenerator[asyncpg.Connection[asyncpg.Record]]":
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def prepare(url: str, settings: OwnDatabase) -> None:
    for path in (*settings.schema_files, *settings.seed_files):
        await _apply(url, path)
    await _settle(url)


async def migrate(url: str, path: Path) -> None:
    await _apply(url, path)
    await _settle(url)


async def told(url: str) -> bool:
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


async def _apply(url: str, path: Path) -> None:
    """Raises `UsageError` with what the server says, and the line that it means."""
    text = await asyncio.to_thread(path.read_text, encoding="utf-8")
    async with connected(url) as connection:
        try:
            await connection.execute(text)
        except asyncpg.PostgresError as error:
            position = getattr(error, "position", None)
            line = f":{text[: int(position)].count(chr(10)) + 1}" if position else ""
            raise UsageError(f"{path}{line}: {error}.") from error


async def _settle(url: str) -> None:
    async with connected(url) as connection:
        await connection.execute("VACUUM (ANALYZE)")
