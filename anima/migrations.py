"""Applies migrations/*.sql in order, each in or out of a transaction as its first line declares."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

import asyncpg

from anima import work_queue
from anima.connections import Row, connected, reach_vector
from anima.database import Session
from anima.errors import MigrationFailed
from anima.rights import refuse_no_schema

LOCK_KEY: Final = 0x616E696D61
LOCK_POLL_S: Final = 0.1
FILE_NAME: Final = re.compile(r"(?P<version>\d{3})_(?P<title>\w+)\.sql")
DECLARATION: Final = re.compile(r"-- transaction: (?P<transaction>yes|no)\n")
REQUIREMENT: Final = re.compile(r"^-- requires: pgvector (?P<version>[\d.]+)$", re.MULTILINE)
INDEX_CREATED: Final = re.compile(r"CREATE (?:UNIQUE )?INDEX CONCURRENTLY IF NOT EXISTS (?P<index>\w+)")
INDEX_DROPPED: Final = re.compile(r"DROP INDEX CONCURRENTLY IF EXISTS (?P<index>\w+)")

VECTOR_VERSION: Final = "SELECT extversion FROM pg_extension WHERE extname = 'vector'"


@dataclass(frozen=True, slots=True)
class Migration:
    version: int
    title: str
    sql: str
    in_transaction: bool

    @property
    def name(self) -> str:
        return f"{self.version:03d}_{self.title}"

    @property
    def pgvector_version(self) -> str:
        """The oldest that it works with."""
        required = REQUIREMENT.search(self.sql)
        return required["version"] if required else "0"


@dataclass(frozen=True, slots=True)
class Status:
    """A migration and whether the database has it."""

    migration: Migration
    applied: bool


def directory() -> Path:
    """Inside the installed package, or at the top of a checkout."""
    packaged = Path(str(resources.files("anima"))) / "_migrations"
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / "migrations"


def all_migrations(path: Path | None = None) -> tuple[Migration, ...]:
    """All migrations by version. Raises `MigrationFailed` for a file that is named or declared wrongly."""
    migrations = tuple(map(_read, sorted((path or directory()).glob("*.sql"))))
    for expected, migration in enumerate(migrations, start=1):
        if migration.version != expected:
            raise MigrationFailed(
                f"{migration.name}.sql: expected version {expected:03d}; versions have no gaps or repeats."
            )
    return migrations


def _read(path: Path) -> Migration:
    name = FILE_NAME.fullmatch(path.name)
    sql = path.read_text(encoding="utf-8")
    declared = DECLARATION.match(sql)
    if name is None:
        raise MigrationFailed(f"{path.name}: a migration is named like 008_title.sql.")
    if declared is None:
        raise MigrationFailed(f"{path.name}: its first line must be `-- transaction: yes` or `-- transaction: no`.")
    return Migration(int(name["version"]), name["title"], sql, declared["transaction"] == "yes")


async def migrate(url: str, *, to: int | None = None) -> tuple[Migration, ...]:
    """Brings the database to version `to` (default: the newest) and returns what was applied.

    Two at once are safe: the second waits for the first. Raises `MigrationFailed` and `DatabaseUnavailable`.
    """
    migrations = all_migrations()
    wanted = migrations[-1].version if to is None else to
    if not 1 <= wanted <= migrations[-1].version:
        raise MigrationFailed(f"There is no migration {wanted}: versions go from 1 to {migrations[-1].version}.")
    async with connected(url) as connection, exclusive(connection):
        await refuse_no_schema(connection)
        await _prepare(connection)
        applied = await _applied(connection)
        if applied and max(applied) > wanted:
            raise MigrationFailed(
                f"The database is at version {max(applied)}, beyond {wanted}. Migrations only go forward: "
                "clone or restore an older database."
            )
        pending = tuple(m for m in migrations if m.version <= wanted and m.version not in applied)
        vector_version: str = await connection.fetchval(VECTOR_VERSION)
        for migration in pending:
            _require(vector_version, migration)
            await _apply(connection, migration)
    return pending


def _require(vector_version: str, migration: Migration) -> None:
    if comparable(vector_version) < comparable(migration.pgvector_version):
        raise MigrationFailed(
            f"Migration {migration.name} needs pgvector {migration.pgvector_version}, and the database has "
            f"{vector_version}. Install a newer one on the server and run ALTER EXTENSION vector UPDATE; until then "
            f"`anima migrate --to {migration.version - 1}` and `--strategy batched` work."
        )


def comparable(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))


async def status(url: str) -> tuple[Status, ...]:
    """Every migration that this release knows, and whether the database has it."""
    async with connected(url) as connection:
        await refuse_no_schema(connection)
        known = await connection.fetchval(
            "SELECT EXISTS ("
            "SELECT FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'anima_migrations')"
        )
        applied = await _applied(connection) if known else set[int]()
    return tuple(Status(migration, migration.version in applied) for migration in all_migrations())


async def unusable_indexes(url: str) -> tuple[str, ...]:
    """The names of the indexes that the applied migrations have made, and that are missing or invalid now.

    PostgreSQL then answers without them: rightly, and slowly.
    """
    async with connected(url) as connection:
        return tuple(await _unusable_indexes(connection))


async def mend_indexes(url: str) -> tuple[str, ...]:
    """Makes those indexes again, beside readers and writers; returns their names. Raises `MigrationFailed`."""
    async with connected(url) as connection, exclusive(connection):
        unusable = await _unusable_indexes(connection)
        for index, statement in unusable.items():
            try:
                await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {index}")
                await connection.execute(statement)
            except asyncpg.PostgresError as error:
                raise MigrationFailed(
                    f"The index {index} could not be made again: {in_one_line(error)}. Mend the cause and run it again."
                ) from error
    return tuple(unusable)


async def _unusable_indexes(connection: "asyncpg.Connection[Row]") -> dict[str, str]:
    """The statement that makes it, by the name of the index."""
    applied = await _applied(connection)
    wanted: dict[str, str] = {}
    for migration in all_migrations():
        if migration.version in applied and not migration.in_transaction:
            for statement in statements(migration.sql):
                wanted |= dict.fromkeys(INDEX_CREATED.findall(statement), statement)
                wanted = {name: made for name, made in wanted.items() if name not in INDEX_DROPPED.findall(statement)}
    usable = await connection.fetch(
        "SELECT relname FROM pg_index JOIN pg_class AS c ON c.oid = indexrelid"
        " WHERE indisvalid AND relnamespace = quote_ident(current_schema())::regnamespace AND relname = ANY($1)",
        list(wanted),
    )
    return {index: statement for index, statement in wanted.items() if index not in {row["relname"] for row in usable}}


@asynccontextmanager
async def exclusive(connection: "asyncpg.Connection[Row]") -> AsyncGenerator[None]:
    """Nobody else migrates this database or makes a schema in it meanwhile.

    Polls for the lock: a session that waits inside PostgreSQL holds a snapshot, and CONCURRENTLY waits for it.
    """
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK_KEY):  # noqa: ASYNC110 -- no event: the lock is the server's.
        await asyncio.sleep(LOCK_POLL_S)
    try:
        yield
    finally:
        await connection.fetchval("SELECT pg_advisory_unlock($1)", LOCK_KEY)


async def _prepare(connection: "asyncpg.Connection[Row]") -> None:
    """The extension, the list of applied migrations, and the queue, none of which a migration owns."""
    await _enable_vector(connection)
    try:
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS anima_migrations ("
            "version integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        await work_queue.install(Session(connection))
    except asyncpg.PostgresError as error:
        raise MigrationFailed(
            f"The tables of migrations and of the queue cannot be made: {in_one_line(error)}. "
            "Use a role that may create tables in the first schema of its search path."
        ) from error


async def _enable_vector(connection: "asyncpg.Connection[Row]") -> None:
    try:
        await connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    except (
        asyncpg.InsufficientPrivilegeError,
        asyncpg.FeatureNotSupportedError,
        asyncpg.UndefinedFileError,
    ) as error:
        raise MigrationFailed(
            f"pgvector cannot be enabled ({in_one_line(error)}). "
            "Have an administrator of the server, on which it has to be installed, run in this database: "
            "CREATE EXTENSION vector;"
        ) from error
    await reach_vector(connection)


async def _applied(connection: "asyncpg.Connection[Row]") -> set[int]:
    return {row["version"] for row in await connection.fetch("SELECT version FROM anima_migrations")}


async def _apply(connection: "asyncpg.Connection[Row]", migration: Migration) -> None:
    try:
        if migration.in_transaction:
            async with connection.transaction():
                await connection.execute(migration.sql)
                await _record(connection, migration)
        else:
            await _drop_invalid_indexes(connection, migration)
            for statement in statements(migration.sql):
                await connection.execute(statement)
            await _record(connection, migration)
    except asyncpg.PostgresError as error:
        raise MigrationFailed(
            f"Migration {migration.name} failed: {in_one_line(error)}. "
            "Earlier ones are kept; mend the cause and run it again."
        ) from error


async def _record(connection: "asyncpg.Connection[Row]", migration: Migration) -> None:
    await connection.execute(
        "INSERT INTO anima_migrations (version, name) VALUES ($1, $2)", migration.version, migration.name
    )


async def _drop_invalid_indexes(connection: "asyncpg.Connection[Row]", migration: Migration) -> None:
    """An interrupted CREATE INDEX CONCURRENTLY leaves an invalid index, which IF NOT EXISTS would take for done."""
    invalid = await connection.fetch(
        "SELECT indexrelid::regclass::text AS name FROM pg_index JOIN pg_class AS c ON c.oid = indexrelid"
        " WHERE NOT indisvalid AND relnamespace = quote_ident(current_schema())::regnamespace AND relname = ANY($1)",
        INDEX_CREATED.findall(migration.sql),
    )
    for row in invalid:
        await connection.execute(f"DROP INDEX CONCURRENTLY {row['name']}")


def in_one_line(error: asyncpg.PostgresError) -> str:
    """PostgreSQL's message with its detail and hint, each of which starts a line."""
    return " ".join(str(error).split()).removesuffix(".")


def statements(sql: str) -> list[str]:
    """The statements of a file that runs outside a transaction; sent together they would be in one."""
    without_comments = re.sub(r"--[^\n]*", "", sql)
    return [statement.strip() for statement in without_comments.split(";") if statement.strip()]
