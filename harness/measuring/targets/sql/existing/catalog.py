"""Says what a database has: its tables, with their columns, keys, indexes and how many rows there are. Reads no row."""

import contextlib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import asyncpg

SqlConnection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

ROWS_COUNTED_MAX: Final = 100_000
"""Of a table that was never analysed."""

# Names of types are whole with an empty search path, wherever they are used later.
WHOLE_NAMES: Final = "SET LOCAL search_path = ''"
SEARCH_PATH: Final = "SELECT pg_catalog.current_schemas(true)"

TABLES: Final = """
SELECT c.oid, n.nspname AS schema, c.relname AS name, c.reltuples::bigint AS rows, c.relkind = 'p' AS is_partitioned
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
   AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d WHERE d.objid = c.oid AND d.deptype = 'e')
 ORDER BY n.nspname, c.relname
"""
COLUMNS: Final = """
SELECT a.attrelid AS table, a.attname AS name, pg_catalog.format_type(b.oid, a.atttypmod) AS type, b.typname AS base,
       b.typtype = 'e' AS is_enum, b.typcategory = 'A' AS is_array, a.attnotnull OR t.typnotnull AS is_needed,
       a.attidentity <> '' AS is_identity, a.attgenerated <> '' AS is_generated,
       d.adbin IS NOT NULL AS has_default,
       pg_catalog.pg_get_serial_sequence(pg_catalog.format('%I.%I', n.nspname, c.relname), a.attname) IS NOT NULL
           AS has_sequence, s.n_distinct, s.avg_width,
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = b.oid) AS labels,
       t.typtype = 'd' AND EXISTS (SELECT FROM pg_catalog.pg_constraint AS k WHERE k.contypid = t.oid) AS is_checked
  FROM pg_catalog.pg_attribute AS a
  JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
  JOIN pg_catalog.pg_type AS b ON b.oid = CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.oid END
  LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  LEFT JOIN pg_catalog.pg_stats AS s
         ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname AND NOT s.inherited
 WHERE a.attrelid = ANY ($1::pg_catalog.oid[]) AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attrelid, a.attnum
"""
INDEXES: Final = """
SELECT i.indrelid AS table, i.indisunique AND i.indpred IS NULL AS is_unique,
       ARRAY(SELECT a.attname FROM pg_catalog.unnest(i.indkey[:i.indnkeyatts - 1]) WITH ORDINALITY AS k (number, place)
               JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.number
              ORDER BY k.place) AS columns
  FROM pg_catalog.pg_index AS i
 WHERE i.indrelid = ANY ($1::pg_catalog.oid[]) AND i.indexprs IS NULL
 ORDER BY i.indrelid, i.indisprimary DESC, i.indexrelid
"""
CONSTRAINTS: Final = """
SELECT k.conrelid AS table, k.contype = 'c' AS is_check, k.confrelid AS other,
       ARRAY(SELECT a.attname FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY AS u (number, place)
               JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = u.number
              ORDER BY u.place) AS columns,
       ARRAY(SELECT a.attname FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY AS u (number, place)
               JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = u.number
              ORDER BY u.place) AS other_columns,
       pg_catalog.pg_get_constraintdef(k.oid) AS definition
  FROM pg_catalog.pg_constraint AS k
 WHERE k.conrelid = ANY ($1::pg_catalog.oid[]) AND k.contype IN ('c', 'f')
 ORDER BY k.conrelid, k.conname
"""
_PLAIN_NAME: Final = re.compile(r"[a-z_][a-z0-9_]*")
RESERVED: Final = frozenset(
    re.findall(
        r"\w+",
        """
        all and any array as asc both case check column constraint create default desc distinct do else end except
        fetch for foreign from grant group having in initially intersect into limit not null offset on only or
        order primary references returning select some table then to trailing union unique user using variadic
        when where window with
        """,
    )
)
"""Words that are a name in quotes only."""


def quoted(name: str) -> str:
    """As SQL has it, in quotes where it needs them."""
    if _PLAIN_NAME.fullmatch(name) and name not in RESERVED:
        return name
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column, as the server describes it."""

    name: str
    """Its name, without quotes."""
    type: str
    """Its type as a whole, as `numeric(10,2)`; of a domain, what it is made of."""
    base: str
    """The bare name of that type."""
    is_enum: bool
    """Whether its type has labels."""
    is_array: bool
    """Whether it holds arrays."""
    is_needed: bool
    """Whether it may not be null."""
    is_identity: bool
    """Whether the server numbers it as an identity."""
    is_generated: bool
    """Whether the server computes it from other columns."""
    has_default: bool
    """Whether it has a default."""
    has_sequence: bool
    """Whether a sequence belongs to it."""
    distinct: float
    """How many values it has, negative as a share of the rows; 0 where nobody knows."""
    width: int
    """How many bytes a value takes on average; 0 where nobody knows."""
    labels: int
    """How many labels its type has."""
    is_checked: bool
    """Whether its type is a domain with constraints."""
    checks: tuple[str, ...]
    """The constraints on it alone."""


@dataclass(frozen=True, slots=True)
class ForeignKey:
    columns: tuple[str, ...]
    other: int
    other_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SqlTable:
    """A table with what bears on what it may be asked."""

    oid: int
    """What others refer to it by."""
    schema: str
    """The schema that it lies in."""
    name: str
    """Its name, without quotes."""
    rows: int
    """How many rows the server believes that it has."""
    is_partitioned: bool
    """Whether its rows lie in partitions."""
    columns: Mapping[str, TableColumn]
    """Its columns by their names, in their order."""
    unique: tuple[tuple[str, ...], ...]
    """The columns of each unique index, in their order."""
    indexes: tuple[tuple[str, ...], ...]
    """The columns of each index, in their order."""
    foreign_keys: tuple[ForeignKey, ...]
    """Its references to other tables."""
    is_on_path: bool
    """Whether a session finds it without its schema."""

    @property
    def sql(self) -> str:
        """Its name, for a session that finds it as those do that use the database."""
        return quoted(self.name) if self.is_on_path else self.whole_sql

    @property
    def whole_sql(self) -> str:
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    def foreign_key(self, column: str) -> ForeignKey | None:
        return next((key for key in self.foreign_keys if column in key.columns), None)

    def is_unique(self, column: str) -> bool:
        """Alone or with others."""
        return any(column in columns for columns in self.unique)


async def read_tables(connection: SqlConnection) -> Sequence[SqlTable]:
    """In the order of their names."""
    path = await connection.fetchval(SEARCH_PATH)
    async with connection.transaction():
        await connection.execute(WHOLE_NAMES)
        tables = await connection.fetch(TABLES)
        numbers = [each["oid"] for each in tables]
        columns = await connection.fetch(COLUMNS, numbers)
        indexes = await connection.fetch(INDEXES, numbers)
        constraints = await connection.fetch(CONSTRAINTS, numbers)
    checks: dict[tuple[int, str], list[str]] = defaultdict(list)
    for each in constraints:
        if each["is_check"] and len(each["columns"]) == 1:
            checks[each["table"], each["columns"][0]].append(each["definition"])
    read: list[SqlTable] = []
    for table in tables:
        own = table["oid"]
        its_indexes = [each for each in indexes if each["table"] == own and each["columns"]]
        read.append(
            SqlTable(
                own,
                table["schema"],
                table["name"],
                await _rows(connection, table),
                table["is_partitioned"],
                {each["name"]: _column(each, checks[own, each["name"]]) for each in columns if each["table"] == own},
                tuple(dict.fromkeys(tuple(each["columns"]) for each in its_indexes if each["is_unique"])),
                tuple(dict.fromkeys(tuple(each["columns"]) for each in its_indexes)),
                tuple(
                    ForeignKey(tuple(each["columns"]), each["other"], tuple(each["other_columns"]))
                    for each in constraints
                    if each["table"] == own and not each["is_check"]
                ),
                table["schema"] in path,
            )
        )
    return read


def _column(row: "asyncpg.Record", checks: Sequence[str]) -> TableColumn:
    return TableColumn(
        row["name"],
        row["type"],
        row["base"],
        row["is_enum"],
        row["is_array"],
        row["is_needed"],
        row["is_identity"],
        row["is_generated"],
        row["has_default"],
        row["has_sequence"],
        row["n_distinct"] or 0.0,
        row["avg_width"] or 0,
        row["labels"],
        row["is_checked"],
        tuple(checks),
    )


async def _rows(connection: SqlConnection, table: "asyncpg.Record") -> int:
    """As the server last estimated; counted, up to a limit, where it never did."""
    if table["rows"] > 0:
        return int(table["rows"])
    name = f"{quoted(table['schema'])}.{quoted(table['name'])}"
    with contextlib.suppress(asyncpg.InsufficientPrivilegeError):
        return int(
            await connection.fetchval(f"SELECT count(*) FROM (SELECT FROM {name} LIMIT {ROWS_COUNTED_MAX}) AS counted")  # noqa: S608 -- quoted
        )
    return 0
