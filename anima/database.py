"""The pool, its codecs, and the narrow statement runner that all SQL goes through."""

import asyncio
import logging
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from time import monotonic, perf_counter
from typing import Any, Final, Protocol, TypeAlias, TypeVar
from urllib.parse import urlsplit

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from pgvector.asyncpg import register_vector

from anima.errors import DatabaseBusy, DatabaseConflict, DatabaseUnavailable
from anima.spending import spend, spending

Row: TypeAlias = asyncpg.Record
Result = TypeVar("Result")

WAITING_UNNOTICED_MAX: Final = 5
WARNING_INTERVAL_S: Final = 60.0

logger = logging.getLogger(__name__)

FAREWELL: Final = asyncpg.InternalClientError
"""What asyncpg raises for a connection that is used when the server's farewell has arrived and is not read yet."""

UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    FAREWELL,
    asyncpg.InsufficientResourcesError,  # The disk or memory is full, or all connections are taken.
    asyncpg.OperatorInterventionError,  # The server starts or stops, or somebody there ended the statement.
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)

REACH_VECTOR = """
    SELECT
        nspname AS schema,
        CASE WHEN nspname <> ALL (current_schemas(true)) THEN set_config(
            'search_path', concat_ws(', ', nullif(current_setting('search_path'), ''), quote_ident(nspname)), false
        ) END
    FROM pg_extension JOIN pg_namespace AS n ON n.oid = extnamespace
    WHERE extname = 'vector'
"""


RETRIED = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.AdminShutdownError,
    FAREWELL,
    ConnectionError,
)
"""Another transaction won, or the connection was lost. A time limit is not among them: more load would not help."""


REPORT_STATISTICS = "SELECT pg_stat_force_next_flush()"


LEARN_ARRAYS = """
    SELECT NULL::uuid[], NULL::int[], NULL::bigint[], NULL::bytea[], NULL::interval[], NULL::jsonb[]
"""
"""asyncpg looks an array type up when a connection meets it first, which costs a request three more round trips."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A constant SQL text under the name by which probes and plans know it.

    `reads` marks one that changes nothing: work that did only such statements may be done again.
    """

    name: str
    sql: str
    reads: bool = False


@dataclass(frozen=True, slots=True)
class Executed:
    """One wait for the server. `control` marks BEGIN, COMMIT and ROLLBACK, which have no text and no arguments."""

    name: str
    elapsed_s: float
    rows: int
    control: bool = False
    sql: str = ""
    arguments: tuple[object, ...] = ()


class Observer(Protocol):
    """Told of each wait for the server, in the task that waited."""

    def __call__(self, executed: Executed, /) -> None: ...


def ignore(_executed: Executed, /) -> None:
    """The observer of a database that nobody measures."""


class Connection(asyncpg.Connection):
    """Skips the pool's reset statement on release, which would cost each operation a round trip.

    Nothing here changes session state: settings are given at connect, locks end with their transaction.
    """

    def get_reset_query(self) -> str:
        return ""


@dataclass(slots=True)
class Effects:
    """Whether the server may keep something of what a session did: a COMMIT was sent, or a write outside of one."""

    possible: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """One connection, for one operation. Each method is one round trip once its statement is prepared."""

    connection: "asyncpg.Connection[Row] | PoolConnectionProxy[Row]"
    observer: Observer = ignore
    effects: Effects = field(default_factory=Effects)

    async def fetch(self, statement: Statement, *arguments: object) -> list[Row]:
        self._note_effect(statement)
        started = perf_counter()
        rows = await self.connection.fetch(statement.sql, *arguments)
        elapsed_s = perf_counter() - started
        self._observe(Executed(statement.name, elapsed_s, len(rows), sql=statement.sql, arguments=arguments))
        return rows

    async def fetch_row(self, statement: Statement, *arguments: object) -> Row | None:
        """The only row of a statement that gives at most one."""
        rows = await self.fetch(statement, *arguments)
        assert len(rows) <= 1, f"{statement.name} gave {len(rows)} rows"
        return rows[0] if rows else None

    async def execute(self, statement: Statement, *arguments: object) -> int:
        """Returns how many rows the statement touched."""
        self._note_effect(statement)
        started = perf_counter()
        tag = await self.connection.execute(statement.sql, *arguments)
        elapsed_s = perf_counter() - started
        count = tag.rpartition(" ")[2]
        rows = int(count) if count.isdigit() else 0
        self._observe(Executed(statement.name, elapsed_s, rows, sql=statement.sql, arguments=arguments))
        return rows

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[None]:
        """Its ends are entered and left as `async with` does: asyncpg then also ends one whose BEGIN was cancelled."""
        transaction = self.connection.transaction()
        await self._control("begin", transaction.__aenter__)
        try:
            yield
        except BaseException as error:
            await self._control("rollback", partial(transaction.__aexit__, type(error), error, error.__traceback__))
            raise
        self.effects.possible = True
        await self._control("commit", partial(transaction.__aexit__, None, None, None))

    async def _control(self, name: str, act: Callable[[], Any]) -> None:
        started = perf_counter()
        await act()
        self._observe(Executed(name, perf_counter() - started, 0, control=True))

    def _note_effect(self, statement: Statement) -> None:
        if not statement.reads and not self.connection.is_in_transaction():
            self.effects.possible = True

    def _observe(self, executed: Executed) -> None:
        spend("database", executed.elapsed_s)
        self.observer(executed)


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """`acquire_timeout_s` bounds the wait for a connection, `command_timeout_s` that for a statement's answer.

    The server keeps the other two, also when this process hangs or the network between is gone: a statement ends by
    itself, and so does a transaction in which nothing happens.
    """

    size: int = 20
    size_min: int = 0
    acquire_timeout_s: float = 2.0
    command_timeout_s: float = 60.0
    statement_timeout_s: float = 60.0
    idle_in_transaction_timeout_s: float = 60.0


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """How many connections there may be, are open, and are idle; and how many callers wait for one.

    Since the start: how many waited in vain, and how often work was done again.
    """

    size_max: int
    size: int
    idle: int
    waiting: int
    acquire_timeouts: int
    retries: int


@dataclass(slots=True)
class PoolCounts:
    """What asyncpg's pool does not count. `warned_at` is of the monotonic clock."""

    waiting: int = 0
    acquire_timeouts: int = 0
    retries: int = 0
    warned_at: float = -math.inf


@dataclass(frozen=True, slots=True)
class Database:
    """Hands out sessions. `session` raises `DatabaseUnavailable` when none is to be had or its server goes away."""

    pool: "asyncpg.Pool[Row]"
    settings: PoolSettings
    observer: Observer
    location: str
    counts: PoolCounts = field(default_factory=PoolCounts)

    def pool_statistics(self) -> PoolStatistics:
        return PoolStatistics(
            size_max=self.pool.get_max_size(),
            size=self.pool.get_size(),
            idle=self.pool.get_idle_size(),
            waiting=self.counts.waiting,
            acquire_timeouts=self.counts.acquire_timeouts,
            retries=self.counts.retries,
        )

    async def report_statistics(self) -> None:
        """Has every open connection tell the server what it has done, which it otherwise delays up to ten seconds."""
        async with AsyncExitStack() as held:
            idle = [await held.enter_async_context(self.session()) for _ in range(self.pool.get_idle_size())]
            await asyncio.gather(*(session.connection.execute(REPORT_STATISTICS) for session in idle))

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[Session]:
        with self._expected_failures():
            async with self._session(Effects()) as session:
                yield session

    async def perform(self, work: Callable[[Session], Awaitable[Result]]) -> Result:
        """Does the work in a session, and once more when another transaction won or the connection was lost.

        It is done again only where the server can have kept nothing of it. After a lost COMMIT nobody knows, and doing
        it again could count an access twice. Raises what `session` does, and `DatabaseConflict`.
        """
        with self._expected_failures():
            effects = Effects()
            try:
                return await self._attempt(work, effects)
            except RETRIED as error:
                if effects.possible:
                    raise
                self.counts.retries += 1
                logger.warning("work is done again, since the database kept nothing of it: %s", error)
            return await self._attempt(work, Effects())

    async def _attempt(self, work: Callable[[Session], Awaitable[Result]], effects: Effects) -> Result:
        async with self._session(effects) as session:
            return await work(session)

    @asynccontextmanager
    async def _session(self, effects: Effects) -> AsyncGenerator[Session]:
        connection = await self._acquired()
        try:
            yield Session(connection, self.observer, effects)
        finally:
            # Shielded by asyncpg, so that a cancelled request gives its connection back as well.
            await self.pool.release(connection)

    async def _acquired(self) -> "PoolConnectionProxy[Row]":
        """`fetch(timeout=)` would not bound the wait for a connection; this does."""
        self.counts.waiting += 1
        self._warn_under_pressure()
        try:
            with spending("pool"):
                return await self.pool.acquire(timeout=self.settings.acquire_timeout_s)
        except TimeoutError as error:
            self.counts.acquire_timeouts += 1
            raise DatabaseBusy(
                f"No connection to PostgreSQL at {self.location} was free or could be opened within "
                f"{self.settings.acquire_timeout_s:g} s. Send fewer requests at once, or enlarge the pool."
            ) from error
        finally:
            self.counts.waiting -= 1

    def _warn_under_pressure(self) -> None:
        """Tells once a minute at most that callers wait: each of them would say the same."""
        is_full = self.pool.get_size() == self.pool.get_max_size()
        was_told = monotonic() - self.counts.warned_at < WARNING_INTERVAL_S
        if not is_full or was_told or self.counts.waiting <= WAITING_UNNOTICED_MAX:
            return
        self.counts.warned_at = monotonic()
        logger.warning("requests wait for a connection: %s", self.pool_statistics())

    @contextmanager
    def _expected_failures(self) -> Generator[None]:
        try:
            yield
        except asyncpg.TransactionRollbackError as error:
            raise DatabaseConflict(
                f"Other transactions on PostgreSQL at {self.location} won ({error}). Send the request again."
            ) from error
        except UNAVAILABLE as error:
            raise unavailable(self.location, error) from error


def unavailable(location: str, error: BaseException) -> DatabaseUnavailable:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return DatabaseUnavailable(
        f"PostgreSQL at {location} cannot be used ({reason}). "
        "Check that it runs and accepts connections, and that the URL names it."
    )


def location_of(url: str) -> str:
    """Address and database of a URL as they were written: what a message may show."""
    parts = urlsplit(url)
    return f"{parts.netloc.rpartition('@')[2] or 'the local socket'}{parts.path}"


@asynccontextmanager
async def connected(url: str) -> "AsyncGenerator[asyncpg.Connection[Row]]":
    """One connection of its own, outside any pool. Raises `DatabaseUnavailable`."""
    try:
        connection = await asyncpg.connect(url)
    except (*UNAVAILABLE, ValueError) as error:
        raise unavailable(location_of(url), error) from error
    try:
        yield connection
    finally:
        await connection.close()


async def reach_vector(connection: "asyncpg.Connection[Row]") -> str | None:
    """The schema that pgvector lives in, from now on in reach of unqualified names; None when there is no pgvector."""
    row = await connection.fetchrow(REACH_VECTOR)
    return row["schema"] if row else None


async def prepare_connection(connection: "asyncpg.Connection[Row]") -> None:
    """Vectors travel in binary, and no request waits for the look-up of a type."""
    schema = await reach_vector(connection)
    if schema is None:
        raise DatabaseUnavailable(
            "The database has no pgvector: run `anima migrate`, or have an administrator run CREATE EXTENSION vector."
        )
    await register_vector(connection, schema=schema)
    await connection.fetch(LEARN_ARRAYS)


@asynccontextmanager
async def open_database(
    url: str, settings: PoolSettings | None = None, observer: Observer = ignore
) -> AsyncGenerator[Database]:
    """A pool on `url`, closed when the block ends. Raises `DatabaseUnavailable`."""
    settings = settings or PoolSettings()
    try:
        pool = await asyncpg.create_pool(
            url,
            min_size=settings.size_min,
            max_size=settings.size,
            command_timeout=settings.command_timeout_s,
            connection_class=Connection,
            init=prepare_connection,
            # Searches that filter go on until they have enough rows (pgvector 0.8; unknown to older ones and ignored).
            server_settings={
                "hnsw.iterative_scan": "strict_order",
                "application_name": "anima",
                "statement_timeout": milliseconds(settings.statement_timeout_s),
                "idle_in_transaction_session_timeout": milliseconds(settings.idle_in_transaction_timeout_s),
            },
        )
    except UNAVAILABLE as error:
        raise unavailable(location_of(url), error) from error
    try:
        yield Database(pool, settings, observer, location_of(url))
    finally:
        await pool.close()


def milliseconds(seconds: float) -> str:
    """As PostgreSQL's settings take it; at least one, since none is no limit."""
    return str(max(1, round(seconds * 1000)))
