"""Says what a role has to be allowed, looked at before the service starts: else some requests would fail."""

from collections.abc import Mapping
from typing import Final

import asyncpg

from anima.connections import Row, connected
from anima.errors import DatabaseUnfit

READ_AND_ADD: Final = ("SELECT", "INSERT")
ALL: Final = ("SELECT", "INSERT", "UPDATE", "DELETE")
ON_TABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "memories": (*READ_AND_ADD, "UPDATE"),
    "memory_associations": ALL,
    "memory_access_log": READ_AND_ADD,
    "tier_promotions": READ_AND_ADD,
    "pgqueuer": ALL,
    "pgqueuer_log": ALL,
    # From migration 009 on, what changes often lies in these, whichever strategy writes.
    "memory_states": ALL,
    "memory_keys": ALL,
    "memory_keys_due": ALL,
    "memory_ranks": ALL,
    "memory_recalls": ALL,
}
SCHEMA: Final = "SELECT current_schema(), quote_ident(current_user) AS role, current_setting('search_path') AS path"
# A table that is not there has no rights to be missing.
MISSING: Final = """
    SELECT format('GRANT %s ON %s TO %I;', string_agg(privilege, ', '), to_regclass(name), current_user) AS needed
    FROM unnest($1::text[], $2::text[]) AS required(name, privilege)
    WHERE NOT has_table_privilege(to_regclass(name), privilege)
    GROUP BY name
    UNION ALL
    SELECT format('GRANT USAGE ON SEQUENCE %s TO %I;', sequence, current_user)
    FROM pg_get_serial_sequence('pgqueuer', 'id') AS sequence
    WHERE NOT has_sequence_privilege(sequence, 'USAGE')
    ORDER BY 1
"""


async def refuse_missing_rights(url: str) -> None:
    """Raises `DatabaseUnfit`, with the statements that give what is missing."""
    required = [(name, privilege) for name, privileges in ON_TABLES.items() for privilege in privileges]
    async with connected(url) as connection:
        names, privileges = zip(*required, strict=True)
        missing = [row["needed"] for row in await connection.fetch(MISSING, names, privileges)]
    if missing:
        raise DatabaseUnfit(
            f"The role may not do all that the service does. Have the owner of its tables run: {' '.join(missing)}"
        )


async def refuse_no_schema(connection: "asyncpg.Connection[Row]") -> None:
    """Raises `DatabaseUnfit` where none of the schemas that are looked for is one that the role may use."""
    row = await connection.fetchrow(SCHEMA)
    assert row is not None
    if row["current_schema"] is None:
        raise DatabaseUnfit(
            f"Of the schemas in its search_path ({row['path']}), the role {row['role']} may use none. Create one, or "
            f"have its owner run: GRANT USAGE ON SCHEMA name TO {row['role']};"
        )
