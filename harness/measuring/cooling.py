"""Makes a database cold before a request: none of its blocks is then in the memory that the server has for them.

Not for the memory of the operating system, which keeps what it has read of the files: only its administrator empties
that.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import asyncpg

from harness.errors import ProvisioningError, UsageError
from harness.measuring.connections import connected
from harness.measuring.observation import asking
from harness.measuring.probes.protocol import AskServer, NotObserved
from harness.measuring.scenario import Scenario
from harness.measuring.servers.provisioners.protocol import Server

CoolingWay = Literal["evictions", "restarts"]
"""What is counted of a phase whose requests were made cold."""

EVICTING: Final = "evicting"
"""The database that the extension is in: what is measured keeps its own as they are."""

CREATE_EXTENSION: Final = "CREATE EXTENSION IF NOT EXISTS pg_buffercache"
EVICT: Final = """
SELECT count(pg_buffercache_evict(bufferid)) AS evicted
  FROM pg_buffercache
 WHERE reldatabase = (SELECT oid FROM pg_database WHERE datname = $1)
"""
KEPT: Final = """
SELECT count(*) AS blocks
  FROM pg_buffercache
 WHERE reldatabase = (SELECT oid FROM pg_database WHERE datname = $1)
"""
EVICTIONS_TRIED_MAX: Final = 10
"""A block that somebody is reading stays, and background work reads further ones."""


class Cooling(Protocol):
    """A way to make a database cold."""

    @property
    def way(self) -> CoolingWay: ...

    async def cool(self, database: str) -> bool:
        """Says whether the sessions with the database, by its name on the server, have ended. Raises `HarnessError`."""
        ...


@dataclass(frozen=True, slots=True)
class Evictions:
    """Has the server give up the blocks of this one database, whose sessions stay. Others' blocks stay as well."""

    ask: AskServer
    """Asks in a database that has the extension."""
    way: CoolingWay = "evictions"

    async def cool(self, database: str) -> bool:
        for _ in range(EVICTIONS_TRIED_MAX):
            await self._row(EVICT, database)
            if not await self._row(KEPT, database):
                return False
        raise ProvisioningError(
            f"{EVICTIONS_TRIED_MAX} times in a row the server had blocks of the database in its memory right after it "
            "had given up all of them, so its requests are not cold. End what else works on it, such as background "
            "work of the target."
        )

    async def _row(self, query: str, database: str) -> int:
        try:
            row = await self.ask(query, database)
        except NotObserved as error:
            raise ProvisioningError(f"No request could be made cold: {error}.") from error
        assert row is not None, "a count has a row"
        return int(row[0])


@dataclass(frozen=True, slots=True)
class Restarts:
    """Starts a server again that is the run's own."""

    server: Server
    way: CoolingWay = "restarts"

    async def cool(self, database: str) -> bool:
        del database
        async with self.server.disrupted("restart"):
            pass
        return True


def refuse_cold(scenario: Scenario) -> None:
    """For who has others send its requests, and cannot have each wait. Raises `UsageError`."""
    if names := [phase.name for phase in scenario.phases if phase.is_cold]:
        raise UsageError(
            f"{names[0]} is cold, and two revisions are asked by processes of their own, which make nothing cold. "
            "Leave `cache` out of the phase, or compare variants of one revision: harness run."
        )


@asynccontextmanager
async def cooling(scenario: Scenario, server: Server) -> AsyncGenerator[Cooling | None]:
    """The way to be had here; None where nothing is to be cold. Raises `ProvisioningError` where there is none."""
    cold = next((phase.name for phase in scenario.phases if phase.is_cold), None)
    if cold is None:
        yield None
        return
    _refuse_elsewhere(scenario, server, cold)
    url = await server.create_database(EVICTING)
    if not (reason := await _why_not(url)):
        async with asking(url) as ask:
            yield Evictions(ask)
    elif "restart" not in server.cannot:
        yield Restarts(server)
    else:
        raise ProvisioningError(
            f"{cold} wants a cold cache, which this server does not allow. It evicts no blocks ({reason}): that takes "
            "PostgreSQL 17 or later, its extension pg_buffercache, and a superuser. And it is not the run's own to "
            "restart. Use a superuser, the `embedded` provisioner, or leave `cache` out of the phase."
        )


def _refuse_elsewhere(scenario: Scenario, server: Server, cold: str) -> None:
    if server.standby_urls(server.admin_url):
        raise ProvisioningError(
            f"{cold} wants a cold cache, and reads may go to `standbys`, whose caches stay warm. Leave one of them out."
        )
    if not all(map(scenario.works_on_database_of_run, scenario.variant_names)):
        raise ProvisioningError(
            f"{cold} wants a cold cache, and the service has a database of its own, which is not the run's to empty. "
            "Have the run start the service, or leave `cache` out of the phase."
        )


async def _why_not(url: str) -> str:
    """Says why the server evicts nothing; empty where it does."""
    try:
        async with connected(url) as connection:
            await connection.execute(CREATE_EXTENSION)
            await connection.fetchrow(EVICT, EVICTING)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return str(error).partition("\n")[0].rstrip(".")
    return ""
