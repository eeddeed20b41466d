"""All three tiers in one statement: the shares of thread and stable follow from the active rows inside it."""

from typing import Final

from anima.database import Session, Statement
from anima.model import Bootstrap, BootstrapRequest, Tier
from anima.rows import COLUMNS, memory_from

POSITION_BY_PHI: Final = "row_number() OVER (ORDER BY resonance_phi DESC, access_count DESC, last_accessed DESC, id)"

LOAD: Final = Statement(
    "bootstrap.load",
    f"""
    WITH active AS MATERIALIZED (
        SELECT {COLUMNS}, row_number() OVER (ORDER BY last_accessed DESC, id) AS position FROM memories
        WHERE $2 AND deleted_at IS NULL AND tier = 'active'
        ORDER BY position
        LIMIT $3
    ),
    remaining (memories) AS (
        SELECT greatest(0, $1::bigint - count(*)) FROM active
    ),
    thread AS (
        SELECT {COLUMNS}, {POSITION_BY_PHI} AS position FROM memories
        WHERE $4 AND deleted_at IS NULL AND tier = 'thread'
        ORDER BY position
        LIMIT (SELECT (7 * memories + 9) / 10 FROM remaining)
    ),
    stable AS (
        SELECT {COLUMNS}, {POSITION_BY_PHI} AS position FROM memories
        WHERE $5 AND deleted_at IS NULL AND tier = 'stable'
        ORDER BY position
        LIMIT (SELECT 3 * memories / 10 FROM remaining)
    )
    SELECT * FROM active UNION ALL SELECT * FROM thread UNION ALL SELECT * FROM stable
    ORDER BY position
    """,  # noqa: S608 -- only the constant column list is put in
)


class OneQueryBootstrap:
    async def load(self, session: Session, request: BootstrapRequest) -> Bootstrap:
        rows = await session.fetch(
            LOAD,
            request.limit,
            request.include_active,
            request.active_limit,
            request.include_thread,
            request.include_stable,
        )
        memories = tuple(map(memory_from, rows))
        return Bootstrap(
            active=tuple(memory for memory in memories if memory.tier is Tier.ACTIVE),
            thread=tuple(memory for memory in memories if memory.tier is Tier.THREAD),
            stable=tuple(memory for memory in memories if memory.tier is Tier.STABLE),
        )
