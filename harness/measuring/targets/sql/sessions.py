"""One user's connection: a variant's statements, prepared on it, and their arguments, bound as PostgreSQL has them."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any, Final

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement

from harness.errors import TargetError, UsageError
from harness.measuring import exchanges
from harness.measuring.statements import count
from harness.measuring.targets.sql.queries import OwnStatement
from harness.measuring.targets.sql.scenario import ExpectedRows
from harness.measuring.values.protocol import Plain

_INTEGERS: Final = frozenset({"int2", "int4", "int8", "oid"})
_TEXTS: Final = frozenset({"text", "varchar", "bpchar", "name", "char", "unknown"})
_NATIVE: Final = _INTEGERS | _TEXTS | {"float4", "float8", "bool"}
"""What the driver takes from JSON as it is. Everything else goes as text, which the server reads as a literal."""

_CHANGED: Final = re.compile(r"(\d+)$")
"""At the end of a command's tag: how many rows it sent or changed."""

WITHOUT_INDEXES: Final = (
    "SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off; SET LOCAL enable_bitmapscan = off; "
    "SET LOCAL enable_seqscan = on; SET LOCAL enable_sort = on; SET LOCAL plan_cache_mode = force_custom_plan"
)
"""Has the server read all rows; what was planned before is planned again."""

NO_TIMEOUT: Final = "SET LOCAL statement_timeout = 0"
"""A variant's timeout is for what is measured: on a busy machine preparing it may take longer."""

WRONG: Final = "wrong answer"
"""The class of an error that the database does not know of."""

_CONFLICTS: Final = (asyncpg.IntegrityConstraintViolationError, asyncpg.TransactionRollbackError)
_TIMEOUTS: Final = (asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError, TimeoutError)
_BROKEN: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.InterfaceError,
    asyncpg.TargetServerAttributeNotMatched,
    OSError,
)

FAILURES: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.TargetServerAttributeNotMatched,
    OSError,
    TimeoutError,
)


class OwnSession:
    """A connection that is opened again where the one before is lost, with everything prepared on it."""

    def __init__(
        self,
        database_url: str,
        operations: Mapping[str, Sequence[OwnStatement]],
        expected: Mapping[str, ExpectedRows],
        settings: Mapping[str, str],
    ) -> None:
        self._database_url = database_url
        self._operations = operations
        self._expected = expected
        self._settings = settings
        self._connection: asyncpg.Connection | None = None
        self._prepared: dict[str, PreparedStatement] = {}

    @property
    def connection(self) -> asyncpg.Connection:
        assert self._connection is not None, "it is open while it is used"
        return self._connection

    async def open(self) -> None:
        """Raises `UsageError` for a statement that does not prepare, and for a setting that is not known."""
        try:
            self._connection = await asyncpg.connect(self._database_url, server_settings=dict(self._settings))
        except (asyncpg.CantChangeRuntimeParamError, asyncpg.UndefinedObjectError, asyncpg.DataError) as error:
            raise UsageError(f"settings of a variant: {error}.") from None
        statements = [statement for each in self._operations.values() for statement in each]
        async with self._connection.transaction():
            await self._connection.execute(NO_TIMEOUT)
            await _take_text(self._connection, [await _prepare(self._connection, each) for each in statements])
            self._prepared = {each.name: await _prepare(self._connection, each) for each in statements}
        for name in self._operations:
            self._check_columns(name)

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def reopen(self) -> None:
        """Opens a connection that the server has ended, which need not be known here. Raises as `open` does."""
        self.connection.terminate()
        await self.open()

    async def perform(self, operation: str, arguments: Mapping[str, Plain]) -> int:
        """Returns how many rows came back. Raises `TargetError`; several statements are one transaction."""
        try:
            if self.connection.is_closed():
                await self.open()
            statements = self._operations[operation]
            if len(statements) == 1:
                rows = [await self._send(statements[0], arguments)]
                self._check_rows(operation, rows)
                return sum(rows)
            await self._control("begin")
            try:
                rows = [await self._send(statement, arguments) for statement in statements]
                self._check_rows(operation, rows)
            except (asyncpg.PostgresError, TargetError):
                await self._control("rollback")
                raise
            except BaseException:
                self.connection.terminate()  # Nobody knows how far it came: the server rolls it back.
                raise
            await self._control("commit")
        except FAILURES as error:
            raise TargetError(error_class(error), f"{operation}: {error}") from error
        return sum(rows)

    def returns_rows(self, operation: str) -> bool:
        """Says whether its last statement is one that does."""
        return bool(self._prepared[self._operations[operation][-1].name].get_attributes())

    def _check_columns(self, operation: str) -> None:
        """Raises `UsageError` where the last statement has others than are expected, since it always has these."""
        wanted = self._expected[operation].columns
        last = self._operations[operation][-1]
        found = tuple(each.name for each in self._prepared[last.name].get_attributes())
        if wanted is not None and found != wanted:
            raise UsageError(
                f"operations.{operation}.expect.columns: {last.name} returns {', '.join(found) or 'no columns'} "
                f"instead of {', '.join(wanted) or 'none'}. Correct the one or the other."
            )

    def _check_rows(self, operation: str, rows: Sequence[int]) -> None:
        """Raises `TargetError` for another number of rows than is expected."""
        wanted = self._expected[operation].rows
        if wanted is not None and rows[-1] != wanted:
            raise TargetError(WRONG, f"{operation}: {rows[-1]} rows came back instead of {wanted}")

    async def _send(self, statement: OwnStatement, arguments: Mapping[str, Plain]) -> int:
        prepared = self._prepared[statement.name]
        exchanges.sent(lambda: statement.written)
        begun = perf_counter()
        rows = await prepared.fetch(*self.bound(statement, arguments))
        tag = _CHANGED.search(prepared.get_statusmsg() or "")
        count(statement.name, elapsed_s=perf_counter() - begun, rows=int(tag[1]) if tag else len(rows), control=False)
        exchanges.came_back(lambda: _first_of(rows) or str(prepared.get_statusmsg()))
        return len(rows)

    async def recall(self, statement: OwnStatement, arguments: Mapping[str, Plain]) -> float | None:
        """The share of the rows that it finds without indexes which it finds as it is; None where there are none."""
        prepared, bound = self._prepared[statement.name], self.bound(statement, arguments)
        if self.connection.is_closed():
            await self.open()
        async with self.connection.transaction(readonly=True):
            own = Counter(map(_as_text, await prepared.fetch(*bound)))
            await self.connection.execute(WITHOUT_INDEXES)
            exact = Counter(map(_as_text, await prepared.fetch(*bound)))
        return (own & exact).total() / exact.total() if exact else None

    async def _control(self, command: str) -> None:
        begun = perf_counter()
        await self.connection.execute(command)
        count(command, elapsed_s=perf_counter() - begun, rows=0, control=True)

    def bound(self, statement: OwnStatement, arguments: Mapping[str, Plain]) -> list[Any]:
        """The arguments of a statement in its order. Raises `TargetError` for one that its type does not take."""
        types = self._prepared[statement.name].get_parameters()
        return [
            _as_type(arguments[name], type_.name, f"{statement.name}: {name}")
            for name, type_ in zip(statement.arguments, types, strict=True)
        ]


async def _prepare(connection: asyncpg.Connection, statement: OwnStatement) -> PreparedStatement:
    try:
        return await connection.prepare(statement.sql)
    except asyncpg.PostgresError as error:
        raise UsageError(unprepared(statement, error)) from None


def unprepared(statement: OwnStatement, error: asyncpg.PostgresError) -> str:
    """The server's words, and where in the statement they point to."""
    said = f"{statement.name} does not prepare: {error.args[0]}."
    position = getattr(error, "position", None)
    hint = getattr(error, "hint", None)
    if "multiple commands" in said:
        hint = "Make it a list, which is one transaction."
    shown = f"\n{statement.pointed_at(int(position))}" if position else ""
    return f"{said}{f' {hint}' if hint else ''}{shown}"


async def _take_text(connection: asyncpg.Connection, prepared: Sequence[PreparedStatement]) -> None:
    """Has the server read what JSON has no type for, such as a date, as it reads a literal of it."""
    types = {
        (type_.schema, type_.name.removesuffix("[]"))
        for each in prepared
        for type_ in each.get_parameters()
        if type_.name.removesuffix("[]") not in _NATIVE and type_.kind in {"scalar", "array"}
    }
    for schema, name in sorted(types):
        await connection.set_type_codec(name, schema=schema, encoder=_literal, decoder=str, format="text")


def _as_text(row: "asyncpg.Record") -> str:
    """All of its values, of which an array cannot be counted as it is."""
    return repr(tuple(row))


def _first_of(rows: "Sequence[asyncpg.Record]") -> str:
    """Empty without rows."""
    return json.dumps(dict(rows[0]), default=str, ensure_ascii=False) if rows else ""


def _literal(value: Plain) -> str:
    match value:
        case str():
            return value
        case _:
            return json.dumps(value)


def _as_type(value: Plain, type_name: str, place: str) -> Any:  # noqa: ANN401 -- as the driver has it
    try:
        match value:
            case None:
                return None
            case list() if type_name.endswith("[]"):
                return [_as_type(each, type_name.removesuffix("[]"), place) for each in value]  # pyright: ignore[reportUnknownVariableType]
            case _ if type_name in _TEXTS:
                return _literal(value)
            case str() if type_name in _INTEGERS:
                return int(value)
            case str() if type_name in {"float4", "float8"}:
                return float(value)
            case _:
                return value
    except ValueError:
        raise TargetError("refused", f"{place} takes {type_name}, and {value!r} is none.") from None


def error_class(error: BaseException) -> str:
    """Says what kind of failure it is, in words that every target uses."""
    if isinstance(error, _CONFLICTS):
        return "conflict"
    if isinstance(error, _TIMEOUTS):
        return "timeout"
    if isinstance(error, _BROKEN) and not isinstance(error, asyncpg.DataError):
        return "broken connection"
    return "refused"
