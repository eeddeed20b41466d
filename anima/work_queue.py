"""pgqueuer, run in the sessions and so in the transactions of its callers; and what is asked of its tables besides."""

from typing import Any, Final, cast

import asyncpg
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.db import AsyncpgDriver
from pgqueuer.domain.settings import DBSettings
from pgqueuer.queries import Queries

from anima.database import Session, Statement

LANE_LEVELS: Final = Statement(
    "queue.levels",
    """
    SELECT
        kind,
        count(*) FILTER (WHERE status <> 'failed') AS queued,
        count(*) FILTER (WHERE status = 'failed') AS held,
        coalesce(extract(epoch FROM now() - min(created) FILTER (WHERE status <> 'failed')), 0)::float8 AS oldest_age_s
    FROM unnest($1::text[]) AS kind LEFT JOIN pgqueuer ON entrypoint = kind
    GROUP BY kind
    """,
    reads=True,
)

PRUNE: Final = Statement(
    "queue.prune",
    """
    DELETE FROM pgqueuer_log WHERE id IN (
        SELECT id FROM pgqueuer_log
        WHERE created < now() - $1::interval AND status <> 'failed'
        ORDER BY created
        LIMIT $2
        FOR UPDATE SKIP LOCKED
    )
    """,
)
FIRST_IN_LINE: Final = Statement(
    "queue.first_in_line", "SELECT pg_try_advisory_xact_lock(hashtext('anima.lane'), hashtext($1))"
)


class SessionDriver(AsyncpgDriver):
    """Lets pgqueuer run its statements in the caller's session, and so in the caller's transaction."""

    def __init__(self, session: Session) -> None:
        super().__init__(cast("asyncpg.Connection[asyncpg.Record]", session.connection))
        self._session = session

    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        return [dict(row) for row in await self._session.fetch(Statement("queue", query), *args)]

    async def execute(self, query: str, *args: object) -> str:
        return str(await self._session.execute(Statement("queue", query), *args))


class QueueSettings(DBSettings):
    """pgqueuer's own names. It would read others from the environment, under names as plain as CHANNEL or FUNCTION."""

    @classmethod
    def settings_customise_sources(cls, settings_cls: Any, init_settings: Any, *_: Any, **__: Any) -> tuple[Any, ...]:  # noqa: ANN401 -- the types are those of a library that pgqueuer brings
        del settings_cls
        return (init_settings,)


QUEUE_SETTINGS: Final = QueueSettings()
TO_MIGRATE: Final = QueryBuilderEnvironment(QUEUE_SETTINGS)
TO_QUEUE: Final = QueryQueueBuilder(QUEUE_SETTINGS)
TO_SCHEDULE: Final = QuerySchedulerBuilder(QUEUE_SETTINGS)


def queue_of(session: Session) -> Queries:
    return Queries(SessionDriver(session), TO_MIGRATE, TO_QUEUE, TO_SCHEDULE)


async def install(session: Session) -> None:
    """Makes or upgrades pgqueuer's tables, so that every schema version has the queue.

    Its trigger notifies at each change of the queue. Nobody listens, and PostgreSQL lets only one transaction at a
    time commit that has notified, so it goes.
    """
    queue = queue_of(session)
    if await queue.schema_is_installed():
        await queue.upgrade()
    else:
        await queue.install()
    await session.connection.execute(f"DROP TRIGGER {QUEUE_SETTINGS.trigger} ON {QUEUE_SETTINGS.queue_table}")
