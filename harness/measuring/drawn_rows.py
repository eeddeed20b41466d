"""Says what statements give to draw from, on the prepared database."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import date, time, timedelta
from typing import cast

import asyncpg

from harness.errors import UsageError
from harness.measuring.arguments import Ask
from harness.measuring.connections import connected
from harness.measuring.values.protocol import Plain


@asynccontextmanager
async def asking_once(database_url: str) -> AsyncGenerator[Ask]:
    """Runs each statement once, however many arguments are drawn from it."""
    known: dict[str, Sequence[Plain]] = {}
    async with connected(database_url) as connection:

        async def ask(statement: str) -> Sequence[Plain]:
            if statement not in known:
                try:
                    known[statement] = [plain(row[0]) for row in await connection.fetch(statement)]
                except (asyncpg.PostgresError, IndexError) as error:
                    raise UsageError(f"Nothing can be drawn from `{' '.join(statement.split())}`: {error}.") from None
            return known[statement]

        yield ask


def plain(value: object) -> Plain:
    """The value as JSON has it; what it has no form for is text, as PostgreSQL reads it."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case date() | time():
            return value.isoformat()
        case timedelta():
            return f"{value.total_seconds()} seconds"
        case bytes():
            return f"\\x{value.hex()}"
        case list() | tuple():
            return [plain(each) for each in cast("Sequence[object]", value)]
        case _:
            return str(value)
