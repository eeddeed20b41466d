"""SQLAlchemy, with engines of either kind: it tells by its events what its driver does not tell by itself."""

import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from harness.measuring.drivers._shared.telling import enter_layer, leave_layer

NAME: Final = "sqlalchemy"


class SqlAlchemy:
    module: str = NAME

    @contextmanager
    def hooked(self) -> Generator[None]:
        event, engine = sys.modules["sqlalchemy.event"], sys.modules["sqlalchemy.engine"].Engine
        for name, listener in LISTENERS.items():
            event.listen(engine, name, listener)
        try:
            yield
        finally:
            for name, listener in LISTENERS.items():
                event.remove(engine, name, listener)


def _before(_connection: Any, _cursor: Any, _statement: str, _parameters: Any, _context: Any, _many: bool) -> None:
    enter_layer()


def _after(_connection: Any, cursor: Any, statement: str, _parameters: Any, _context: Any, _many: bool) -> None:
    leave_layer(statement, getattr(cursor, "rowcount", -1))


def _failed(context: Any) -> None:
    """Also of what fails before a statement is made, which has no text."""
    if context.statement is not None:
        leave_layer(context.statement, 0)


LISTENERS: Final[Mapping[str, Callable[..., None]]] = {
    "before_cursor_execute": _before,
    "after_cursor_execute": _after,
    "handle_error": _failed,
}
