"""Django: it tells by its cursors what its driver does not tell by itself."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

from harness.measuring.drivers._shared.hooks import DriverMethod, replaced
from harness.measuring.drivers._shared.telling import enter_layer, leave_layer

NAME: Final = "Django"
CURSORS: Final = "django.db.backends.utils"


class Django:
    module: str = CURSORS

    @contextmanager
    def hooked(self) -> Generator[None]:
        hooks = {name: _sending for name in ("execute", "executemany", "callproc")}  # noqa: C420 -- keys of type str
        with replaced(NAME, sys.modules[CURSORS].CursorWrapper, hooks):
            yield


def _sending(method: DriverMethod) -> DriverMethod:
    def send(self: Any, sql: str, *args: Any, **kwargs: Any) -> Any:
        enter_layer()
        rows = 0
        try:
            answer = method(self, sql, *args, **kwargs)
            rows = getattr(self.cursor, "rowcount", -1)
        finally:
            leave_layer(sql, rows)
        return answer

    return send
