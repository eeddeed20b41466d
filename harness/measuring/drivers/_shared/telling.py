"""Statements as drivers tell of them, and who listens: each one once, by the driver that sends it.

A layer above a driver, such as SQLAlchemy, tells of a statement only where no driver below it has.
"""

from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from harness.measuring.drivers._shared.places import place_of_sender
from harness.measuring.sql_texts import is_control


@dataclass(slots=True, eq=False)
class SentStatement:
    """Its text as the code has it, and what is known of it until now: rows come, and time passes, after it is told."""

    text: str
    """As the code wrote it."""
    planned: str = ""
    """As the server can explain it, with `$1` for its values; empty where that is not known."""
    values: tuple[object, ...] = ()
    """Those of its placeholders, where the driver told them."""
    where: str = ""
    """The line of the project that sent it; empty where that is not known."""
    rows: int | None = 0
    """How many rows came back or were changed, until now; None where nobody tells."""
    elapsed_s: float = 0.0
    """How long the server was waited for, in seconds, until now."""

    def add_rows(self, number: int) -> None:
        self.rows = (self.rows or 0) + number

    @contextmanager
    def waiting(self) -> Generator[None]:
        """Adds the time of the block, whose end need not be the last of it."""
        begun_s = perf_counter()
        try:
            yield
        finally:
            self.elapsed_s += perf_counter() - begun_s


@dataclass(slots=True)
class LayerAbove:
    """A statement on its way through a layer above a driver, until that has the answer."""

    where: str
    begun_s: float
    is_passed_on: bool = False


Listener = Callable[[SentStatement], None]

_listeners: Final[Counter[Listener]] = Counter()
"""How often each listens; it is told once."""
_layer: Final[ContextVar[LayerAbove | None]] = ContextVar("_layer", default=None)
_said: Final[ContextVar[tuple[str, int] | None]] = ContextVar("_said", default=None)
"""The text that a project's own hook has told of, just before the driver does, and in which time of hearing."""
_hearing: Final = Counter(number=0)
"""Which time of hearing it is: from the first listener to the last."""
_is_own: Final[ContextVar[bool]] = ContextVar("_is_own", default=False)


@contextmanager
def listening(listener: Listener) -> Generator[None]:
    """Tells the listener of each statement that is sent within the block by whatever is hooked, when it is sent."""
    if not _listeners:
        _hearing["number"] += 1
    _listeners[listener] += 1
    try:
        yield
    finally:
        _listeners[listener] -= 1
        if not _listeners[listener]:
            del _listeners[listener]


def own_context() -> Context:
    """Of what the harness sends itself, of which nobody is told."""
    context = copy_context()
    context.run(_is_own.set, True)
    return context


def sent(text: str, planned: str = "", values: tuple[object, ...] = ()) -> SentStatement:
    """Tells of a statement that is about to be sent, unless it is control; its driver goes on to fill in the value."""
    layer = _layer.get()
    if layer is not None:
        layer.is_passed_on = True
    statement = SentStatement(text, planned, values, layer.where if layer else "")
    _tell(statement)
    return statement


def said(text: str) -> None:
    """A project's own hook has told of it; a driver that tells of it as well, right after, is not heard.

    Where none does, as no driver is hooked, what is sent once somebody listens again is another statement.
    """
    _said.set((text, _hearing["number"]))


def _tell(statement: SentStatement) -> None:
    if not _listeners or _is_own.get() or is_control(statement.text):
        return
    known = _said.get()
    if known is not None:
        _said.set(None)
        if known == (statement.text, _hearing["number"]):
            return
    statement.where = statement.where or place_of_sender()
    for listener in tuple(_listeners):
        listener(statement)


def enter_layer() -> None:
    """A layer has a statement to send."""
    _layer.set(LayerAbove(place_of_sender(), perf_counter()) if _listeners else None)


def leave_layer(text: str, rows: int) -> None:
    """The statement was answered or refused: told of here, unless a driver has. -1 rows are not known."""
    layer = _layer.get()
    _layer.set(None)
    if layer is not None and not layer.is_passed_on:
        elapsed_s = perf_counter() - layer.begun_s
        _tell(SentStatement(text, where=layer.where, rows=None if rows < 0 else rows, elapsed_s=elapsed_s))
