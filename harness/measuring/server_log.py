"""Tells what a server's log says of one database: the errors that its sessions were told, and the statements they sent.

Errors stand there at any time, statements only while `statements_logged` has the server write them.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import asyncpg

from harness.measuring.probes.protocol import unread
from harness.measuring.sql_texts import split

LogPart = tuple[bytes, int]
"""What a log holds from a position on, and the position of its end."""

ReadOn = Callable[[int | None], Awaitable[LogPart | None]]
"""Gives the part from a position on, an empty one at the end for None; None where the log cannot be read so."""

ENTRY: Final = re.compile(
    rb"^[^\t\n]*?\[\d+\] <(?P<database>.*) (?P<state>[0-9A-Z]{5})> (?P<severity>[A-Z]+):  (?P<text>.*(?:\n\t.*)*)",
    re.MULTILINE,
)
"""As `log_line_prefix` of a server that is started here has it. Further lines of an entry begin with a tab."""

EXECUTED: Final = re.compile(r"(?:statement|execute (?P<fetch>fetch from )?[^:]*): (?P<sql>.*)", re.DOTALL)

TEMPORARY: Final = re.compile(r'temporary file: path "[^"]*", size (?P<bytes>\d+)')

RETRIED: Final = frozenset({"25P02", "40001", "40P01"})
"""States of what others caused, after which a transaction is begun again, and of a transaction that failed already."""

LOGGED: Final = "ALTER SYSTEM SET log_statement = 'all'"
AS_BEFORE: Final = "ALTER SYSTEM RESET log_statement"
RELOAD: Final = "SELECT pg_reload_conf()"
RELOADED: Final = "SELECT pg_conf_load_time()"
POLL_S: Final = 0.01


@dataclass(frozen=True, slots=True)
class LoggedStatement:
    """`values` are the literals of its placeholders, as the server writes them; None where it has none."""

    sql: str
    values: str | None = None


@dataclass(slots=True)
class ServerLog:
    """Reads on each time, and adds up what concerns its database. `statements` are for its owner to take out."""

    read_on: ReadOn
    """Gives the next part."""
    database: str
    """The name of the database on the server."""
    failures: int = 0
    """How many statements failed until it was read last, those left out that are tried again."""
    last_failure: str = ""
    """What the server said of the last of them."""
    temporary_bytes: int = 0
    """Of temporary files that sessions wrote, where the server logs them (`log_temp_files`)."""
    statements: list[LoggedStatement] = field(default_factory=list[LoggedStatement])
    """Those that were sent since they were taken out, in their order."""
    _position: int | None = None

    async def read(self) -> bool:
        """Says whether it can be read."""
        part = await self.read_on(self._position)
        if part is None:
            return False
        content, self._position = part
        for entry in ENTRY.finditer(content):
            if entry["database"].decode(errors="replace") == self.database:
                self._take(*(entry[name].decode(errors="replace") for name in ("severity", "state", "text")))
        return True

    async def failed(self) -> int:
        """Says how many statements have failed. Raises `NotObserved`."""
        if not await self.read():
            await unread()
        return self.failures

    def _take(self, severity: str, state: str, text: str) -> None:
        text = text.replace("\n\t", "\n")
        match severity:
            case "ERROR" if state not in RETRIED:
                self.failures += 1
                self.last_failure = text
            case "LOG" if written := TEMPORARY.match(text):
                self.temporary_bytes += int(written["bytes"])
            case "LOG" if (executed := EXECUTED.fullmatch(text)) and not executed["fetch"]:
                self.statements += [LoggedStatement(sql) for sql in split(executed["sql"])]
            case "DETAIL" if self.statements and text.lower().startswith("parameters: "):
                self.statements[-1] = LoggedStatement(self.statements[-1].sql, _values(text.partition(" ")[2]))
            case _:
                pass


_VALUE: Final = re.compile(r"\$\d+ = (NULL|'(?:[^']|'')*')")


def _values(parameters: str) -> str:
    return ", ".join(_VALUE.findall(parameters))


@asynccontextmanager
async def statements_logged(admin_url: str) -> AsyncGenerator[None]:
    """Has every session of the server log what it is sent while the block runs."""
    connection = await asyncpg.connect(admin_url)
    try:
        await connection.execute(LOGGED)
        # The server tells its sessions one after the other, and has told all of them when it begins to do so again.
        await _reload(connection)
        await _reload(connection)
        try:
            yield
        finally:
            await connection.execute(AS_BEFORE)
            await _reload(connection)
    finally:
        await connection.close()


async def _reload(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    before = await connection.fetchval(RELOADED)
    await connection.execute(RELOAD)
    while await connection.fetchval(RELOADED) == before:  # noqa: ASYNC110 -- another process cannot set an event here
        await asyncio.sleep(POLL_S)
