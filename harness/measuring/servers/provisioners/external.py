"""Databases on a PostgreSQL server that is there already, named by a URL. Nothing else on it is touched.

Each run makes databases whose names begin with a prefix and a number of its own, marked by a comment, and a child of
this process drops them however this process ends. While that child lives it holds an advisory lock, so that `clean`
can tell what a run uses from what one has left.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

import asyncpg

from harness.errors import ProvisioningError, UsageError
from harness.measuring.servers.addresses import address, completed
from harness.measuring.servers.provisioners._shared.databases import (
    COMMENT,
    CREATE_VECTOR,
    DROP_DATABASE,
    FAILURES,
    POOLED,
    PostgresServer,
    connected,
    execute_named,
    missing_features,
    open_server,
    refusal,
    refuse_unfit,
)
from harness.measuring.servers.provisioners.protocol import DatabaseSettings, Disruption
from harness.measuring.servers.reaper import outliving

URL_VARIABLE: Final = "HARNESS_DATABASE_URL"
RUN_BYTES: Final = 6
PROBE: Final = "probe"

MAY_CREATE_DATABASES: Final = "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
MAY_CHECKPOINT: Final = "SELECT pg_has_role('pg_checkpoint', 'USAGE')"
PROCESS: Final = "SELECT pg_backend_pid()"
SHARING_TIMEOUT_S: Final = 2.0
CURRENT_USER: Final = "SELECT current_user"
INSTALLED_VECTOR: Final = "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
SETTING: Final = """
SELECT current_setting(s.name) AS value,
       s.context = 'user' OR (s.context = 'superuser' AND r.rolsuper) AS settable
  FROM pg_settings AS s, pg_roles AS r
 WHERE s.name = lower($1) AND r.rolname = current_user
"""
NO_CHECKPOINT: Final = (
    "the role may not CHECKPOINT, so what loading the corpus left to write may be written while something is measured "
    "(grant pg_checkpoint to end this)"
)
CANNOT: Final[Mapping[Disruption, str]] = MappingProxyType(
    dict.fromkeys(
        ("restart", "kill", "pause", "fill_disk", "fail_over"),
        "A server that is there already is not the run's own: others may use it. Use the `embedded` or the "
        "`testcontainers` provisioner for this, or terminate_backends and cut_network, which concern the run alone.",
    )
)
# In this session only; returns the value as the server writes it.
TRY_SETTING: Final = "SELECT set_config($1, $2, false)"
NEVER_IDLE: Final = "SET idle_session_timeout = 0"
LOCK: Final = "SELECT pg_advisory_lock($1)"
TRY_LOCK: Final = "SELECT pg_try_advisory_lock($1)"
DATABASES_OF: Final = "SELECT datname FROM pg_database WHERE starts_with(datname, $1) ORDER BY datname"
# Whatever their prefix was: the mark, the number of the run and the owner tell them from all others.
MARKED_DATABASES: Final = """
SELECT datname, substring(datname FROM '^[a-z][a-z0-9_]*_([0-9a-f]{12})_') AS run
  FROM pg_database AS d
 WHERE datname ~ '^[a-z][a-z0-9_]*_[0-9a-f]{12}_'
   AND shobj_description(d.oid, 'pg_database') = $1
   AND pg_has_role(d.datdba, 'USAGE')
 ORDER BY datname
"""


@dataclass(frozen=True, slots=True)
class ExternalProvisioner:
    """Uses the server at `url`, or at the environment's HARNESS_DATABASE_URL. Any number of runs may share it."""

    url: str | None = field(default=None, repr=False)
    prefix: str = "harness"

    @classmethod
    def of_settings(cls, settings: DatabaseSettings) -> "ExternalProvisioner":
        return cls(settings.url, settings.prefix)

    @property
    def name(self) -> str:
        return "external"

    async def check(self) -> None:
        async with connected(self._url()):
            pass

    @asynccontextmanager
    async def start(self, settings: Mapping[str, str]) -> AsyncGenerator[PostgresServer]:
        """Settings hold in the run's databases alone; what they cannot change must be as stated already."""
        url = self._url()
        await _refuse_shared_connection(url)
        run = secrets.token_hex(RUN_BYTES)
        server = replace(await open_server(self.name, url), prefix=f"{self.prefix}_{run}_", cannot=CANNOT)
        await _refuse_unprivileged(url)
        server = await _with_settings(server, settings)
        async with outliving(f"{__name__}:databases_of", url=url, prefix=server.prefix, run=run):
            yield await _probed(server)

    def _url(self) -> str:
        url = self.url or os.environ.get(URL_VARIABLE)
        if not url:
            raise UsageError(
                "The `external` provisioner needs the URL of a server: give it as --database "
                f"postgresql://user@host/database, as `url` in the scenario's [database], or in {URL_VARIABLE}."
            )
        return completed(url)

    async def clean(self) -> tuple[str, ...]:
        """Marked databases whose run holds no lock. Nothing when no server is named."""
        if not self.url and URL_VARIABLE not in os.environ:
            return ()
        removed = list[str]()
        async with connected(self._url()) as connection:
            for name, run in await connection.fetch(MARKED_DATABASES, COMMENT):
                if await connection.fetchval(TRY_LOCK, _lock_of(run)):
                    await execute_named(self._url(), (DROP_DATABASE, name))
                    removed.append(f"database {name}")
        return tuple(removed)


async def _refuse_shared_connection(url: str) -> None:
    """For a pooler that gives a connection to another client when a transaction ends, and locks and settings with it.

    A pooler is known by naming another process than the one that answers, and its way by who gets which process.
    """
    try:
        async with connected(url) as first:
            if await first.fetchval(PROCESS) == first.get_server_pid():
                return
            is_shared = await _is_shared(url, first)
    except ProvisioningError as error:
        # PgBouncer's words for transactions, which one of its modes has none of, and for statements that are lost.
        is_shared = "pooling mode" in str(error) or isinstance(error.__cause__, POOLED)
        if not is_shared:
            raise
    if is_shared:
        raise ProvisioningError(
            f"What pools connections at {address(url)} gives each transaction another one, and prepared statements, "
            "settings and locks are lost with it. In PgBouncer, set pool_mode = session for the databases of the run, "
            "or name PostgreSQL's own address."
        )


async def _is_shared(url: str, first: "asyncpg.Connection[Any]") -> bool:
    """A pooler that has no second connection for a while keeps the first for who has it."""
    second = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(SHARING_TIMEOUT_S):
            return await _share(first, second)
    except TimeoutError:
        return False
    finally:
        second.terminate()


async def _share(first: "asyncpg.Connection[Any]", second: "asyncpg.Connection[Any]") -> bool:
    async with first.transaction():
        process = await first.fetchval(PROCESS)
    async with second.transaction():
        if await second.fetchval(PROCESS) == process:
            return True
        async with first.transaction():
            return bool(await first.fetchval(PROCESS) != process)


async def _refuse_unprivileged(url: str) -> None:
    async with connected(url) as connection:
        if not await connection.fetchval(MAY_CREATE_DATABASES):
            role = await connection.fetchval(CURRENT_USER)
            raise ProvisioningError(
                f"The role {role} may not create databases at {address(url)}. Grant it, as an administrator: "
                f'ALTER ROLE "{role}" CREATEDB.'
            )


async def _with_settings(server: PostgresServer, settings: Mapping[str, str]) -> PostgresServer:
    """The server with these settings in each database of the run. Raises `ProvisioningError` for one that cannot be."""
    applied = dict[str, str]()
    async with connected(server.admin_url) as connection:
        for name, stated in settings.items():
            found = await connection.fetchrow(SETTING, name)
            if found is None or not found["settable"]:
                _refuse_other(name, stated, found and found["value"], address(server.admin_url))
            else:
                applied[name] = await connection.fetchval(TRY_SETTING, name, stated)
    facts = replace(server.facts, settings=MappingProxyType({**server.facts.settings, **settings, **applied}))
    return replace(server, facts=facts, database_settings=MappingProxyType(applied))


def _refuse_other(name: str, stated: str, found: str | None, where: str) -> None:
    """For a setting of the whole server, which is not ours to change."""
    if found != stated:
        raise ProvisioningError(
            f"The scenario states {name} = {stated}, and the server at {where} has {found or 'no such setting'}. It "
            "holds for the whole server, so set it there, or leave it out of the scenario."
        )


async def _probed(server: PostgresServer) -> PostgresServer:
    """The server with what only a database of the run's own shows: the pgvector in it, and whether it can be cloned."""
    try:
        url = await server.create_database(PROBE)
    except ProvisioningError as error:
        raise _without_extension(server, error) from error
    async with connected(url) as connection:
        pgvector_version = await connection.fetchval(INSTALLED_VECTOR)
        may_checkpoint = await connection.fetchval(MAY_CHECKPOINT)
    lacks = (*missing_features(pgvector_version), *(() if may_checkpoint else (NO_CHECKPOINT,)))
    facts = replace(server.facts, pgvector_version=pgvector_version, lacks=lacks)
    refuse_unfit(facts, address(url))
    try:
        await server.clone_database(PROBE, f"{PROBE}_clone")
    except ProvisioningError as error:
        without = f"databases are copied by dump and restore, since the server does not clone them ({error})"
        facts = replace(facts, cloning="dump and restore", lacks=(*facts.lacks, without))
    for name in (PROBE, f"{PROBE}_clone"):
        await server.drop_database(name)
    return replace(server, facts=facts)


def _without_extension(server: PostgresServer, error: ProvisioningError) -> ProvisioningError:
    if not isinstance(error.__cause__, asyncpg.InsufficientPrivilegeError):
        return error
    return ProvisioningError(
        f"The server at {address(server.admin_url)} lets only an administrator install pgvector into a database. Have "
        f"one install it where new databases copy it from, once: connected to template1, {CREATE_VECTOR}."
    )


@contextmanager
def databases_of(url: str, prefix: str, run: str) -> Generator[None]:
    """Drops the run's databases at the end. Entered in the child that outlives the run."""
    with asyncio.Runner() as runner:
        lock = runner.run(_locked(url, run))
        try:
            yield
        finally:
            runner.run(_drop(url, prefix))
            lock.terminate()


async def _locked(url: str, run: str) -> "asyncpg.Connection[Any]":
    try:
        connection = await asyncpg.connect(url)
        await connection.execute(NEVER_IDLE)
        await connection.fetchval(LOCK, _lock_of(run))
    except FAILURES as error:
        raise ProvisioningError(refusal(url, error)) from error
    return connection


async def _drop(url: str, prefix: str) -> None:
    async with connected(url) as connection:
        names = [name for (name,) in await connection.fetch(DATABASES_OF, prefix)]
    await execute_named(url, *((DROP_DATABASE, name) for name in names))


def _lock_of(run: str) -> int:
    return int(run, 16)
