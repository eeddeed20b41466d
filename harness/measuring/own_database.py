"""A database as somebody's own scenario makes it: SQL scripts, applied in their order, and what fills it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import asyncpg

from harness.errors import UsageError
from harness.measuring.connections import connected, settle
from harness.measuring.own_scenario import OwnDatabase
from harness.measuring.pointing import pointed_at
from harness.measuring.seeds import SeedCommand, copy_rows, run_command


async def prepare(url: str, database: OwnDatabase) -> None:
    """As `schema` and `seed` say. Raises `UsageError`."""
    match database.seed:
        case SeedCommand() as command:
            await apply(url, database.schema_files)
            await run_command(command, url)
            await apply(url, ())
        case dict() as tables:
            await apply(url, database.schema_files)
            async with connected(url) as connection:
                for table, path in tables.items():
                    await copy_rows(connection, table, path)
            await apply(url, ())
        case files:
            await apply(url, (*database.schema_files, *files))


async def apply(url: str, files: Sequence[Path]) -> None:
    """Vacuumed and analysed afterwards. Raises `UsageError` with what the server says, and the line that it means."""
    async with connected(url) as connection:
        for path in files:
            text = await asyncio.to_thread(path.read_text, encoding="utf-8")
            try:
                await connection.execute(text)
            except asyncpg.PostgresError as error:
                raise UsageError(refused(path, text, error)) from error
        await settle(connection)


def refused(path: Path, text: str, error: asyncpg.PostgresError) -> str:
    position = getattr(error, "position", None)
    if position is None:
        return f"{path}: {error}."
    at = int(position) - 1
    return f"{path}:{text.count(chr(10), 0, at) + 1}: {error}.\n{pointed_at(text, at)}"
