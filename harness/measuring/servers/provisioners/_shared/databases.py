"""The databases of one PostgreSQL server: makes, copies and removes them, and reads what a run records about it.

Every provisioner ends here, with the URL of an administrator. Each operation opens a connection of its own, so a
server may be shared between event loops. Not for what a database contains: targets migrate, execution loads.
"""

import asyncio
import re
import socket
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, assert_never
from urllib.parse import unquote, urlsplit

import asyncpg

from harness.errors import ProvisioningError
from harness.measuring.servers.addresses import address, with_database
from harness.measuring.servers.provisioners._shared.dumps import dump_and_restore
from harness.measuring.servers.provisioners.protocol import Disruption, ServerFacts

DEFAULT_SETTINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        # An SSD's random read costs about as much as a sequential one. At PostgreSQL's own 4.0, a scan over
        # TOASTed vectors looks cheaper to the planner than the HNSW index.
        "random_page_cost": "1.1",
        "shared_buffers": "256MB",
        "max_connections": "200",
        # A commit costs what it costs in production. A test that throws its data away may turn these off.
        "fsync": "on",
        "synchronous_commit": "on",
        # Two hosts in unlike time zones are alike.
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
)
"""The settings of a server that a provisioner starts, unless the run states others."""

IDENTIFIER_BYTES_MAX: Final = 63
"""PostgreSQL shortens a longer name silently, and two databases would become one."""

SERVER_VERSION: Final = "SELECT current_setting('server_version')"
VECTOR_VERSION: Final = "SELECT default_version FROM pg_available_extensions WHERE name = 'vector'"
# Where a server listens says nothing about how it performs. A text may name hosts, paths and even passwords
# (primary_conninfo), so only the harmless ones are read.
STATED_SETTINGS: Final = """
SELECT name, current_setting(name) AS value
  FROM pg_settings
 WHERE source NOT IN ('default', 'override', 'client', 'session', 'environment variable', 'database')
   AND (vartype <> 'string' OR lower(name) IN ('timezone', 'log_timezone', 'shared_preload_libraries',
        'session_preload_libraries', 'local_preload_libraries', 'default_text_search_config', 'datestyle',
        'lc_messages', 'lc_monetary', 'lc_numeric', 'lc_time', 'search_path'))
   AND name NOT IN ('port', 'scram_iterations')
 ORDER BY name
"""
# A statement on databases takes no parameters, so the server itself quotes the names into it.
WITH_NAMES: Final = "SELECT format($1, VARIADIC $2::text[])"
CREATE_DATABASE: Final = "CREATE DATABASE %I"
CREATE_DATABASE_IN: Final = "CREATE DATABASE %I TABLESPACE %I"
# Measured on a template of 71 MB (8,000 vectors and their HNSW index, six clones each, four noisy cores): median 0.26 s
# by WAL_LOG, 0.47 s by FILE_COPY, which waits for two checkpoints; without fsync 0.28 s and 0.33 s.
CLONE_DATABASE: Final = "CREATE DATABASE %I TEMPLATE %I STRATEGY WAL_LOG"
DROP_DATABASE: Final = "DROP DATABASE IF EXISTS %I WITH (FORCE)"
# A server may have it in its template1 already, where an administrator put it.
CREATE_VECTOR: Final = "CREATE EXTENSION IF NOT EXISTS vector"

TERMINATE: Final = """
SELECT pg_terminate_backend(pid)
  FROM pg_stat_activity
 WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND starts_with(datname, $1)
"""
TABLESPACE: Final = "harness_disk"
CREATE_TABLESPACE: Final = f"CREATE TABLESPACE {TABLESPACE} LOCATION %L"
DATA_DIRECTORY: Final = "SHOW data_directory"

# Marks what a run made on a server that others use too.
COMMENT: Final = "anima-harness"
MARK_DATABASE: Final = f"COMMENT ON DATABASE %I IS '{COMMENT}'"
SET_IN_DATABASE: Final = "ALTER DATABASE %I SET %I = %L"

POSTGRES_MAJOR_MIN: Final = 15
"""The first that clones by writing ahead, which does not wait for checkpoints."""

PGVECTOR_MIN: Final = (0, 5)
"""The first with HNSW indexes."""

PGVECTOR_ITERATIVE: Final = (0, 8)
"""The first whose index scans go on when a filter leaves too few rows."""

LOG_LINES_QUOTED: Final = 8

NO_STANDBY: Final = (
    "No server follows it that could take its place. Use the `embedded` or the `patroni` provisioner, and state "
    "`standbys = 1` in [database]."
)
NO_DISK: Final = "The server lies on a disk that others use. Give it one of its own: state `disk_mb` in [database]."

POOLED: Final = (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError)
"""A pooler has given another session's connection to the server."""

FAILURES: Final = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.TargetServerAttributeNotMatched,  # Of several servers none takes writes now.
)
ADVICE: Final[Mapping[type[Exception], str]] = {
    asyncpg.DuplicateDatabaseError: "Drop it, or choose another name.",
    asyncpg.InvalidCatalogNameError: "Create it first.",
    asyncpg.ObjectInUseError: "Close every connection to it first: a database in use cannot be copied.",
    asyncpg.DiskFullError: "Free some space where the server keeps its data, or use a smaller corpus.",
    asyncpg.InsufficientPrivilegeError: "Use a role that may create databases and extensions.",
    asyncpg.FeatureNotSupportedError: "Install pgvector on that server.",
    asyncpg.QueryCanceledError: (
        "Raise statement_timeout of the role or the database there (0 is without end), unless somebody ended the "
        "statement."
    ),
}


Disruptions = Mapping[Disruption, Callable[[], AbstractAsyncContextManager[None]]]
"""How a provisioner disrupts the server that it started."""


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A `Server` that is reached as an administrator. It is frozen: its databases change, what it is does not."""

    admin_url: str = field(repr=False)
    """The server, for an administrator."""
    facts: ServerFacts
    """What a run records about it."""
    prefix: str = ""
    """What the name of each of its databases begins with."""
    database_settings: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Settings that hold in its databases and nowhere else."""
    tablespace: str | None = None
    """Where its databases lie; None is the server's default."""
    read_log: Callable[[], str] = field(default=str, repr=False, compare=False)
    """The log of the server, as far as it can be read; else empty."""
    read_log_on: Callable[[int | None], tuple[bytes, int] | None] = field(
        default=lambda _: None, repr=False, compare=False
    )
    """The part of the log from a position on, and where it ends; None where it cannot be read so."""
    read_cpu_s: Callable[[], float | None] = field(default=lambda: None, repr=False, compare=False)
    """The processor time of the server in seconds; None where it cannot be read."""
    disruptions: Disruptions = field(default_factory=lambda: MappingProxyType({}), repr=False, compare=False)
    """How each disruption is done that is no statement."""
    cannot: Mapping[Disruption, str] = field(default_factory=lambda: MappingProxyType({}), repr=False, compare=False)
    """Of each disruption that cannot be done here, why."""
    standbys: "tuple[PostgresServer, ...]" = ()
    """The servers that follow it."""
    making: Callable[[], AbstractAsyncContextManager[None]] = field(default=nullcontext, repr=False, compare=False)
    """Surrounds the making of a database: what a disruption has left is mended before, and who follows has it after."""

    def standby_urls(self, url: str) -> tuple[str, ...]:
        name = unquote(urlsplit(url).path.removeprefix("/"))
        return tuple(with_database(standby.admin_url, name) for standby in self.standbys)

    async def create_database(self, name: str) -> str:
        full = self._full(name)
        place = (CREATE_DATABASE_IN, full, self.tablespace) if self.tablespace else (CREATE_DATABASE, full)
        await self._make(name, place)
        async with connected(self._url(name)) as connection:
            await connection.execute(CREATE_VECTOR)
        return self._url(name)

    async def clone_database(self, template: str, name: str) -> str:
        match self.facts.cloning:
            case "template":
                await self._make(name, (CLONE_DATABASE, self._full(name), self._full(template)))
            case "dump and restore":
                await self._refuse_absent(template)
                await self.create_database(name)
                await dump_and_restore(self._url(template), self._url(name))
            case _:
                assert_never(self.facts.cloning)
        return self._url(name)

    async def drop_database(self, name: str) -> None:
        await execute_named(self.admin_url, (DROP_DATABASE, self._full(name)))

    async def log(self) -> str:
        return await asyncio.to_thread(self.read_log)

    async def log_on(self, position: int | None) -> tuple[bytes, int] | None:
        return await asyncio.to_thread(self.read_log_on, position)

    async def cpu_s(self) -> float | None:
        return await asyncio.to_thread(self.read_cpu_s)

    @asynccontextmanager
    async def disrupted(self, disruption: Disruption) -> AsyncGenerator[None]:
        if disruption in self.cannot:
            raise ProvisioningError(self.cannot[disruption])
        if disruption == "terminate_backends":
            async with connected(self.admin_url) as connection:
                await connection.execute(TERMINATE, self.prefix)
            yield
        else:
            async with self.disruptions[disruption]():
                yield

    async def _make(self, name: str, making: tuple[str, ...]) -> None:
        full = self._full(name)
        settings = ((SET_IN_DATABASE, full, *setting) for setting in self.database_settings.items())
        marks = ((MARK_DATABASE, full),) if self.prefix else ()
        async with self.making():
            await execute_named(self.admin_url, making, *marks, *settings)

    async def _refuse_absent(self, template: str) -> None:
        async with connected(self._url(template)):
            pass

    def _full(self, name: str) -> str:
        bytes_max = IDENTIFIER_BYTES_MAX - len(self.prefix)
        if not 0 < len(name.encode()) <= bytes_max:
            raise ProvisioningError(
                f"{name!r} cannot name a database: use 1 to {bytes_max} bytes, or PostgreSQL shortens it."
            )
        return self.prefix + name

    def _url(self, name: str) -> str:
        return with_database(self.admin_url, self._full(name))


async def open_server(
    provisioner: str,
    admin_url: str,
    runtime: Mapping[str, str] | None = None,
    read_log: Callable[[], str] = str,
) -> PostgresServer:
    """The server at `admin_url`. Raises `ProvisioningError` when it cannot be reached, is too old or lacks pgvector."""
    async with connected(admin_url) as connection:
        pgvector_version = await connection.fetchval(VECTOR_VERSION)
        facts = ServerFacts(
            provisioner=provisioner,
            postgres_version=await connection.fetchval(SERVER_VERSION),
            pgvector_version=pgvector_version or "",
            settings=MappingProxyType(dict(await connection.fetch(STATED_SETTINGS))),
            runtime=runtime or MappingProxyType({}),
            lacks=tuple(missing_features(pgvector_version or "")),
        )
    refuse_unfit(facts, address(admin_url))
    return PostgresServer(admin_url=admin_url, facts=facts, read_log=read_log)


async def data_directory(url: str) -> str:
    async with connected(url) as connection:
        return str(await connection.fetchval(DATA_DIRECTORY))


async def on_disk(server: PostgresServer, location: str) -> PostgresServer:
    """The server with its later databases at `location`. Its log and catalogs stay, so no full disk ends it."""
    await execute_named(server.admin_url, (CREATE_TABLESPACE, location))
    return replace(server, tablespace=TABLESPACE)


def refuse_unfit(facts: ServerFacts, where: str) -> None:
    """Raises `ProvisioningError` for a server without what every run needs."""
    if not facts.pgvector_version:
        raise ProvisioningError(
            f"The PostgreSQL server at {where} has no pgvector. Install it there, or use the `embedded` provisioner, "
            "which brings its own."
        )
    if version(facts.postgres_version) < (POSTGRES_MAJOR_MIN,):
        raise ProvisioningError(
            f"The server at {where} is PostgreSQL {facts.postgres_version}. Use {POSTGRES_MAJOR_MIN} or later."
        )
    if version(facts.pgvector_version) < PGVECTOR_MIN:
        needed = ".".join(map(str, PGVECTOR_MIN))
        raise ProvisioningError(
            f"The server at {where} has pgvector {facts.pgvector_version}, which knows no HNSW index. Install "
            f"{needed} or later there."
        )


def missing_features(pgvector_version: str) -> Iterator[str]:
    """Says what these versions do not have, and what happens instead."""
    if version(pgvector_version) < PGVECTOR_ITERATIVE:
        yield (
            f"pgvector {pgvector_version} has no iterative scans (0.8 has): a search through the index looks at "
            "hnsw.ef_search rows at most, and returns fewer than asked for where a filter drops some"
        )


def version(text: str) -> tuple[int, ...]:
    """`17.6 (Debian 17.6-1)` as (17, 6), to be compared."""
    return tuple(map(int, re.findall(r"\d+", text.partition(" ")[0])))


async def answers(url: str) -> bool:
    """Says whether a query is answered there."""
    try:
        async with connected(url) as connection:
            await connection.execute("SELECT 1")
    except ProvisioningError as error:
        if isinstance(error.__cause__, asyncpg.ClientConfigurationError):
            raise  # It will not be otherwise later.
        return False
    return True


async def execute_named(url: str, *statements: tuple[str, ...]) -> None:
    """Runs statements in turn, each with the names and texts that its `%I` and `%L` stand for."""
    async with connected(url) as connection:
        for statement, *names in statements:
            await connection.execute(await connection.fetchval(WITH_NAMES, statement, names))


@asynccontextmanager
async def connected(url: str) -> AsyncGenerator["asyncpg.Connection[Any]"]:
    try:
        connection = await asyncpg.connect(url)
    except (*FAILURES, UnicodeError) as error:  # A host's name may be none.
        raise ProvisioningError(
            f"No connection to PostgreSQL at {address(url)}: {error}. Check that it runs there and lets this user in."
        ) from error
    try:
        yield connection
    except FAILURES as error:
        raise ProvisioningError(refusal(url, error)) from error
    finally:
        await connection.close()


def refusal(url: str, error: Exception) -> str:
    kind = asyncpg.DiskFullError if "No space left on device" in str(error) else type(error)
    advice = ADVICE.get(kind, "The server's log may say more.")
    reason = str(error).partition("\n")[0].removesuffix(".")  # What follows are details, and asyncpg's own advice.
    return f"PostgreSQL at {address(url)} refused: {reason}. {advice}"


def refuse_own_settings(settings: Mapping[str, str], own: frozenset[str], whose: str) -> None:
    for setting in sorted(own & settings.keys()):
        raise ProvisioningError(
            f"The server setting `{setting}` is the {whose} server's own. Leave it out, or use the `external` "
            "provisioner with a server that you configure."
        )


def free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
    return port


def quoted(log: str) -> str:
    lines = [line for line in log.splitlines() if line.strip()][-LOG_LINES_QUOTED:]
    return "\n".join(("The last lines of its log:", *(f"  {line}" for line in lines))) if lines else "Its log is empty."
