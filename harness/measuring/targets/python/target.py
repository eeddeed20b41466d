"""A Python class in this process. What it does not have is not told, and never 0."""

import inspect
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import replace
from time import perf_counter
from typing import Any, Final, cast

import asyncpg
import click

from harness.errors import TargetError, UsageError, kind_of
from harness.measuring import drivers, own_database
from harness.measuring.connections import connected
from harness.measuring.drivers._shared.telling import SentStatement
from harness.measuring.operations import Request
from harness.measuring.plans import ACCESS_METHODS, EXPLAIN, EXPLAIN_EXECUTED, StatementPlan, read_plan
from harness.measuring.sql_texts import NAMED, shape, shortened
from harness.measuring.targets.protocol import Response, TargetContext, TargetStatistics, nothing_shared
from harness.measuring.targets.python.scenario import EXACT, OPERATION, PythonScenario, find_class

BLOCKED_S: Final = 0.01
"""How long a method may keep everybody else from going on."""
BLOCKED_SHARE: Final = 0.5
"""Of its requests: a busy machine holds up one or another as well."""

NAME_LENGTH: Final = 60
"""Of a statement that has no name of its own."""


class PythonTarget:
    """Each variant is an object of its own; those that migrate alike share a database."""

    in_process = True
    embedder = None

    def __init__(self, scenario: PythonScenario) -> None:
        self._scenario = scenario
        self._class = find_class(scenario.target, scenario.directory)
        self._versions = own_database.Versions(scenario)
        self._apart = tuple(scenario.variants) if _takes_variant(self._class) else ()
        """Those that have a database each, since the class fills it by the variant's name."""

    @property
    def packages(self) -> frozenset[str]:
        return frozenset({"harness", self._class.__module__.partition(".")[0]})

    def variants(self) -> Mapping[str, str]:
        return {name: each.description for name, each in self._scenario.variants.items()}

    def schema_version(self, variant: str) -> int:
        """What `schema` and `seed` make is followed by the class's own `prepare`."""
        return self._apart.index(variant) if self._apart else self._versions.of(variant)

    @property
    def contents(self) -> str:
        return f"what {self._class.__name__} needs"

    async def prepare(self, database_url: str, schema_version: int) -> None:
        await self._versions.prepare(database_url, self._made_by(schema_version))
        if prepare := getattr(self._class(), "prepare", None):
            await prepare(database_url, *self._apart[schema_version : schema_version + 1])
        await self.migrate(database_url, schema_version)

    def base_of(self, schema_version: int, made: Collection[int]) -> int | None:
        return None if self._apart else self._versions.base_of(schema_version, made)

    async def migrate(self, database_url: str, schema_version: int) -> None:
        await self._versions.migrate(database_url, self._made_by(schema_version))

    def _made_by(self, schema_version: int) -> int:
        """The number of the scripts that the version is made by."""
        return self._versions.of(self._apart[schema_version]) if self._apart else schema_version

    shared = staticmethod(nothing_shared)

    @asynccontextmanager
    async def open(self, context: TargetContext) -> AsyncGenerator["OpenPython"]:
        await own_database.set_in(context.database_url, self._scenario.variants[context.variant].settings)
        own = self._class()
        opened = OpenPython(own, self._scenario, context)
        try:
            with drivers.told_to(opened.hear):
                await opened.open()
                try:
                    yield opened
                finally:
                    await own.close()
        finally:
            for warning in opened.warnings:
                click.echo(f"warning: {context.variant}: {warning}", err=True)


class OpenPython:
    def __init__(self, own: Any, scenario: PythonScenario, context: TargetContext) -> None:  # noqa: ANN401 -- somebody's own
        self._own = own
        self._database_url = context.database_url
        given = {"url": context.database_url, "users": context.users, "variant": context.variant}
        takes = inspect.signature(own.open).parameters
        self._given = {name: value for name, value in given.items() if name in takes}
        self._methods: Mapping[str, Callable[..., Coroutine[Any, Any, object]]] = {
            name: getattr(own, name) for name in scenario.operations
        }
        self._by_number = {
            name: isinstance(operation.arguments, tuple) for name, operation in scenario.operations.items()
        }
        self._sent: ContextVar[list[SentStatement] | None] = ContextVar("_sent", default=None)
        """By the request of the context, or by what it was opened in."""
        self._is_told = False
        self._performed: Counter[str] = Counter()
        self._blocked: Counter[str] = Counter()

    async def open(self) -> None:
        with self.sending([]):
            await self._own.open(**self._given)

    async def reconnect(self) -> None:
        """As its class opens what it has closed; what it cannot close any more is gone."""
        with suppress(Exception):
            await self._own.close()
        await self.open()

    async def perform(self, request: Request) -> Response:
        """What the method returns is its own, unless it is a `Response`."""
        method = self._methods.get(request.operation)
        if method is None:
            raise TargetError("refused", f"There is no operation {request.operation!r}.")
        drivers.HOOKS.hook_imported()
        steps = _Steps(self._called(method, request))
        sent: list[SentStatement] = []
        try:
            with self.sending(sent):
                answer = await steps
        except TargetError:
            raise
        except Exception as error:
            raise TargetError(error_class(error), f"{request.operation}: {error}") from error
        finally:
            self._performed[request.operation] += 1
            self._blocked[request.operation] += steps.longest_s > BLOCKED_S
        counted = _as_counted(sent) if self._is_told else Response()
        return _completed(answer, counted) if isinstance(answer, Response) else counted

    @contextmanager
    def sending(self, sent: list[SentStatement]) -> Generator[None]:
        """Keeps what is sent within the block, and by what it has begun."""
        token = self._sent.set(sent)
        try:
            yield
        finally:
            self._sent.reset(token)

    def hear(self, statement: SentStatement) -> None:
        """Until the class has sent one, nobody knows whether it uses what tells; others are the harness's."""
        if (sent := self._sent.get()) is not None:
            self._is_told = True
            sent.append(statement)

    @property
    def warnings(self) -> Sequence[str]:
        """Says which methods held up all others, and whose statements nobody counts."""
        hidden = () if self._is_told or not self._performed else drivers.hidden()
        return [
            *(f"{each}, so `statements` is not told; `statements_per_op` is, by the server." for each in hidden),
            *(
                self._blocking(name)
                for name, count in self._performed.items()
                if self._blocked[name] > count * BLOCKED_SHARE
            ),
        ]

    def _blocking(self, name: str) -> str:
        return (
            f"{name} blocked the event loop for more than {BLOCKED_S * 1000:g} ms in {self._blocked[name]} of "
            f"{self._performed[name]} requests, so all users waited for one. Await what it waits for, or use "
            "asyncio.to_thread."
        )

    async def prime(self, texts: Sequence[str]) -> None:
        """Knows of no texts."""

    async def drain(self) -> None:
        if drain := getattr(self._own, "drain", None):
            await drain()

    async def statistics(self) -> TargetStatistics:
        """Says what its `statistics` counts, as the state of a pool."""
        statistics = getattr(self._own, "statistics", None)
        return TargetStatistics(pool=dict(await statistics()) if statistics else {})

    def levels(self) -> Mapping[str, float]:
        return {}

    async def plans(self, *, executed: bool = False) -> tuple[StatementPlan, ...]:
        """Of what its `plans` names: a statement, or a statement with the values of its placeholders."""
        if (tell := getattr(self._own, "plans", None)) is None:
            return ()
        stated: Mapping[str, str | Sequence[Any]] = await tell()
        async with connected(self._database_url) as connection:
            kinds = {each["index"]: each["access_method"] for each in await connection.fetch(ACCESS_METHODS)}
            return tuple(
                [
                    read_plan(name, await _explained(connection, name, statement, executed=executed), kinds)
                    for name, statement in stated.items()
                ]
            )

    async def recalls(self, queries: Sequence[Request]) -> tuple[float, ...]:
        """Of those of which `exact` finds anything. Raises `UsageError` where a method does not say what it found."""
        return tuple([share for each in queries if (share := await self._recall(each)) is not None])

    async def _recall(self, request: Request) -> float | None:
        exact: Callable[..., Coroutine[Any, Any, object]] | None = getattr(self._own, EXACT, None)
        if exact is None:
            return None
        found = _as_found(request.operation, await self._called(self._methods[request.operation], request))
        named = {OPERATION: request.operation} if OPERATION in inspect.signature(exact).parameters else {}
        wanted = _as_found(EXACT, await self._called(exact, request, **named))
        return sum(each in found for each in wanted) / len(wanted) if wanted else None

    def _called(
        self, method: Callable[..., Coroutine[Any, Any, object]], request: Request, **named: str
    ) -> Coroutine[Any, Any, object]:
        values = request.arguments
        by_number = self._by_number[request.operation]
        return method(*values.values(), **named) if by_number else method(**values, **named)

    async def report_statistics(self) -> bool:
        """Its sessions are its own."""
        return False


def _as_counted(sent: Sequence[SentStatement]) -> Response:
    """Statements by the name in their comment, else by what they say."""
    elapsed_s = defaultdict[str, float](float)
    calls = Counter[str]()
    for each in sent:
        stated = NAMED.search(each.text)
        name = stated[1] if stated else shortened(shape(each.text), NAME_LENGTH)
        elapsed_s[name] += each.elapsed_s
        calls[name] += 1
    rows = [each.rows for each in sent if each.rows is not None]
    return Response(
        statements=len(sent),
        rows=sum(rows) if len(rows) == len(sent) else None,
        elapsed_s=dict(elapsed_s),
        calls=dict(calls),
    )


def _completed(own: Response, counted: Response) -> Response:
    """What a method says itself goes before what its driver told."""
    return replace(
        own,
        statements=counted.statements if own.statements is None else own.statements,
        rows=counted.rows if own.rows is None else own.rows,
        elapsed_s=own.elapsed_s or counted.elapsed_s,
        calls=own.calls or counted.calls,
    )


def _takes_variant(target: type) -> bool:
    """Whether its `prepare` fills a database for each variant."""
    prepare = getattr(target, "prepare", None)
    return prepare is not None and "variant" in inspect.signature(prepare).parameters


def _as_found(method: str, returned: object) -> Sequence[object]:
    match returned:
        case list() | tuple() | set() | frozenset():
            return list(cast("Collection[object]", returned))
        case _:
            raise UsageError(
                f"{method} returned {type(returned).__name__}: for a budget on recall it has to return a list of what "
                "it found, such as ids, which is held against that of an exact search."
            )


async def _explained(
    connection: "asyncpg.Connection[asyncpg.Record]", name: str, stated: str | Sequence[Any], *, executed: bool
) -> str:
    """Raises `UsageError` for what the server does not plan."""
    statement, *values = (stated,) if isinstance(stated, str) else tuple(stated)
    transaction = connection.transaction()
    await transaction.start()
    try:
        explained: str = await connection.fetchval((EXPLAIN_EXECUTED if executed else EXPLAIN) + statement, *values)
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise UsageError(f"plans: {name} cannot be planned: {error}.") from error
    finally:
        await transaction.rollback()
    return explained


class _Steps:
    """A coroutine that knows how long its longest step from one wait to the next took."""

    def __init__(self, coroutine: Coroutine[Any, Any, object]) -> None:
        self._coroutine = coroutine
        self.longest_s = 0.0

    def __await__(self) -> Generator[Any, Any, object]:
        waiting = self._coroutine.__await__()
        step: Callable[[], Any] = lambda: next(waiting)  # noqa: E731 -- the first of several
        while True:
            begun = perf_counter()
            try:
                awaited = step()
            except StopIteration as ended:
                return ended.value
            finally:
                self.longest_s = max(self.longest_s, perf_counter() - begun)
            try:
                yield awaited
            except BaseException as error:  # noqa: BLE001 -- such as that it is cancelled, which it is to know
                step = _throwing(waiting, error)
            else:
                step = lambda: next(waiting)  # noqa: E731 -- asyncio sends nothing


def _throwing(waiting: Generator[Any, Any, object], error: BaseException) -> Callable[[], Any]:
    return lambda: waiting.throw(error)


def error_class(error: BaseException) -> str:
    """In words that every target uses, and else the name of its class."""
    match error:
        case AssertionError():
            return "wrong answer"
        case TimeoutError():
            return "timeout"
        case ConnectionError():
            return "broken connection"
        case _:
            return kind_of(error)
