"""SQL statements that a test's calls send: counted for each call, with the line of the project's code that sent them.

Not for what a scenario measures: there the target counts.
"""

import inspect
import os
import re
import sysconfig
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock
from types import FrameType
from typing import Any, Final
from weakref import WeakSet

_CONTROL: Final = re.compile(r"\s*(BEGIN|START|COMMIT|END|ROLLBACK|ABORT|SAVEPOINT|RELEASE)\b", re.IGNORECASE)
_INSTALLED: Final = ("site-packages", "dist-packages")
_NOT_THE_PROJECTS: Final = tuple(
    f"{os.path.realpath(place)}{os.sep}"
    for place in (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), str(Path(__file__).parents[2]))
)
_TEXT_MAX: Final = 100
_UNTOLD: Final = "(a statement whose text the hook was not given)"


@dataclass(frozen=True, slots=True)
class SentStatement:
    """One that was sent: its text on one line, and where in the project's code, as `shop/orders.py:12`."""

    text: str
    where: str


@dataclass(slots=True)
class Sent:
    """Holds what one call has sent, in whatever order.

    `queries` keeps each text whole, with the values that came first.
    """

    statements: Counter[SentStatement] = field(default_factory=Counter[SentStatement])
    queries: dict[str, tuple[object, ...]] = field(default_factory=dict[str, tuple[object, ...]])

    @property
    def total(self) -> int:
        return self.statements.total()

    def lines(self, most: int = 10) -> list[str]:
        """The commonest first: how often, what, and from where."""
        kinds = self.statements.most_common()
        lines = [f"{times} times {each.text}  ({each.where})" for each, times in kinds[:most]]
        return [*lines, f"and {len(kinds) - most} more"] if len(kinds) > most else lines


@dataclass(slots=True)
class Counting:
    """Says what this process was told of. One for all tests, since a connection may outlive a test.

    What is sent belongs to the call of the context that sends it; with one user to `only`, whatever task or thread
    it is sent from. `strays` were sent while several users called, by nobody that can be named.
    """

    counted: bool = False
    only: Sent | None = None
    users: int = 0
    strays: int = 0
    housekeeping: set[str] = field(default_factory=set[str])
    connections: "WeakSet[Any]" = field(default_factory=WeakSet)
    lock: Lock = field(default_factory=Lock)

    def add(self, query: str, values: tuple[object, ...] = ()) -> None:
        self.counted = True
        sent = _of_this_call.get() or self.only
        if sent is None:
            self.strays += self.users > 0
            return
        text = " ".join(query.split()) or _UNTOLD
        statement = SentStatement(text if len(text) <= _TEXT_MAX else f"{text[: _TEXT_MAX - 1]}…", _where())
        with self.lock:
            sent.statements[statement] += 1
            sent.queries.setdefault(query, values)

    @contextmanager
    def call(self, sent: Sent) -> Generator[None]:
        """Attributes to `sent` what is sent within the block by the one who calls."""
        token = _of_this_call.set(sent)
        try:
            yield
        finally:
            _of_this_call.reset(token)


counting = Counting()
_of_this_call: ContextVar[Sent | None] = ContextVar("_of_this_call", default=None)


async def _nothing(_logged: object) -> None:
    """What asyncpg makes a task of."""


class _Noticed(partial[Any]):
    """asyncpg calls an ordinary logger in the loop's next iteration, and a coroutine's where the statement was sent.

    This is a coroutine's function to who looks at it, and notes the statement when it is called.
    """

    def __call__(self, logged: Any) -> Any:  # noqa: ANN401 -- asyncpg's LoggedQuery.
        if logged.query not in counting.housekeeping and not _CONTROL.match(logged.query):
            counting.add(logged.query, tuple(logged.args or ()))
        return super().__call__(logged)


_notice: Final = _Noticed(_nothing)


def listen(connection: Any) -> None:  # noqa: ANN401 -- asyncpg's, which a project need not have.
    """Counts what it sends by execute, fetch and the like; not what a pool sends to reset it."""
    connection.add_query_logger(_notice)
    counting.housekeeping.add(connection.get_reset_query())
    counting.connections.add(connection)
    counting.counted = True


async def report_statistics(query: str) -> bool:
    """Sends it over each connection that is watched and idle, where it is not counted; False where there is none."""
    idle = [each for each in counting.connections if not each.is_closed() and not each.is_in_transaction()]
    counting.housekeeping.add(query)
    for connection in idle:
        await connection.execute(query)
    return bool(idle)


def count_statement(*event: object) -> None:
    """Counts one statement. Takes any arguments, so that it can be a driver's hook; the first text is the statement."""
    query = next((each for each in event if isinstance(each, str | bytes)), "")
    text = query.decode(errors="replace") if isinstance(query, bytes) else query
    if not _CONTROL.match(text):
        counting.add(text)


def _where() -> str:
    frame: FrameType | None = inspect.currentframe()
    while frame is not None:
        if is_the_projects(frame.f_code.co_filename):
            return place(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return "outside of the project"


def is_the_projects(file: str) -> bool:
    parts = Path(file).parts
    installed = any(each in parts for each in _INSTALLED)
    return not file.startswith("<") and not installed and not os.path.realpath(file).startswith(_NOT_THE_PROJECTS)


def place(file: str, line: int) -> str:
    """`shop/orders.py:12`, from the current directory where it lies below."""
    relative = os.path.relpath(file)
    return f"{file if relative.startswith(os.pardir) else relative}:{line}"
