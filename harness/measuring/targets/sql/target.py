"""SQL statements from this process, on one connection for each user."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import asyncpg
import click

from harness.errors import HarnessError, TargetError, UsageError
from harness.measuring import own_database
from harness.measuring.operations import Request
from harness.measuring.plans import ACCESS_METHODS, EXPLAIN, EXPLAIN_EXECUTED, StatementPlan, read_plan
from harness.measuring.statements import counting
from harness.measuring.targets.protocol import Response, TargetContext, TargetStatistics, nothing_shared
from harness.measuring.targets.sql.queries import OwnStatement
from harness.measuring.targets.sql.scenario import PLANNED, SqlScenario
from harness.measuring.targets.sql.sessions import FAILURES, OwnSession

REPORT_STATISTICS: Final = "SELECT pg_stat_force_next_flush()"
OPENED_AT_ONCE: Final = 20
"""More connections at the same time only wait for each other at the server."""


class SqlTarget:
    """Each variant is what the scenario says of it; those that migrate alike share a database."""

    in_process = True
    packages = frozenset({"harness"})
    embedder = None

    def __init__(self, scenario: SqlScenario) -> None:
        self._scenario = scenario
        self._warned: set[tuple[str, str]] = set()
        self._versions = own_database.Versions(scenario)

    def variants(self) -> Mapping[str, str]:
        return {name: each.description for name, each in self._scenario.variants.items()}

    def schema_version(self, variant: str) -> int:
        return self._versions.of(variant)

    @property
    def contents(self) -> str:
        return self._versions.contents

    async def prepare(self, database_url: str, schema_version: int) -> None:
        await self._versions.prepare(database_url, schema_version)
        await self.migrate(database_url, schema_version)

    def base_of(self, schema_version: int, made: Collection[int]) -> int | None:
        return self._versions.base_of(schema_version, made)

    async def migrate(self, database_url: str, schema_version: int) -> None:
        """All that is known of a mistake in a statement is told here, before anything is measured."""
        await self._versions.migrate(database_url, schema_version)
        for variant in self._scenario.variants:
            if self.schema_version(variant) == schema_version:
                session = self._session(variant, database_url)
                try:
                    await session.open()
                finally:
                    await session.close()

    def _session(self, variant: str, database_url: str) -> OwnSession:
        settings = self._scenario.variants[variant].settings
        expected = {name: operation.expect for name, operation in self._scenario.operations.items()}
        return OwnSession(database_url, self._scenario.statements(variant), expected, settings)

    shared = staticmethod(nothing_shared)

    @asynccontextmanager
    async def open(self, context: TargetContext) -> AsyncGenerator["OpenSql"]:
        sessions = [self._session(context.variant, context.database_url) for _ in range(context.users)]
        side_by_side = asyncio.Semaphore(OPENED_AT_ONCE)

        async def opened(session: OwnSession) -> None:
            async with side_by_side:
                await session.open()

        async with AsyncExitStack() as stack:
            for session in sessions:
                stack.push_async_callback(session.close)
            async with asyncio.TaskGroup() as group:
                for session in sessions:
                    group.create_task(opened(session))
            answering = OpenSql(sessions, self._scenario.statements(context.variant))
            yield answering
            for operation, warning in answering.warnings.items():
                if (context.variant, operation) not in self._warned:
                    self._warned.add((context.variant, operation))
                    click.echo(f"warning: {context.variant}: {warning}", err=True)


class OpenSql:
    """Whoever asks takes a session that is free, and waits only where there are more who ask than users."""

    def __init__(self, sessions: Sequence[OwnSession], operations: Mapping[str, Sequence[OwnStatement]]) -> None:
        self._sessions = sessions
        self._operations = operations
        self._free: asyncio.LifoQueue[OwnSession] = asyncio.LifoQueue()
        for session in sessions:
            self._free.put_nowait(session)
        self._first: dict[str, Mapping[str, object]] = {}
        self._answered: Counter[str] = Counter()
        self._found: set[str] = set()

    async def perform(self, request: Request) -> Response:
        if request.operation not in self._operations:
            raise TargetError("refused", f"There is no operation {request.operation!r}.")
        self._first.setdefault(request.operation, request.arguments)
        session = await self._free.get()
        try:
            with counting() as counted:
                results = await session.perform(request.operation, request.arguments)
        finally:
            self._free.put_nowait(session)
        self._answered[request.operation] += 1
        if results or not session.returns_rows(request.operation):
            self._found.add(request.operation)
        return Response(
            statements=counted.statements,
            round_trips=counted.round_trips,
            rows=counted.rows,
            results=results,
            elapsed_s=counted.elapsed_s,
            calls=counted.calls,
        )

    @property
    def warnings(self) -> Mapping[str, str]:
        """By the operations that never found anything, what that means."""
        return {
            name: f"{name} returned no row in any of {number} requests: what is measured is a search for what is not "
            "there. Draw its arguments from what the tables hold."
            for name, number in self._answered.items()
            if name not in self._found
        }

    async def prime(self, texts: Sequence[str]) -> None:
        """Has no cache."""

    async def drain(self) -> None:
        """Accepts no work that goes on."""

    async def reconnect(self) -> None:
        """Raises `HarnessError`."""
        try:
            for session in self._sessions:
                await session.reopen()
        except FAILURES as error:
            raise HarnessError(f"No connection could be opened again: {error}.") from error

    async def statistics(self) -> TargetStatistics:
        return TargetStatistics()

    def levels(self) -> Mapping[str, float]:
        return {}

    async def plans(self, *, executed: bool = False) -> tuple[StatementPlan, ...]:
        session = await self._free.get()
        try:
            kinds = {each["index"]: each["access_method"] for each in await session.connection.fetch(ACCESS_METHODS)}
            return tuple(
                [
                    plan
                    for operation in self._operations
                    if operation in self._first
                    for plan in await self._plans_of(session, operation, kinds, executed=executed)
                ]
            )
        finally:
            self._free.put_nowait(session)

    async def _plans_of(
        self, session: OwnSession, operation: str, kinds: Mapping[str, str], *, executed: bool
    ) -> Sequence[StatementPlan]:
        """In one transaction, as they are sent, since a later one may depend on an earlier one."""
        transaction = session.connection.transaction()
        await transaction.start()
        try:
            return [
                read_plan(
                    statement.name,
                    await session.connection.fetchval(
                        (EXPLAIN_EXECUTED if executed else EXPLAIN) + statement.sql,
                        *session.bound(statement, self._first[operation]),
                    ),
                    kinds,
                )
                for statement in self._operations[operation]
                if PLANNED.match(statement.sql)
            ]
        except asyncpg.PostgresError as error:
            raise UsageError(f"{operation} cannot be planned: {error}.") from error
        finally:
            await transaction.rollback()

    async def recalls(self, queries: Sequence[Request]) -> tuple[float, ...]:
        """Of those that find anything without indexes, by the same statement. Raises `UsageError`."""
        if not queries:
            return ()
        session = await self._free.get()
        try:
            found = [await session.recall(self._operations[each.operation][0], each.arguments) for each in queries]
        except FAILURES as error:
            raise UsageError(f"{queries[0].operation} cannot be searched exactly: {error}.") from error
        finally:
            self._free.put_nowait(session)
        return tuple(share for share in found if share is not None)

    async def report_statistics(self) -> bool:
        try:
            for session in self._sessions:
                if not session.connection.is_closed():
                    await session.connection.execute(REPORT_STATISTICS)
        except FAILURES:
            return False
        return True
