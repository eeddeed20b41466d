"""All three tiers in one statement: the shares of thread and stable follow from the active rows inside it."""

from typing import Final

from anima.bootstraps.protocol import MOST_RECENT, MOST_RESONANT, bound
from anima.database import Session, Statement
from anima.model import Bootstrap, BootstrapRequest, Tier
from anima.rows import COLUMNS, memory_from


def _first(tier: Tier, condition: str, order: str, limit: str) -> str:
    """Numbers only the rows within the limit: an index in this order is read no further, and a sort keeps no more."""
    return f"""
        SELECT {COLUMNS}, row_number() OVER (ORDER BY {order}) AS position
        FROM (
            SELECT {COLUMNS} FROM memories
            WHERE {condition} AND deleted_at IS NULL AND tier = '{tier}'
            ORDER BY {order}
            LIMIT {limit}
        ) AS first
    """  # noqa: S608 -- only constants of this module are put in


LOAD: Final = Statement(
    "bootstrap.load",
    f"""
    WITH active AS MATERIALIZED ({_first(Tier.ACTIVE, "$2", MOST_RECENT, "$3")}),
    remaining (memories) AS (
        SELECT greatest(0, $1::bigint - count(*)) FROM active
    ),
    thread AS ({_first(Tier.THREAD, "$4", MOST_RESONANT, "(SELECT (7 * memories + 9) / 10 FROM remaining)")}),
    stable AS ({_first(Tier.STABLE, "$5", MOST_RESONANT, "(SELECT 3 * memories / 10 FROM remaining)")}),
    chosen AS (SELECT * FROM active UNION ALL SELECT * FROM thread UNION ALL SELECT * FROM stable)
    SELECT * FROM chosen
    ORDER BY position
    """,  # noqa: S608 -- only constants of this module are put in
    reads=True,
)


class OneQueryBootstrap:
    async def load(self, session: Session, request: BootstrapRequest) -> Bootstrap:
        return Bootstrap.of(memory_from(row) for row in await session.fetch(LOAD, *bound(request)))
