"""Reads each tier from an index in exactly its order, as of the last folding, and ranks what was recalled since.

A memory comes as one JSON text: a client takes more time to make sixteen cells of it, and a server has more processors.
"""

from functools import partial
from typing import Final

from anima.bootstraps.protocol import bound, tiers_of
from anima.database import Session, Statement
from anima.model import Bootstrap, BootstrapRequest, Tier
from anima.rows import COLUMNS, memory_of_json

FEW: Final = 100
"""Where no more are asked for, the statement says so: without that, its plan would be made anew each time."""


def _first(most: str, tier: Tier, condition: str, order: str, limit: str) -> str:
    """A memory that is not in `recalled` is as its rank says; one that is may be in any tier by now."""
    return f"""
        SELECT id, position FROM (
            SELECT id, row_number() OVER (ORDER BY {order}) AS position
            FROM (
                (
                    SELECT * FROM (
                        SELECT id, last_accessed, resonance_phi, access_count FROM memory_ranks
                        WHERE {condition} AND tier = '{tier}' AND id NOT IN (SELECT id FROM recalled)
                        ORDER BY {order}
                        LIMIT {most}
                    ) AS first
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


def _load(most: str) -> Statement:
    """Reads that many of each tier at most."""
    return Statement(
        "bootstrap.load",
        f"""
        WITH recalled AS MATERIALIZED (
            SELECT current.*
            FROM (SELECT DISTINCT unnest(memory_ids) AS id FROM memory_recalls) AS named,
                -- One by one: a plan for any number of recalls reads all memories.
                LATERAL (SELECT * FROM memory_states AS s WHERE s.id = named.id OFFSET 0) AS current
        ),
        {tiers_of(partial(_first, most))}
        SELECT row_to_json(told)
        FROM (SELECT {COLUMNS}, position FROM chosen JOIN current_memories USING (id)) AS told
        ORDER BY position
        """,  # noqa: S608 -- only constants of this module are put in
        reads=True,
    )


LOAD: Final = _load("ALL")
LOAD_FEW: Final = _load(str(FEW))


class RankedBootstrap:
    async def load(self, session: Session, request: BootstrapRequest) -> Bootstrap:
        asks_for_few = request.active_limit is not None and max(request.active_limit, request.limit) <= FEW
        rows = await session.fetch(LOAD_FEW if asks_for_few else LOAD, *bound(request))
        return Bootstrap.of(memory_of_json(row[0]) for row in rows)
