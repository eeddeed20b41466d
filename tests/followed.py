"""A server that another one follows, with what a test does to make the other lag, or to wait for it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

from anima.migrations import migrate
from harness.measuring.servers.provisioners._shared.databases import PostgresServer, connected
from tests.waiting import until

END = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"
# The end of a page is told as the begin of the next one's records: one more record shows that all before it are there.
ONE_MORE = "SELECT pg_logical_emit_message(true, 'test', '')"
REPLAYED = "SELECT pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint"


@dataclass(frozen=True, slots=True)
class Followed:
    """A server and the one standby that follows it."""

    server: PostgresServer
    template: str = "template_followed"

    async def prepare(self) -> None:
        """The database that all later ones are copies of."""
        await migrate(await self.server.create_database(self.template))

    @property
    def standby(self) -> PostgresServer:
        return self.server.standbys[0]

    @asynccontextmanager
    async def migrated(self) -> AsyncGenerator[str]:
        """A database at the newest migration, which the standby has too."""
        name = f"test_{uuid4().hex}"
        url = await self.server.clone_database(self.template, name)
        await self.caught_up()
        yield url
        await self.server.drop_database(name)

    async def caught_up(self) -> None:
        """Returns when the standby has replayed all that is written so far."""
        async with connected(self.server.admin_url) as primary:
            end = await primary.fetchval(END)
            await primary.execute(ONE_MORE)

        async def has_replayed() -> bool:
            async with connected(self.standby.admin_url) as connection:
                return bool(await connection.fetchval(REPLAYED) >= end)

        await until(has_replayed)

    async def stop_replaying(self) -> None:
        """Until `go_on` the standby stays as it is, however much is written."""
        async with connected(self.standby.admin_url) as connection:
            await connection.execute("SELECT pg_wal_replay_pause()")

        async def is_paused() -> bool:
            async with connected(self.standby.admin_url) as connection:
                return bool(await connection.fetchval("SELECT pg_get_wal_replay_pause_state()") == "paused")

        await until(is_paused)

    async def go_on(self) -> None:
        async with connected(self.standby.admin_url) as connection:
            await connection.execute("SELECT pg_wal_replay_resume()")
        await self.caught_up()
