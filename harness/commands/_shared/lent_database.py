"""The PostgreSQL that the fixture `budget_database` lends: one server for the session, and a database for each test.

Its side of it runs in a thread with an event loop of its own, since a test may have one, another one or none.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from harness.measuring.drivers._shared.telling import own_context
from harness.measuring.plans import ACCESS_METHODS, EXPLAIN, read_plan
from harness.measuring.probes import database_counters, write_ahead_log
from harness.measuring.servers.provisioners._shared.databases import connected
from harness.measuring.servers.provisioners.protocol import Server
from harness.record import PlanRecord, PlanStep

T = TypeVar("T")

SETTINGS: Final = {
    # A test's data need not survive a power failure.
    "fsync": "off",
    "synchronous_commit": "off",
    # The server writes ahead what the test changes, and nothing by itself.
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "checkpoint_timeout": "1d",
    "max_wal_size": "8GB",
}
TEMPLATE: Final = "template_of_tests"
EXPLAIN_ANY_VALUES: Final = "EXPLAIN (GENERIC_PLAN, FORMAT JSON) "
FLUSH: Final = "SELECT pg_stat_force_next_flush()"
"""Has a session report what it has done when its statement ends; otherwise it may take ten seconds."""

UNREPORTED: Final = (
    "the sessions of the test were not made to report it: that is possible where connections of asyncpg are watched "
    "and calls are awaited"
)


class RunInLoop(Protocol):
    """Runs a coroutine in the loop of the server's thread, and gives its result."""

    def __call__(self, work: Coroutine[Any, Any, T], /) -> T: ...


@dataclass(frozen=True, slots=True)
class LentDatabase:
    """A database that is empty but for the project's own schema, and nobody's but the test's."""

    url: str
    _server: Server = field(repr=False)
    _full_url: str = field(repr=False)
    _run: RunInLoop = field(repr=False)

    def counters(self) -> Mapping[str, float]:
        """Says what probes of a run would count, by their names."""
        return self._run(self._counters())

    async def _counters(self) -> Mapping[str, float]:
        async with connected(self._server.admin_url) as connection:
            ahead = await connection.fetchrow(write_ahead_log.READ)
            touched = await connection.fetchrow(database_counters.READ, urlsplit(self.url).path[1:])
        assert ahead is not None
        return {"wal_bytes": float(ahead["bytes"]), **{name: float(n) for name, n in dict(touched or {}).items()}}

    def plan(self, call: str, queries: Mapping[str, tuple[object, ...]]) -> PlanRecord | None:
        """Says how the server would execute these statements, as one plan of the call; None where it explains none."""
        return self._run(self._plan(call, queries))

    async def _plan(self, call: str, queries: Mapping[str, tuple[object, ...]]) -> PlanRecord | None:
        async with connected(self._full_url) as connection:
            kinds = dict(await connection.fetch(ACCESS_METHODS))
            explained = [await _explained(connection, query, values) for query, values in queries.items()]
        plans = [read_plan(call, each, kinds).record for each in explained if each is not None]
        if not plans:
            return None
        return PlanRecord(
            statement=call,
            indexes=tuple(sorted({index for plan in plans for index in plan.indexes})),
            scans=tuple(sorted({table for plan in plans for table in plan.scans})),
            root=PlanStep(node_type=call, steps=tuple(plan.root for plan in plans if plan.root)),
        )


async def _explained(connection: "asyncpg.Connection[Any]", query: str, values: tuple[object, ...]) -> str | None:
    """With the values of its first execution where they can be sent here, else for any; None for what has no plan."""
    for explain, sent in ((EXPLAIN, values), (EXPLAIN_ANY_VALUES, ())):
        try:
            return str(await connection.fetchval(explain + query, *sent))
        except (asyncpg.PostgresError, asyncpg.InterfaceError):
            continue
    return None


@dataclass(frozen=True, slots=True)
class LentServer:
    """The server of a session, whose template every test's database is a copy of."""

    _server: Server
    _run: RunInLoop
    _numbers: "count[int]" = field(default_factory=count)

    @contextmanager
    def database(self) -> Generator[LentDatabase]:
        """It is gone with the block, and its connections with it."""
        name = f"test_{next(self._numbers)}"
        url = self._run(self._server.clone_database(TEMPLATE, name))
        try:
            yield LentDatabase(_plain(url), self._server, url, self._run)
        finally:
            self._run(self._server.drop_database(name))


@contextmanager
def lent_server(schema: Callable[[str], object] | None) -> Generator[LentServer]:
    """`schema` is given the URL of the template, and makes there what every test finds. Raises `ProvisioningError`."""
    from harness.measuring.servers.provisioners.embedded import EmbeddedProvisioner  # noqa: PLC0415 -- an extra

    with ThreadPoolExecutor(1) as thread, asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:

        def run(work: Coroutine[Any, Any, T], /) -> T:
            return thread.submit(lambda: runner.run(work, context=own_context())).result()

        stack = AsyncExitStack()
        try:
            server = run(stack.enter_async_context(EmbeddedProvisioner().start(SETTINGS)))
            template = run(server.create_database(TEMPLATE))
            if schema is not None:
                schema(_plain(template))
            yield LentServer(server, run)
        finally:
            run(stack.aclose())


def _plain(url: str) -> str:
    """Without parameters, which drivers spell in different ways."""
    return urlunsplit(urlsplit(url)._replace(query=""))
