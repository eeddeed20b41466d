"""The statements that cost a database most, as `pg_stat_statements` counted them; texts without any value in them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg

from harness.measuring.targets.sql.existing.arguments import mentioned
from harness.measuring.targets.sql.existing.catalog import SqlConnection, SqlTable

CONSIDERED_MAX: Final = 500
IS_THERE: Final = """
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relname = 'pg_stat_statements' AND c.relkind = 'v'
"""
COSTLIEST: Final = """
SELECT s.query, sum(s.calls)::bigint AS calls, sum(s.total_exec_time)::float8 / 1000 AS total_s
  FROM {statistics} AS s
 WHERE s.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
 GROUP BY s.query
 ORDER BY 3 DESC
 LIMIT $1
"""
NOT_COUNTED: Final = (
    "The database has no pg_stat_statements, so nobody knows which statements cost most: each operation looks "
    "something up by an index. For counting, "
    "shared_preload_libraries = 'pg_stat_statements' and CREATE EXTENSION pg_stat_statements."
)
HIDDEN: Final = "<insufficient privilege>"

KEPT_OR_NOT: Final = re.compile(
    r"""
      (?P<name>"(?:""|[^"])*")
    | (?P<literal>
          \b[eE]'(?:\\.|''|[^'\\])*'
        | (?:\b(?:[bBxX]|[uU]&))?'(?:''|[^'])*'
        | (?<![\w$])\$(?P<tag>[^\W\d]\w*|)\$.*?\$(?P=tag)\$
      )
    | /\*.*?\*/
    | --[^\n]*
    """,
    re.VERBOSE | re.DOTALL,
)
PREPARED: Final = re.compile(r"^\s*PREPARE\s+\S+\s*(?:\([^()]*\)\s*)?AS\s+", re.IGNORECASE)
MEASURED: Final = re.compile(r"^\s*\(?\s*(SELECT|INSERT|UPDATE|DELETE|WITH|MERGE)\b", re.IGNORECASE)
CATALOG: Final = re.compile(r"\b(?:pg_catalog|information_schema|pg_stat\w*|pg_class)\b", re.IGNORECASE)
TYPED: Final = re.compile(
    r"\b(interval|date|time(?:stamp)?(?:tz|\s+with(?:out)?\s+time\s+zone)?|uuid|jsonb?|inet|bytea|numeric|bool)\s+(\$\d+)",
    re.IGNORECASE,
)
"""A literal with its type before it. With a placeholder the type stands behind, or the server does not read it."""


@dataclass(frozen=True, slots=True)
class Costly:
    sql: str
    calls: int
    total_s: float


@dataclass(frozen=True, slots=True)
class Costs:
    """The costliest first; `total_s` of all that was counted, and what keeps more from being told."""

    statements: Sequence[Costly]
    total_s: float
    remarks: Sequence[str]


async def read_costs(connection: SqlConnection, tables: Sequence[SqlTable]) -> Costs:
    statistics = await connection.fetchval(IS_THERE)
    if statistics is None:
        return Costs((), 0, [NOT_COUNTED])
    try:
        counted = await connection.fetch(COSTLIEST.format(statistics=statistics), CONSIDERED_MAX)
    except (asyncpg.ObjectNotInPrerequisiteStateError, asyncpg.InsufficientPrivilegeError) as error:
        return Costs((), 0, [f"What pg_stat_statements counted cannot be read: {error}."])
    hidden = sum(1 for each in counted if each["query"] == HIDDEN)
    remarks = ["The texts of other roles' statements are hidden. To read them: GRANT pg_read_all_stats."] * bool(hidden)
    texts = [(cleaned(each["query"]), each) for each in counted]
    return Costs(
        [
            Costly(text, each["calls"], each["total_s"])
            for text, each in texts
            if MEASURED.match(text) and not CATALOG.search(text) and mentioned(text, tables)
        ],
        sum(each["total_s"] for each in counted),
        remarks,
    )


def cleaned(query: str) -> str:
    """Without comments, and with a placeholder for each value that is still in it, which nobody else is to read."""
    text = TYPED.sub(r"\2::\1", PREPARED.sub("", query))
    numbers = [int(each) for each in re.findall(r"\$(\d+)", text)]
    further = iter(range(max(numbers, default=0) + 1, len(text) + len(numbers) + 2))

    def replaced(found: "re.Match[str]") -> str:
        return found["name"] or (f"${next(further)}" if found["literal"] else "")

    return KEPT_OR_NOT.sub(replaced, text).strip().removesuffix(";").strip()
