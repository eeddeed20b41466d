"""Counts statements and round trips by the operation that caused them, however many run at once.

The count travels in a context variable, so it follows an operation through its tasks and keeps concurrent ones apart.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(slots=True)
class Counted:
    """SQL statements without transaction control, waits for the server with it, and the rows that came back.

    `elapsed_s` and `calls` say per statement, `begin` and `commit` among them, how long was waited and how often.
    """

    statements: int = 0
    round_trips: int = 0
    rows: int = 0
    elapsed_s: dict[str, float] = field(default_factory=dict[str, float])
    calls: dict[str, int] = field(default_factory=dict[str, int])


_current: ContextVar[Counted | None] = ContextVar("_current", default=None)
_listener: ContextVar[Callable[[str], None] | None] = ContextVar("_listener", default=None)


@contextmanager
def counting(into: Counted | None = None) -> Generator[Counted]:
    """Attributes to one operation what is observed inside the block."""
    counted = into or Counted()
    token = _current.set(counted)
    try:
        yield counted
    finally:
        _current.reset(token)


@contextmanager
def telling(listener: Callable[[str], None]) -> Generator[None]:
    """Tells the listener the name of each statement inside the block once it is answered, from within its call."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def count(name: str, *, elapsed_s: float, rows: int, control: bool) -> None:
    """Called for each wait for the server, in the task that waited."""
    if listener := _listener.get():
        listener(name)
    counted = _current.get()
    if counted is None:
        return
    counted.round_trips += 1
    counted.rows += rows
    counted.statements += not control
    counted.elapsed_s[name] = counted.elapsed_s.get(name, 0.0) + elapsed_s
    counted.calls[name] = counted.calls.get(name, 0) + 1
