"""Where the time of the current request goes: the embedding, the wait for a connection, the statements."""

from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from time import perf_counter
from typing import Literal, TypeAlias

SpentPart: TypeAlias = Literal["embedding", "coalesced", "retries", "pool", "database"]
"""Of `embedding`, `coalesced` is waiting for another request's call, `retries` failed attempts and their pauses."""
Spent: TypeAlias = dict[SpentPart, float]
"""Seconds by part."""

_spent: ContextVar[Spent | None] = ContextVar("spent", default=None)


@contextmanager
def spending_of_request() -> Generator[Spent]:
    """What is spent inside, by this task and those that it starts, is counted in the yielded value."""
    spent: Spent = defaultdict(float)
    token = _spent.set(spent)
    try:
        yield spent
    finally:
        _spent.reset(token)


def within_request() -> bool:
    return _spent.get() is not None


def spend(part: SpentPart, elapsed_s: float) -> None:
    """Counts for the current request; in background work there is none."""
    spent = _spent.get()
    if spent is not None:
        spent[part] += elapsed_s


@contextmanager
def spending(part: SpentPart) -> Generator[None]:
    started = perf_counter()
    try:
        yield
    finally:
        spend(part, perf_counter() - started)
