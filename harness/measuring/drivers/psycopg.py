"""psycopg 3: what its cursors send, of either kind, goes through the generators that they share."""

import re
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Final
from weakref import WeakKeyDictionary

from harness.measuring.drivers._shared.hooks import DriverMethod, owner_of, replaced
from harness.measuring.drivers._shared.telling import SentStatement, sent

NAME: Final = "psycopg"
_DECLARED: Final = re.compile(r'DECLARE "[^"]*"(?: (?:NO )?SCROLL)? CURSOR(?: WITH HOLD)? FOR ')


class Psycopg:
    module: str = NAME

    @contextmanager
    def hooked(self) -> Generator[None]:
        module = sys.modules[NAME]
        last: WeakKeyDictionary[Any, SentStatement] = WeakKeyDictionary()
        begins, goes_on = _beginning(last), _going_on(last)
        cursors = owner_of(module.Cursor, "_execute_gen")
        on_the_server = owner_of(module.ServerCursor, "_declare_gen")
        of_cursors: Mapping[str, Callable[[DriverMethod], DriverMethod]] = {
            **dict.fromkeys(
                (
                    "_execute_gen",
                    "_executemany_gen_pipeline",
                    "_executemany_gen_no_pipeline",
                    "_stream_send_gen",
                    "_start_copy_gen",
                ),
                begins,
            ),
            "_stream_fetchone_gen": goes_on,
            "_set_results": _answered(last),
        }
        with ExitStack() as stack:
            stack.enter_context(replaced(NAME, cursors, of_cursors))
            stack.enter_context(replaced(NAME, on_the_server, {"_declare_gen": begins, "_fetch_gen": goes_on}))
            stack.enter_context(replaced(NAME, module.Copy, {"finish": _copied(last)}))
            stack.enter_context(replaced(NAME, module.AsyncCopy, {"finish": _copied_async(last)}))
            yield


def _beginning(last: "WeakKeyDictionary[Any, SentStatement]") -> Callable[[DriverMethod], DriverMethod]:
    """A generator that sends a statement; `last` is the one of each cursor."""

    def hook(method: DriverMethod) -> DriverMethod:
        def begins(self: Any, query: Any, *args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            statement = last[self] = sent(_text(self, query))
            sending: Generator[Any, Any, Any] = method(self, query, *args, **kwargs)
            with statement.waiting():
                answer = yield from sending
            # With `$1` in place of `%s`, as the server has it.
            statement.planned = _DECLARED.sub("", _decoded(getattr(getattr(self, "_query", None), "query", "")))
            return answer

        return begins

    return hook


def _going_on(last: "WeakKeyDictionary[Any, SentStatement]") -> Callable[[DriverMethod], DriverMethod]:
    """A generator that gets further rows of it: a list of them, or a result, or None at the end."""

    def hook(method: DriverMethod) -> DriverMethod:
        def goes_on(self: Any, *args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            statement = last.get(self) or SentStatement("")
            getting: Generator[Any, Any, Any] = method(self, *args, **kwargs)
            with statement.waiting():
                answer = yield from getting
            if answer is not None:
                statement.add_rows(answer.ntuples if hasattr(answer, "ntuples") else len(answer))
            return answer

        return goes_on

    return hook


def _answered(last: "WeakKeyDictionary[Any, SentStatement]") -> Callable[[DriverMethod], DriverMethod]:
    """Called with the results of whatever was executed, in a pipeline later."""

    def hook(method: DriverMethod) -> DriverMethod:
        def answered(self: Any, results: Any) -> Any:
            if statement := last.get(self):
                statement.add_rows(sum(each.ntuples or each.command_tuples or 0 for each in results))
            return method(self, results)

        return answered

    return hook


def _copied(last: "WeakKeyDictionary[Any, SentStatement]") -> Callable[[DriverMethod], DriverMethod]:
    def hook(method: DriverMethod) -> DriverMethod:
        def copied(self: Any, *args: Any, **kwargs: Any) -> Any:
            statement = last.get(self.cursor) or SentStatement("")
            with statement.waiting():
                answer = method(self, *args, **kwargs)
            statement.rows = _copied_rows(self.cursor)
            return answer

        return copied

    return hook


def _copied_async(last: "WeakKeyDictionary[Any, SentStatement]") -> Callable[[DriverMethod], DriverMethod]:
    def hook(method: DriverMethod) -> DriverMethod:
        async def copied(self: Any, *args: Any, **kwargs: Any) -> Any:
            statement = last.get(self.cursor) or SentStatement("")
            with statement.waiting():
                answer = await method(self, *args, **kwargs)
            statement.rows = _copied_rows(self.cursor)
            return answer

        return copied

    return hook


def _copied_rows(cursor: Any) -> int:
    """Out of the database it is the cursor's own count, into it the server's last word."""
    return cursor.rowcount if cursor.rowcount > 0 else sum(each.command_tuples or 0 for each in cursor._results)  # noqa: SLF001


def _text(cursor: Any, query: Any) -> str:
    """It may be composed of parts, which know how they are written for a connection."""
    if isinstance(query, str | bytes):
        return _decoded(query)
    write = getattr(query, "as_string", None)
    return str(write(cursor)) if write else str(query)


def _decoded(text: str | bytes) -> str:
    return text.decode(errors="replace") if isinstance(text, bytes) else text
