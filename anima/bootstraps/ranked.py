"""Reads each tier from an index in exactly its order, as of the last folding, and ranks what was recalled since.

A memory comes as one JSON text: a client takes more time to make sixteen cells of it, and a server has more processors.
"""

from typing import Final

from anima.database import Session, Statement
from anima.model import Bootstrap, BootstrapRequest, Tier
from anima.rows import COLUMNS, memory_of_json

BY_RECENCY: Final = "last_accessed DESC, id"
BY_PHI: Final = "resonance_phi DESC, access_count DESC, last_accessed DESC, id"


def _first(tier: Tier, condition: str, order: str, limit: str) -> str:
    """A memory that is not in `recalled` is as its rank says; one that is may be in any tier by now."""
    return f"""
        SELECT id, position FROM (
            SELECT id, row_number() OVER (ORDER BY {order}) AS position
            FROM (
                (
                    SELECT id, last_accessed, resonance_phi, access_count FROM memory_ranks
                    WHERE {condition} AND tier = '{tier}' AND id NOT IN (SELECT id FROM recalled)
                    ORDER BY {order}
                    LIMIT {limit}
                )
                UNION ALL
                SELECT id, last_accessed, resonance_phi, access_count FROM recalled
                WHERE {condition} AND tier = '{tier}' AND is_live
            ) AS either
        ) AS ranked
        ORDER BY position
        LIMIT {limit}
    """  # noqa: S608 -- only constants of this module are put in


LOAD: Final = Statement(
    "bootstrap.load",
    f"""
    WITH recalled AS MATERIALIZED (
        SELECT current.*
        FROM (SELECT DISTINCT unnest(memory_ids) AS id FROM memory_recalls) AS named,
            -- One by one: a plan for any number of recalls reads all memories.
            LATERAL (SELECT * FROM memory_states AS s WHERE s.id = named.id OFFSET 0) AS current
    ),
    active AS MATERIALIZED ({_first(Tier.ACTIVE, "$2", BY_RECENCY, "$3")}),
    remaining (memories) AS (
        SELECT greatest(0, $1::bigint - count(*)) FROM active
    ),
    thread AS ({_first(Tier.THREAD, "$4", BY_PHI, "(SELECT (7 * memories + 9) / 10 FROM remaining)")}),
    stable AS ({_first(Tier.STABLE, "$5", BY_PHI, "(SELECT 3 * memories / 10 FROM remaining)")}),
    chosen AS (SELECT * FROM active UNION ALL SELECT * FROM thread UNION ALL SELECT * FROM stable)
    SELECT row_to_json(told)
    FROM (SELECT {COLUMNS}, position FROM chosen JOIN current_memories USING (id)) AS told
    ORDER BY position
    """,  # noqa: S608 -- only constants of this module are put in
    reads=True,
)


class RankedBootstrap:
    async def load(self, session: Session, request: BootstrapRequest) -> Bootstrap:
        rows = await session.fetch(
            LOAD,
            request.limit,
            request.include_active,
            request.active_limit,
            request.include_thread,
            request.include_stable,
        )
        memories = tuple(memory_of_json(row[0]) for row in rows)
        return Bootstrap(
            active=tuple(memory for memory in memories if memory.tier is Tier.ACTIVE),
            thread=tuple(memory for memory in memories if memory.tier is Tier.THREAD),
            stable=tuple(memory for memory in memories if memory.tier is Tier.STABLE),
        )
