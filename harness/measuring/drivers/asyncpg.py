"""asyncpg: whatever its connections, pools, cursors, prepared statements and COPY send goes through one protocol."""

import re
import sys
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, Final
from weakref import WeakKeyDictionary, WeakSet

from harness.measuring.drivers._shared.hooks import DriverMethod, replaced
from harness.measuring.drivers._shared.telling import SentStatement, sent

NAME: Final = "asyncpg"

connections: Final["WeakSet[Any]"] = WeakSet()
"""Those that were opened while it was hooked."""

_JIT: Final = re.compile(r"\s*SELECT\s+(?:current_setting\('jit'\)|set_config\('jit', \$1, false\))")
_ROWS: Final = re.compile(r"(?:SELECT|INSERT|UPDATE|DELETE|MERGE|COPY|FETCH|MOVE)(?: \d+)? (\d+)$")


_portals: Final["WeakKeyDictionary[Any, dict[str, SentStatement]]"] = WeakKeyDictionary()
"""What the cursors of a connection were opened with that have more rows to give."""


class Asyncpg:
    module: str = NAME

    @contextmanager
    def hooked(self) -> Generator[None]:
        with replaced(NAME, sys.modules["asyncpg.protocol"].Protocol, HOOKS):
            yield


@cache
def _is_own(query: str) -> bool:
    """Whether it asks for itself, about types."""
    texts = vars(sys.modules["asyncpg.introspection"]).values()
    return query in texts or _JIT.match(query) is not None


def _prepare(method: DriverMethod) -> DriverMethod:
    """Nothing is executed by it, but what the server refuses here has been sent."""

    async def hook(self: Any, stmt_name: str, query: str, timeout: Any, **further: Any) -> Any:
        try:
            return await method(self, stmt_name, query, timeout, **further)
        except Exception:
            sent(query)
            raise

    return hook


def _bind_execute(method: DriverMethod) -> DriverMethod:
    async def hook(
        self: Any, state: Any, args: Any, portal_name: str, limit: int, return_extra: bool, timeout: Any
    ) -> Any:
        if _is_own(state.query):
            return await method(self, state, args, portal_name, limit, return_extra, timeout)
        statement = sent(state.query, state.query, tuple(args))
        _portals.setdefault(self, {})[portal_name] = statement
        return await _answered(
            self, statement, portal_name, method(self, state, args, portal_name, limit, True, timeout), return_extra
        )

    return hook


def _bind(method: DriverMethod) -> DriverMethod:
    async def hook(self: Any, state: Any, args: Any, portal_name: str, timeout: Any) -> Any:
        statement = sent(state.query, state.query, tuple(args))
        _portals.setdefault(self, {})[portal_name] = statement
        return await _timed(statement, method(self, state, args, portal_name, timeout))

    return hook


def _execute(method: DriverMethod) -> DriverMethod:
    """Called for each further part of a cursor's rows."""

    async def hook(self: Any, state: Any, portal_name: str, limit: int, return_extra: bool, timeout: Any) -> Any:
        statement = _portals.get(self, {}).get(portal_name) or SentStatement(state.query)
        return await _answered(
            self, statement, portal_name, method(self, state, portal_name, limit, True, timeout), return_extra
        )

    return hook


async def _answered(
    protocol: Any, statement: SentStatement, portal_name: str, answer: Awaitable[Any], return_extra: bool
) -> Any:
    rows, status, is_complete = answered = await _timed(statement, answer)
    statement.add_rows(len(rows) or _of_status(status))
    if is_complete:
        _portals.get(protocol, {}).pop(portal_name, None)
    return answered if return_extra else rows


def _bind_execute_many(method: DriverMethod) -> DriverMethod:
    """One statement, whose rows are at least as many as there are sets of values: the driver tells no others."""

    async def hook(self: Any, state: Any, args: Any, portal_name: str, timeout: Any, return_rows: bool) -> Any:
        statement = sent(state.query, state.query)

        def counted() -> Generator[Any]:
            for values in args:
                statement.add_rows(1)
                yield values

        return await _timed(statement, method(self, state, counted(), portal_name, timeout, return_rows))

    return hook


def _query(method: DriverMethod) -> DriverMethod:
    async def hook(self: Any, query: str, timeout: Any) -> Any:
        statement = sent(query, query)
        status = await _timed(statement, method(self, query, timeout))
        statement.rows = _of_status(status)
        return status

    return hook


def _copy(method: DriverMethod) -> DriverMethod:
    async def hook(self: Any, copy_stmt: str, *args: Any) -> Any:
        statement = sent(copy_stmt)
        status = await _timed(statement, method(self, copy_stmt, *args))
        statement.rows = _of_status(status)
        return status

    return hook


def _set_connection(method: DriverMethod) -> DriverMethod:
    def hook(self: Any, connection: Any) -> None:
        connections.add(connection)
        method(self, connection)

    return hook


async def _timed(statement: SentStatement, answer: Awaitable[Any]) -> Any:
    with statement.waiting():
        return await answer


def _of_status(status: str | bytes | None) -> int:
    text = status.decode() if isinstance(status, bytes) else status or ""
    found = _ROWS.match(text)
    return int(found[1]) if found else 0


HOOKS: Final[Mapping[str, Callable[[DriverMethod], DriverMethod]]] = {
    "prepare": _prepare,
    "bind_execute": _bind_execute,
    "bind": _bind,
    "execute": _execute,
    "bind_execute_many": _bind_execute_many,
    "query": _query,
    "copy_in": _copy,
    "copy_out": _copy,
    "set_connection": _set_connection,
}
