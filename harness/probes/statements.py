"""Counts statements and round trips by the operation that caused them, however many run at once.

The count travels in a context variable, so it follows an operation through its tasks and keeps concurrent ones apart.
"""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Counted:
    """SQL statements without transaction control, waits for the server with it, and the rows that came back."""

    statements: int = 0
    round_trips: int = 0
    rows: int = 0


_current: ContextVar[Counted | None] = ContextVar("_current", default=None)


@contextmanager
def counting(into: Counted | None = None) -> Generator[Counted]:
    """Attributes to one operation what is observed inside the block."""
    counted = into or Counted()
    token = _current.set(counted)
    try:
        yield counted
    finally:
        _current.reset(token)


def count(*, rows: int, control: bool) -> None:
    """Called for each wait for the server, in the task that waited."""
    counted = _current.get()
    if counted is None:
        return
    counted.round_trips += 1
    counted.rows += rows
    counted.statements += not control
