"""Reads each tier from an index in exactly its order, as of the last folding, and ranks what was recalled since.

The order is found by `ids_of_bootstrap` (migration 017). Memories come as JSON, a hundred in one text: a client takes
more time to make sixteen cells of each, and a row, and a server has more processors.
"""

from itertools import chain
from typing import Final

from anima.bootstraps.protocol import bound
from anima.database import Session, Statement
from anima.model import Bootstrap, BootstrapRequest
from anima.rows import COLUMNS, memories_of_json

AT_ONCE: Final = 100

LOAD: Final = Statement(
    "bootstrap.load",
    # One by one: a plan for any number of memories reads all of them.
    f"""
    SELECT part.memories
    FROM
        (SELECT ids_of_bootstrap($1, $2, $3, $4, $5) AS ids OFFSET 0) AS chosen,
        generate_series(1, cardinality(ids), {AT_ONCE}) AS first,
        LATERAL (
            SELECT json_agg(told ORDER BY position) AS memories
            FROM
                unnest(ids[first:first + {AT_ONCE - 1}]) WITH ORDINALITY AS one (id, position),
                LATERAL (SELECT {COLUMNS} FROM current_memories AS c WHERE c.id = one.id OFFSET 0) AS told
        ) AS part
    ORDER BY first
    """,  # noqa: S608 -- only constants are put in
    reads=True,
)


class RankedBootstrap:
    async def load(self, session: Session, request: BootstrapRequest) -> Bootstrap:
        parts = await session.fetch(LOAD, *bound(request))
        return Bootstrap.of(chain.from_iterable(memories_of_json(part[0]) for part in parts))
