"""SQL statements that a test's calls send: counted for each call, with the line of the project's code that sent them.

Not for what a scenario measures: there the target counts.
"""

import asyncio
from collections import defaultdict
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final

from harness.measuring import drivers
from harness.measuring.drivers._shared.places import OUTSIDE, place_of_sender, place_that_awaits
from harness.measuring.drivers._shared.telling import SentStatement, said
from harness.measuring.drivers.asyncpg import connections
from harness.measuring.sql_texts import both_ends, is_control, one_line, shape
from harness.quantities import duration, number_of

_TEXT_MAX: Final = 110
_UNTOLD: Final = "(a statement whose text the hook was not given)"


@dataclass(slots=True)
class Sent:
    """Holds what one call has sent, in its order. `caller` is the task that made the call, where one did."""

    statements: list[SentStatement] = field(default_factory=list[SentStatement])
    caller: "asyncio.Task[Any] | None" = None

    @property
    def total(self) -> int:
        return len(self.statements)

    @property
    def rows(self) -> int | None:
        """Says how many came back or were changed; None where a driver tells it of some statements only."""
        rows = [each.rows for each in self.statements if each.rows is not None]
        return sum(rows) if len(rows) == self.total else None

    @property
    def elapsed_s(self) -> float:
        return sum(each.elapsed_s for each in self.statements)

    @property
    def queries(self) -> Mapping[str, tuple[object, ...]]:
        """Each text whole, as a server can explain it, with the values that came first."""
        found: dict[str, tuple[object, ...]] = {}
        for each in self.statements:
            found.setdefault(each.planned or each.text, each.values)
        return found

    def summary(self) -> str:
        """Begins the list of them."""
        rows = "" if self.rows is None else f" and {number_of(self.rows, 'row')}"
        took = f" ({duration(self.elapsed_s)}{rows})" if self.elapsed_s else ""
        return f"sent by the call with most statements{took}:"

    def lines(self, most: int = 10) -> list[str]:
        """The commonest first: what, how often, and from where."""
        kinds = defaultdict[tuple[str, str], list[SentStatement]](list)
        for each in self.statements:
            kinds[shape(each.text), each.where].append(each)
        ordered = sorted(kinds.items(), key=lambda kind: len(kind[1]), reverse=True)
        lines = [f"{_text(key[0], same)}{_times(len(same))} at {key[1]}" for key, same in ordered[:most]]
        return [*lines, f"and {len(ordered) - most} more"] if len(ordered) > most else lines


def _text(common: str, statements: Sequence[SentStatement]) -> str:
    """As it was sent where that was always the same."""
    texts = {one_line(each.text) for each in statements}
    return both_ends(texts.pop() if len(texts) == 1 else common, _TEXT_MAX) or _UNTOLD


def _times(number: int) -> str:
    return f" ×{number}" if number > 1 else ""  # noqa: RUF001 -- the sign for it


@dataclass(slots=True)
class Counting:
    """Says what this process was told of. One for all tests, since a connection may outlive a test.

    What is sent belongs to the call of the context that sends it; with one user to `only`, whatever task or thread
    it is sent from. `strays` were sent while several users called, by nobody that can be named.
    """

    heard: int = 0
    only: Sent | None = None
    users: int = 0
    strays: int = 0
    housekeeping: set[str] = field(default_factory=set[str])
    lock: Lock = field(default_factory=Lock)

    def add(self, statement: SentStatement) -> None:
        if statement.text in self.housekeeping:
            return
        self.heard += 1
        sent = _of_this_call.get() or self.only
        if sent is None:
            self.strays += self.users > 0
            return
        statement.where = statement.where or place_that_awaits(sent.caller) or OUTSIDE
        with self.lock:
            sent.statements.append(statement)

    @contextmanager
    def call(self, sent: Sent) -> Generator[None]:
        """Attributes to `sent` what is sent within the block by the one who calls."""
        sent.caller = current_task()
        token = _of_this_call.set(sent)
        try:
            yield
        finally:
            _of_this_call.reset(token)
            sent.caller = None


counting = Counting()
_of_this_call: ContextVar[Sent | None] = ContextVar("_of_this_call", default=None)


def current_task() -> "asyncio.Task[Any] | None":
    """Asyncio's; None in a thread without a loop, and under trio, which has its own."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def hear(statement: SentStatement) -> None:
    """Whatever test counts now."""
    counting.add(statement)


@contextmanager
def counted_statements() -> Generator[None]:
    """Counts what drivers that are imported send, until the block ends."""
    with drivers.told_to(hear):
        yield


def can_be_none(heard_before: int) -> bool:
    """Says whether 0 is believed: the test has seen a statement, or something tells and nothing here hides any."""
    if counting.heard > heard_before:
        return True
    return not drivers.hidden() and (counting.heard > 0 or bool(drivers.HOOKS.hooked - {"asyncpg"}))


async def report_statistics(query: str) -> bool:
    """Sends it over each connection of asyncpg, where it is not counted.

    False where there is none, or where one cannot tell now: within its transaction, at work for another task, or lost.
    """
    open_ones = [each for each in connections if not each.is_closed()]
    counting.housekeeping.add(query)
    reported = [await _reports(each, query) for each in open_ones]
    return bool(reported) and all(reported)


async def _reports(connection: Any, query: str) -> bool:  # noqa: ANN401 -- asyncpg's, which need not be installed
    if connection.is_in_transaction():
        return False
    try:
        await connection.execute(query)
    except Exception:  # noqa: BLE001 -- whatever a driver that is not imported here raises: it has told nothing
        return False
    return True


def count_statement(*event: object) -> None:
    """Counts one statement. Takes any arguments, so that it can be a driver's hook; the first text is the statement."""
    query = next((each for each in event if isinstance(each, str | bytes)), "")
    text = query.decode(errors="replace") if isinstance(query, bytes) else query
    if text and is_control(text):
        return
    counting.add(SentStatement(text, where=place_of_sender(), rows=None))
    said(text)
