"""One connection to PostgreSQL: how it is opened and set up, and which of its failures are the database's.

What a session relies on is set after it has been opened: poolers refuse most of it in the packet that opens one. A
setting of the database's owner that is not named here holds as it is.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias

import asyncpg
from pgvector.asyncpg import register_vector

from anima.addresses import NAMED_BY, Address, address_of
from anima.errors import DatabaseUnavailable, DatabaseUnfit, InvalidInput

Row: TypeAlias = asyncpg.Record

FAREWELL: Final = asyncpg.InternalClientError
"""What asyncpg raises for a connection that is used when the server's farewell has arrived and is not read yet."""

POOLED: Final = (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError)
"""A pooler has given another session's connection to the server."""

UNAVAILABLE: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    FAREWELL,
    *POOLED,
    asyncpg.InsufficientResourcesError,  # The disk or memory is full, or all connections are taken.
    asyncpg.OperatorInterventionError,  # The server starts or stops, or somebody there ended the statement.
    asyncpg.ObjectNotInPrerequisiteStateError,  # A lock is not free, or the database lets nobody in.
    asyncpg.PostgresSystemError,  # A file of the server cannot be read or written.
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TransactionTimeoutError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
)
"""What passes, or is mended at the server, so that the same request may succeed later. The rest is a fault of ours."""

SESSION_MODE: Final = (
    "What pools connections between here and PostgreSQL gives each transaction another one, and prepared statements, "
    "settings and locks are lost with it. In PgBouncer, set pool_mode = session for this database, or name "
    "PostgreSQL's own address."
)
USUAL_ADVICE: Final = "Check that it runs and accepts connections, and that the URL names it."
ADVICE: Final[Mapping[type[Exception] | tuple[type[Exception], ...], str]] = {
    POOLED: SESSION_MODE,
    asyncpg.TooManyConnectionsError: "Allow the role and the server more connections, or take fewer: ANIMA_POOL_SIZE.",
    asyncpg.InsufficientResourcesError: "Free some disk or memory where the server runs.",
    asyncpg.QueryCanceledError: (
        "It took longer than a statement may there (a request's by ANIMA_STATEMENT_TIMEOUT_S; what opens a session by "
        "the statement_timeout of the role or the database, which needs a second or more), or somebody ended it."
    ),
    asyncpg.ReadOnlySQLTransactionError: "It takes no writes now: name the primary, or wait until it takes them again.",
    asyncpg.InsufficientPrivilegeError: "Have its owner grant this right (docs/how-to/serve.md lists them).",
    asyncpg.InvalidCatalogNameError: "Create the database, or name another.",
    asyncpg.InvalidAuthorizationSpecificationError: (
        "Check the user and the password, and whether the server's pg_hba.conf lets this user in from here."
    ),
    asyncpg.ClientConfigurationError: "Check the URL's parameters, and the variables that begin with PG.",
}

SETTINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        # Each statement sees what was committed before it, whatever the role or the database has as its default.
        "default_transaction_isolation": "read committed",
        "TimeZone": "UTC",
        "standard_conforming_strings": "on",
        "transform_null_equals": "off",
        # JSON has every digit of a number, whatever the owner shows to people.
        "extra_float_digits": "1",
    }
)
WITHOUT_LIMITS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "statement_timeout": "0",
        "idle_in_transaction_session_timeout": "0",
        "transaction_timeout": "0",
        # A pool keeps idle sessions on purpose, and one that the server ends costs the request that meets it then.
        "idle_session_timeout": "0",
    }
)
"""For work that may take long, whatever the owner allows others."""

VECTOR: Final = """
    SELECT
        nspname AS schema,
        string_to_array(substring(extversion FROM '^[0-9]+[.][0-9]+'), '.')::int[] AS version,
        has_schema_privilege(n.oid, 'USAGE') AS is_reachable,
        quote_ident(current_user) AS role,
        CASE WHEN nspname <> ALL (current_schemas(true)) THEN set_config(
            'search_path', concat_ws(', ', nullif(current_setting('search_path'), ''), quote_ident(nspname)), false
        ) END
    FROM pg_extension JOIN pg_namespace AS n ON n.oid = extnamespace
    WHERE extname = 'vector'
"""
# A server that is older knows not all of them. What is an extension's may not be known yet. It is text, since a bound
# statement takes two round trips where it is met first; each of these values is a word or a number of ours.
SET_ONE: Final = """
    SELECT set_config('{name}', '{value}', false)
    WHERE '{name}' LIKE '%.%' OR current_setting('{name}', true) IS NOT NULL;
"""
LEARN_ARRAYS: Final = """
    SELECT NULL::uuid[], NULL::int[], NULL::bigint[], NULL::bytea[], NULL::interval[], NULL::jsonb[]
"""
"""asyncpg looks an array type up when a connection meets it first, which costs a request three more round trips."""

PROCESS: Final = "SELECT pg_backend_pid()"
ENCODING: Final = "UTF8"
SHARING_TIMEOUT_S: Final = 2.0
"""A pooler that has no second connection for this long keeps the first for who has it."""

CONNECT_TIMEOUT_S: Final = 60.0
"""Where the URL states no other."""

PGVECTOR_MIN: Final = (0, 5)
"""The first with HNSW indexes."""

PGVECTOR_ITERATIVE: Final = (0, 8)
"""The first whose index scans go on when a filter leaves too few rows."""


class Connection(asyncpg.Connection):
    """Skips the pool's reset statement on release, which would cost each operation a round trip.

    Nothing here changes session state: settings are given when it is opened, locks end with their transaction.
    """

    schema: str | None = None
    """The schema that its search path has been made to begin with; None where that is not known."""

    def get_reset_query(self) -> str:
        return ""

    def note_schema(self, schema: str | None) -> None:
        self.schema = schema


@dataclass(frozen=True, slots=True)
class Extension:
    """pgvector as a database has it."""

    schema: str
    version: tuple[int, ...]


def unavailable(location: str, error: BaseException) -> DatabaseUnavailable:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    advice = next((text for kinds, text in ADVICE.items() if isinstance(error, kinds)), USUAL_ADVICE)
    return DatabaseUnavailable(f"PostgreSQL at {location} cannot be used ({reason.removesuffix('.')}). {advice}")


@asynccontextmanager
async def connected(url: str) -> "AsyncGenerator[asyncpg.Connection[Row]]":
    """One connection of its own, outside any pool, without limits of time.

    Raises `DatabaseUnavailable`, and `DatabaseUnfit` for what would make requests fail one by one.
    """
    address = address_of(url)
    try:
        connection = await connect(address)
        try:
            refuse_other_encoding(connection, address)
            await refuse_shared_connection(connection, address)
            await set_all(connection, {**SETTINGS, **WITHOUT_LIMITS})
            yield connection
        finally:
            await connection.close()
    except UNAVAILABLE as error:
        raise unavailable(address.location, error) from error


async def connect(
    address: Address,
    connection_class: "type[asyncpg.Connection[Row]]" = asyncpg.Connection,
    command_timeout_s: float | None = None,
) -> "asyncpg.Connection[Row]":
    """Raises `InvalidInput` where the URL and the environment's PG variables do not fit together."""
    try:
        return await asyncpg.connect(
            address.dsn,
            timeout=address.connect_timeout_s or CONNECT_TIMEOUT_S,
            connection_class=connection_class,
            command_timeout=command_timeout_s,
        )
    except KeyError:
        raise InvalidInput(
            f"{NAMED_BY} names no user, and the user that runs this has no name. Write postgresql://user@host/database."
        ) from None
    except ValueError as error:
        raise InvalidInput(
            f"{NAMED_BY} and the environment's variables that begin with PG do not fit together ({error})."
        ) from None


def refuse_other_encoding(connection: "asyncpg.Connection[Row]", address: Address) -> None:
    encoding = connection.get_settings().server_encoding
    if encoding != ENCODING:
        raise DatabaseUnfit(
            f"The database at {address.location} has the encoding {encoding}, and memories are texts of any language. "
            "Make another one: CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0 LOCALE 'C.UTF-8';"
        )


async def refuse_shared_connection(connection: "asyncpg.Connection[Row]", address: Address) -> None:
    """For a pooler that gives a connection to another client as soon as a transaction or a statement ends.

    A pooler is known by naming another process than the one that answers, and its way by who gets which process.
    """
    if await connection.fetchval(PROCESS) == connection.get_server_pid():
        return
    another = await connect(address)
    try:
        async with asyncio.timeout(SHARING_TIMEOUT_S):
            is_shared = await _share(connection, another)
    except asyncpg.PostgresConnectionError as error:
        is_shared = "pooling mode" in str(error)  # PgBouncer's that allows no transactions at all.
        if not is_shared:
            raise
    except TimeoutError:
        is_shared = False
    finally:
        another.terminate()
    if is_shared:
        raise DatabaseUnfit(f"PostgreSQL at {address.location} cannot be used like this. {SESSION_MODE}")


async def _share(first: "asyncpg.Connection[Row]", second: "asyncpg.Connection[Row]") -> bool:
    async with first.transaction():
        process = await first.fetchval(PROCESS)
    async with second.transaction():
        if await second.fetchval(PROCESS) == process:
            return True
        async with first.transaction():
            return bool(await first.fetchval(PROCESS) != process)


async def prepare_connection(
    connection: "asyncpg.Connection[Row]", settings: Mapping[str, str] = WITHOUT_LIMITS
) -> None:
    """Vectors travel in binary, and no request waits for the look-up of a type."""
    await set_all(connection, {**SETTINGS, **WITHOUT_LIMITS})
    extension = await usable_vector(connection)
    await register_vector(connection, schema=extension.schema)
    await connection.fetch(LEARN_ARRAYS)
    # Searches that filter go on until they have enough rows.
    iterative = {"hnsw.iterative_scan": "strict_order"} if extension.version >= PGVECTOR_ITERATIVE else {}
    await set_all(connection, {**settings, **iterative})


async def set_all(connection: "asyncpg.Connection[Row]", settings: Mapping[str, str]) -> None:
    await connection.execute("".join(SET_ONE.format(name=name, value=value) for name, value in settings.items()))


async def usable_vector(connection: "asyncpg.Connection[Row]") -> Extension:
    """Raises `DatabaseUnavailable` when there is no pgvector, or none that can be used."""
    extension = await reach_vector(connection)
    if extension is None:
        raise DatabaseUnavailable(
            "The database has no pgvector: run `anima migrate`, or have an administrator run CREATE EXTENSION vector."
        )
    return extension


async def reach_vector(connection: "asyncpg.Connection[Row]") -> Extension | None:
    """The database's pgvector, from now on in reach of unqualified names; None when it has none.

    Raises `DatabaseUnavailable` for one that is too old, or in a schema that the role may not use.
    """
    row = await connection.fetchrow(VECTOR)
    if row is None:
        return None
    extension = Extension(row["schema"], tuple(row["version"]))
    if not row["is_reachable"]:
        raise DatabaseUnavailable(
            f"The role {row['role']} may not use the schema {extension.schema}, in which the database has pgvector. "
            f'Have that schema\'s owner run: GRANT USAGE ON SCHEMA "{extension.schema}" TO {row["role"]};'
        )
    if extension.version < PGVECTOR_MIN:
        found, needed = (".".join(map(str, version)) for version in (extension.version, PGVECTOR_MIN))
        raise DatabaseUnavailable(
            f"The database has pgvector {found}, and {needed} is the first with the index that searches use. Install a "
            "newer one on the server, and have an administrator run ALTER EXTENSION vector UPDATE in this database."
        )
    return extension
