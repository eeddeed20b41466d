"""Reads each tier from an index in exactly its order, as of the last folding, and ranks what was recalled since.

The order is found by `ids_of_bootstrap` (migration 015). A memory comes as one JSON text: a client takes more time to
make sixteen cells of it, and a server has more processors.
"""

from typing import Final

from anima.bootstraps.protocol import bound
from anima.database import Session, Statement
from anima.model import Bootstrap, BootstrapRequest
from anima.rows import COLUMNS, memory_of_json

LOAD: Final = Statement(
    "bootstrap.load",
    # One by one: a plan for any number of memories reads all of them.
    f"""
    SELECT row_to_json(told)
    FROM
        unnest(ids_of_bootstrap($1, $2, $3, $4, $5)) WITH ORDINALITY AS chosen (id, position),
        LATERAL (SELECT {COLUMNS} FROM current_memories AS c WHERE c.id = chosen.id OFFSET 0) AS told
    ORDER BY position
    """,  # noqa: S608 -- only the constant column list is put in
    reads=True,
)


class RankedBootstrap:
    async def load(self, session: Session, request: BootstrapRequest) -> Bootstrap:
        return Bootstrap.of(memory_of_json(row[0]) for row in await session.fetch(LOAD, *bound(request)))
