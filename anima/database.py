"""The pool, its codecs, and the narrow statement runner that all SQL goes through."""

import asyncio
import logging
import math
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from time import monotonic, perf_counter
from typing import Any, Final, Protocol, TypeVar, cast

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from anima.addresses import Address, address_of
from anima.connections import FAREWELL, UNAVAILABLE, Connection, Row, connect, prepare_connection, unavailable
from anima.errors import DatabaseBusy, DatabaseConflict
from anima.spending import spend, spending

Result = TypeVar("Result")

WAITING_UNNOTICED_MAX: Final = 5
WARNING_INTERVAL_S: Final = 60.0
NONE_LEFT_S: Final = 5.0
PAUSE_S: Final = 0.1
RETURN_POLL_S: Final = 0.005

logger = logging.getLogger(__name__)

RETRIED = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.AdminShutdownError,
    asyncpg.IdleSessionTimeoutError,
    FAREWELL,
    ConnectionError,
)
"""Another transaction won, or the connection was lost. A time limit is not among them: more load would not help."""


REPORT_STATISTICS = "SELECT pg_stat_force_next_flush()"


@dataclass(frozen=True, slots=True)
class Statement:
    """A constant SQL text under the name by which probes and plans know it.

    `reads` marks one that changes nothing: work that did only such statements may be done again.
    """

    name: str
    sql: str
    reads: bool = False


# With pgvector's own schema behind it, in which there is nothing else that a tenant could reach (`anima.tenants`).
ENTER: Final = Statement(
    "tenant.enter",
    """
    SELECT set_config('search_path', concat_ws(', ', quote_ident($1), quote_ident(nspname)), false)
    FROM pg_extension JOIN pg_namespace AS n ON n.oid = extnamespace
    WHERE extname = 'vector'
    """,
    reads=True,
)
TAKES_WRITES = Statement("database.takes_writes", "SELECT current_setting('transaction_read_only') = 'off'", reads=True)


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


@dataclass(slots=True)
class Effects:
    """Says whether the server may keep a session's work: a COMMIT was sent, or a write outside of one."""

    possible: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """One connection, for one operation. Each method is one round trip once its statement is prepared.

    `mark` begins each text that is sent: what was prepared for one schema is then never executed in another, where its
    names mean other tables and types.
    """

    connection: "asyncpg.Connection[Row] | PoolConnectionProxy[Row]"
    observer: Observer = ignore
    effects: Effects = field(default_factory=Effects)
    mark: str = ""

    async def fetch(self, statement: Statement, *arguments: object) -> list[Row]:
        started = perf_counter()
        with self._effect(statement):
            rows = await self.connection.fetch(self.mark + statement.sql, *arguments)
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
        started = perf_counter()
        with self._effect(statement):
            tag = await self.connection.execute(self.mark + statement.sql, *arguments)
        elapsed_s = perf_counter() - started
        count = tag.rpartition(" ")[2]
        rows = int(count) if count.isdigit() else 0
        self._observe(Executed(statement.name, elapsed_s, rows, sql=statement.sql, arguments=arguments))
        return rows

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[None]:
        """Its ends are entered and left as `async with` does: asyncpg then also ends one whose BEGIN was cancelled."""
        is_within_another = self.connection.is_in_transaction()
        transaction = self.connection.transaction()
        await self._control("begin", transaction.__aenter__)
        try:
            yield
        except BaseException as error:
            await self._control("rollback", partial(transaction.__aexit__, type(error), error, error.__traceback__))
            raise
        self.effects.possible = self.effects.possible or not is_within_another
        await self._control("commit", partial(transaction.__aexit__, None, None, None))

    async def _control(self, name: str, act: Callable[[], Any]) -> None:
        started = perf_counter()
        await act()
        self._observe(Executed(name, perf_counter() - started, 0, control=True))

    @contextmanager
    def _effect(self, statement: Statement) -> Generator[None]:
        """Outside of a transaction a write commits by itself, unless the server says that it was undone."""
        before = self.effects.possible
        self.effects.possible = before or not (statement.reads or self.connection.is_in_transaction())
        try:
            yield
        except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError):
            self.effects.possible = before
            raise

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

    def of_sessions(self) -> dict[str, str]:
        """As settings of PostgreSQL."""
        return {
            "statement_timeout": milliseconds(self.statement_timeout_s),
            "idle_in_transaction_session_timeout": milliseconds(self.idle_in_transaction_timeout_s),
        }


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """Says how many connections there may be, are open, and are idle; and how many callers wait for one.

    Since the start: how many waited and got none, and how often work was done again.
    """

    size_max: int
    size: int
    idle: int
    waiting: int
    acquire_timeouts: int
    retries: int


@dataclass(slots=True)
class PoolCounts:
    """Holds what asyncpg's pool does not count. `warned_at` is of the monotonic clock."""

    waiting: int = 0
    acquire_timeouts: int = 0
    retries: int = 0
    warned_at: float = -math.inf


class NoneLeft(Exception):
    """The server lets no further connection in now."""


@dataclass(slots=True)
class Opener:
    """Opens the pool's connections, and finds out how many there are for it.

    A role, a server or a pooler may have fewer than the pool has places. Who finds none left waits for one to be
    given back, as for a full pool, and for a while nobody asks for another.
    """

    address: Address
    settings: PoolSettings
    pool: "asyncpg.Pool[Row] | None" = None
    none_left_until: float = -math.inf
    waiting: deque["asyncio.Future[None]"] = field(default_factory=deque["asyncio.Future[None]"])

    async def open(self, dsn: str | None = None, **options: Any) -> "asyncpg.Connection[Row]":  # noqa: ANN401 -- asyncpg's own
        """As the pool calls it, which knows no more than is known here. Raises `NoneLeft`."""
        del dsn, options
        has_others = self.pool is not None and self.pool.get_size() > 0
        if has_others and monotonic() < self.none_left_until:
            raise NoneLeft("as a moment ago")
        # A pooler that has none left lets the next one wait, and those that are open become free before that.
        patience_s = self.settings.acquire_timeout_s / 2 if has_others else None
        try:
            async with asyncio.timeout(patience_s):
                return await self._opened()
        except asyncpg.TooManyConnectionsError as error:
            reason = str(error)
        except TimeoutError:
            if not has_others:
                raise
            reason = f"none was opened within {patience_s:g} s"
        self.none_left_until = monotonic() + NONE_LEFT_S
        raise NoneLeft(reason)

    async def _opened(self) -> "asyncpg.Connection[Row]":
        connection = await connect(self.address, Connection, self.settings.command_timeout_s)
        try:
            await prepare_connection(connection, self.settings.of_sessions())
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def wait_for_release(self, timeout_s: float) -> None:
        """Until a connection has been given back, or it is time to try another one."""
        released = asyncio.get_running_loop().create_future()
        self.waiting.append(released)
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(released, min(timeout_s, NONE_LEFT_S))
        finally:
            if released in self.waiting:
                self.waiting.remove(released)

    def tell_of_release(self) -> None:
        while self.waiting:
            if not (first := self.waiting.popleft()).done():
                first.set_result(None)
                return


@dataclass(frozen=True, slots=True)
class Database:
    """Hands out sessions. `session` raises `DatabaseUnavailable` when none is to be had or its server goes away.

    With a `schema` they see the tables of that one alone; those without take any connection as it is.
    """

    pool: "asyncpg.Pool[Row]"
    settings: PoolSettings
    observer: Observer
    opener: Opener
    counts: PoolCounts = field(default_factory=PoolCounts)
    schema: str | None = None

    def of_schema(self, schema: str) -> "Database":
        """The same pool, for a schema."""
        return replace(self, schema=schema)

    @property
    def location(self) -> str:
        """Says what a message may show."""
        return self.opener.address.location

    def pool_statistics(self) -> PoolStatistics:
        return PoolStatistics(
            size_max=self.pool.get_max_size(),
            size=self.pool.get_size(),
            idle=self.pool.get_idle_size(),
            waiting=self.counts.waiting,
            acquire_timeouts=self.counts.acquire_timeouts,
            retries=self.counts.retries,
        )

    async def report_statistics(self) -> bool:
        """Has every open connection tell the server what it has done, which it otherwise delays up to ten seconds.

        One that is in use tells it once it is given back. False where that takes longer than a wait for a connection
        may, or the server lets none do it.
        """
        deadline_s = monotonic() + self.settings.acquire_timeout_s
        reported = 0
        async with AsyncExitStack() as held:
            while reported < self.pool.get_size():
                if self.pool.get_idle_size():
                    session = await held.enter_async_context(self.session())
                    await session.connection.execute(REPORT_STATISTICS)
                    reported += 1
                elif monotonic() < deadline_s:
                    await asyncio.sleep(RETURN_POLL_S)
                else:
                    return False
        return True

    async def takes_writes(self) -> bool:
        """Not where it is a standby, or its owner has it read only."""
        async with self.session() as session:
            (row,) = await session.fetch(TAKES_WRITES)
        if not row[0]:
            await self._forget_connections()
        return bool(row[0])

    async def _forget_connections(self) -> None:
        """A new connection may find another server, or that its owner lets it write again."""
        await self.pool.expire_connections()

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[Session]:
        async with self._expected_failures(), self._session(Effects()) as session:
            yield session

    async def perform(self, work: Callable[[Session], Awaitable[Result]]) -> Result:
        """Does the work in a session, and once more when another transaction won or the connection was lost.

        It is done again only where the server can have kept nothing of it. After a lost COMMIT nobody knows, and doing
        it again could count an access twice. Raises what `session` does, and `DatabaseConflict`.
        """
        async with self._expected_failures():
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
            session = Session(connection, self.observer, effects)
            yield session if self.schema is None else await enter(session, self.schema)
        finally:
            # Shielded by asyncpg, so that a cancelled request gives its connection back as well.
            await self.pool.release(connection)
            self.opener.tell_of_release()

    async def _acquired(self) -> "PoolConnectionProxy[Row]":
        """`fetch(timeout=)` would not bound the wait for a connection; this does."""
        self.counts.waiting += 1
        self._warn_under_pressure()
        try:
            with spending("pool"):
                return await self._acquired_by(monotonic() + self.settings.acquire_timeout_s)
        except TimeoutError as error:
            self.counts.acquire_timeouts += 1
            raise DatabaseBusy(
                f"No connection to PostgreSQL at {self.location} was free or could be opened within "
                f"{self.settings.acquire_timeout_s:g} s. Send fewer requests at once, or enlarge the pool and, where "
                "they are fewer, the connections of the role and the server."
            ) from error
        finally:
            self.counts.waiting -= 1

    async def _acquired_by(self, deadline_s: float) -> "PoolConnectionProxy[Row]":
        while True:
            try:
                return await self.pool.acquire(timeout=deadline_s - monotonic())
            except NoneLeft as error:
                open_count = self.pool.get_size()
                self._warn(f"there are no more than {open_count} connections to the database now ({error})")
                if not open_count:
                    await asyncio.sleep(PAUSE_S)
                elif not self.pool.get_idle_size():
                    await self.opener.wait_for_release(deadline_s - monotonic())

    def _warn_under_pressure(self) -> None:
        is_full = self.pool.get_size() == self.pool.get_max_size()
        if is_full and self.counts.waiting > WAITING_UNNOTICED_MAX:
            self._warn(f"requests wait for a connection: {self.pool_statistics()}")

    def _warn(self, what: str) -> None:
        """Tells once a minute at most: each of those who wait would say the same."""
        if monotonic() - self.counts.warned_at >= WARNING_INTERVAL_S:
            self.counts.warned_at = monotonic()
            logger.warning(what)

    @asynccontextmanager
    async def _expected_failures(self) -> AsyncGenerator[None]:
        try:
            yield
        except asyncpg.TransactionRollbackError as error:
            raise DatabaseConflict(
                f"Other transactions on PostgreSQL at {self.location} won ({error}). Send the request again."
            ) from error
        except asyncpg.LockNotAvailableError as error:
            raise DatabaseBusy(
                f"A row of PostgreSQL at {self.location} stayed locked for longer than the lock_timeout that its owner "
                f"has set ({error}). Send the request again."
            ) from error
        except UNAVAILABLE as error:
            if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
                await self._forget_connections()
            raise unavailable(self.location, error) from error


async def enter(session: Session, schema: str) -> Session:
    """The session with statements that find the tables of the schema; nothing is sent where they do already.

    While it changes nobody knows where it is, should this be cancelled: the next one enters anew.
    """
    connection = cast("Connection", session.connection)
    if connection.schema != schema:
        connection.note_schema(None)
        rows = await session.fetch(ENTER, schema)
        assert len(rows) == 1, "no connection is opened to a database without pgvector"
        connection.note_schema(schema)
    return replace(session, mark=f"/* {schema} */")


@asynccontextmanager
async def open_database(
    url: str, settings: PoolSettings | None = None, observer: Observer = ignore
) -> AsyncGenerator[Database]:
    """A pool on `url`, closed when the block ends. Raises `InvalidInput` and `DatabaseUnavailable`."""
    settings = settings or PoolSettings()
    opener = Opener(address_of(url), settings)
    try:
        pool = await asyncpg.create_pool(
            min_size=settings.size_min,
            max_size=settings.size,
            connect=opener.open,
            connection_class=Connection,
        )
        opener.pool = pool
    except (*UNAVAILABLE, NoneLeft) as error:
        raise unavailable(opener.address.location, error) from error
    try:
        yield Database(pool, settings, observer, opener)
    finally:
        await pool.close()


def milliseconds(seconds: float) -> str:
    """As PostgreSQL's settings take it; at least one, since none is no limit."""
    return str(max(1, round(seconds * 1000)))
