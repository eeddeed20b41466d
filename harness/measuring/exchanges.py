"""Says what was sent and what came back, word for word, for who wants to see it; nothing is kept while nobody does."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from harness.redaction import without_secrets

SHOWN_MAX: Final = 300
"""Characters of one line."""


@dataclass(frozen=True, slots=True)
class ExchangeLine:
    """`came_back` says which way it went."""

    came_back: bool
    text: str


_listener: ContextVar[Callable[[ExchangeLine], None] | None] = ContextVar("_listener", default=None)


@contextmanager
def listening(listener: Callable[[ExchangeLine], None]) -> Generator[None]:
    """Shows the listener what is exchanged inside the block."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def sent(text: Callable[[], str]) -> None:
    _tell(text, came_back=False)


def came_back(text: Callable[[], str]) -> None:
    _tell(text, came_back=True)


def _tell(text: Callable[[], str], *, came_back: bool) -> None:
    """The text is made only where somebody listens."""
    if listener := _listener.get():
        line = " ".join(without_secrets(text()).split())
        listener(ExchangeLine(came_back, line if len(line) <= SHOWN_MAX else f"{line[: SHOWN_MAX - 1]}…"))
