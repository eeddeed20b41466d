"""Rows that are like a database's and none of them: as many, with as many different values, which are made up.

What people have in a database is nobody else's to keep in a file beside a scenario. Each value is an expression in the
number of its row, so that a key leads to a row that is there.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Final

from harness.measuring.targets.sql.existing.catalog import ForeignKey, SqlTable, TableColumn, quoted

ROWS_MAX: Final = 100_000
"""Of one table."""
ROWS_WHOLE_MAX: Final = 1_000_000
ROWS_MIN: Final = 100
"""Of a table that is empty, so that there is something to ask for."""

DEPTH_MAX: Final = 8
"""Of keys that lead to keys."""

PRIMES: Final = (7919, 10007, 12553, 14747, 17389, 19937, 9973, 11657, 13331, 15731)
MODULUS: Final = 1_000_003
"""A prime above any row's number: multiplying modulo it mixes, and two columns do not repeat in step."""

LITERAL: Final = re.compile(r"'((?:[^']|'')*)'::")
BOUND: Final = re.compile(r"(>=|<=|>|<) \(?'?(-?\d+)")
PARTS: Final = re.compile(r"-?\d+(?=[,)])")
"""Of a type, as those of `numeric(10,2)`."""

TEXTS: Final = frozenset({"text", "varchar", "bpchar", "citext", "name"})
NUMBERS: Final = frozenset({"int2", "int4", "int8", "numeric", "float4", "float8"})
INT2_MAX: Final = 32_767

MADE: Final[Mapping[str, str]] = {
    "bool": "({k}) % 2 = 0",
    "int4": "{k}",
    "int8": "{k}",
    "float4": "{k}",
    "float8": "{k}",
    "numeric": "{k}",
    "int2": f"({{k}}) % {INT2_MAX}",
    "uuid": "md5(({k})::text)::uuid",
    "date": "current_date - ({k})::integer",
    "timestamp": "now() - ({k}) * interval '1 minute'",
    "timestamptz": "now() - ({k}) * interval '1 minute'",
    "time": "time '00:00' + ({k}) * interval '1 second'",
    "timetz": "time '00:00' + ({k}) * interval '1 second'",
    "interval": "({k}) * interval '1 second'",
    "json": "json_build_object('key', {k})",
    "jsonb": "jsonb_build_object('key', {k})",
    "bytea": "decode(md5(({k})::text), 'hex')",
    "inet": "inet '10.0.0.0' + ({k})",
    "cidr": "cidr(inet '10.0.0.0' + ({k}))",
    "tsvector": "to_tsvector('simple', 'word' || ({k}))",
}
"""By the name of the type: an expression in `k`, the number of the value."""


@dataclass(frozen=True, slots=True)
class SeedPlan:
    """The SQL, how many rows of each table it makes, and why it makes none of a table."""

    sql: str
    rows: Mapping[int, int]
    unfilled: Sequence[str]


def seed_of(tables: Sequence[SqlTable]) -> SeedPlan:
    """Of tables in an order in which a key finds what it leads to."""
    return _Seeding(tables).seed()


class _Seeding:
    def __init__(self, tables: Sequence[SqlTable]) -> None:
        most = min(ROWS_MAX, ROWS_WHOLE_MAX // max(1, len(tables)))
        self._tables = {table.oid: table for table in tables}
        self._rows = {table.oid: min(most, table.rows or ROWS_MIN) for table in tables}
        self._skipped: set[tuple[int, ForeignKey]] = set()
        self._unfilled: dict[int, str] = {}

    def seed(self) -> SeedPlan:
        order = self._order()
        blocks = [block for oid in order if (block := self._block(self._tables[oid]))]
        return SeedPlan("\n\n".join(blocks) + "\n", self._rows, tuple(self._unfilled.values()))

    def _order(self) -> Sequence[int]:
        """Keys that go round in a circle are left null, where they may be."""
        while True:
            wanted = {
                oid: {key.other for key in table.foreign_keys if key.other != oid and (oid, key) not in self._skipped}
                for oid, table in self._tables.items()
            }
            try:
                return [oid for oid in TopologicalSorter(wanted).static_order() if oid in self._tables]
            except CycleError as error:
                self._open(error.args[1])

    def _open(self, circle: Sequence[int]) -> None:
        within = [
            (oid, key)
            for oid in circle
            for key in self._tables[oid].foreign_keys
            if key.other in circle and key.other != oid and (oid, key) not in self._skipped
        ]
        optional = [(oid, key) for oid, key in within if not self._is_needed(self._tables[oid], key)]
        self._skipped.add((optional or within)[0])

    @staticmethod
    def _is_needed(table: SqlTable, key: ForeignKey) -> bool:
        return all(table.columns[column].is_needed for column in key.columns)

    def _block(self, table: SqlTable) -> str:
        if reason := self._unfillable(table):
            self._unfilled[table.oid] = f"{table.sql} is empty: {reason}."
            return f"-- {self._unfilled[table.oid]} Write its rows here."
        written = {column.name: made for column in table.columns.values() if (made := self._value(table, column, "n"))}
        columns = ", ".join(map(quoted, written))
        values = ",\n       ".join(written.values())
        is_identity = any(column.is_identity for column in table.columns.values())
        overriding = "\nOVERRIDING SYSTEM VALUE" if is_identity else ""
        rows = self._rows[table.oid]
        lines = [
            f"INSERT INTO {table.whole_sql} ({columns}){overriding}",
            f"SELECT {values}",
            f"  FROM generate_series(1, {rows}) AS n",
            "    ON CONFLICT DO NOTHING;",
        ]
        return "\n".join([*lines, *self._sequences(table, written)])

    def _sequences(self, table: SqlTable, written: Mapping[str, str]) -> Iterator[str]:
        """They go on behind what was written."""
        for name in written:
            if table.columns[name].base in {"int2", "int4", "int8"} and table.columns[name].has_sequence:
                sequence = f"pg_get_serial_sequence({_literal(table.whole_sql)}, {_literal(name)})"
                yield f"SELECT setval({sequence}, max({quoted(name)})) FROM {table.whole_sql};"  # noqa: S608 -- quoted

    def _unfillable(self, table: SqlTable) -> str | None:
        if table.is_partitioned:
            return "it is partitioned, and which rows its partitions take is not known"
        for column in table.columns.values():
            if column.is_needed and not column.has_default and not column.is_generated and not column.is_identity:
                key = table.foreign_key(column.name)
                if key and (key.other in self._unfilled or (table.oid, key) in self._skipped):
                    return f"{column.name} refers to a table that is filled later or not at all"
                if not self._value(table, column, "n"):
                    return f"nothing is known to make {column.name} of, which is {column.type}"
        return None

    def _value(self, table: SqlTable, column: TableColumn, row: str, depth: int = 0) -> str | None:
        """An expression for the row with this number; None where the server gives one, or nobody can."""
        if column.is_generated or depth > DEPTH_MAX:
            return None
        key = table.foreign_key(column.name)
        if key is None:
            return made(column, self._number(table, column, row))
        if (table.oid, key) in self._skipped or key.other in self._unfilled or key.other not in self._tables:
            return None
        other = self._tables[key.other]
        target = other.columns[key.other_columns[key.columns.index(column.name)]]
        place = table.foreign_keys.index(key)
        return self._value(other, target, f"(1 + {_mixed(row, place)} % {self._rows[key.other]})", depth + 1)

    def _number(self, table: SqlTable, column: TableColumn, row: str) -> str:
        """That of the value: each row's own, or one of as many as there are different ones."""
        rows = self._rows[table.oid]
        count = int(column.distinct if column.distinct >= 0 else -column.distinct * rows)
        if table.is_unique(column.name) or not 0 < count < rows:
            return row
        return f"1 + {_mixed(row, len(PRIMES) // 2 + list(table.columns).index(column.name))} % {count}"


def _literal(text: str) -> str:
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


def _mixed(row: str, place: int) -> str:
    return f"{row} * {PRIMES[place % len(PRIMES)]} % {MODULUS}"


def made(column: TableColumn, number: str) -> str | None:
    """An expression for a value of the column's type, which its own checks take."""
    if checked := _of_checks(column, " ".join(column.checks), number):
        return checked
    if column.base in TEXTS and "mail" in column.name.lower():
        return f"'someone' || ({number}) || '@example.com'"
    return None if column.is_checked else _of_type(column, number)


def _of_checks(column: TableColumn, checks: str, number: str) -> str | None:
    literals = LITERAL.findall(checks)
    if column.base in TEXTS and literals and "~~" not in checks:
        listed = ", ".join(f"'{each}'" for each in literals)
        return f"(ARRAY[{listed}])[1 + ({number}) % {len(literals)}]"
    if column.base in NUMBERS and (bounds := BOUND.findall(checks)):
        return _within(bounds, number)
    return None


def _of_type(column: TableColumn, number: str) -> str | None:
    parts = [int(each) for each in PARTS.findall(column.type)]
    match column.base, parts:
        case _ if column.is_array:
            return "'{}'"
        case _ if column.is_enum:
            return f"(enum_range(NULL::{column.type}))[1 + ({number}) % {column.labels}]"
        case _ if column.base in TEXTS:
            return _text(column, parts, number)
        case "numeric", [precision, scale]:
            return f"({number}) % {10 ** max(0, precision - scale)}"
        case "vector", [length]:
            # In every direction: of vectors on a curve the graph of an index may be in parts, and a search finds one.
            numbers = (
                f"array_agg(hashint8(({number})::bigint * 65536 + i) / 2 ^ 31) FROM generate_series(1, {length}) AS i"
            )
            return f"(SELECT {numbers})::{column.type}"
        case _:
            return MADE[column.base].format(k=number) if column.base in MADE else None


def _within(bounds: Sequence[tuple[str, str]], number: str) -> str:
    least = [int(at) + (sign == ">") for sign, at in bounds if sign in {">", ">="}]
    most = [int(at) - (sign == "<") for sign, at in bounds if sign in {"<", "<="}]
    low, high = max(least, default=min(most, default=0) - 99), min(most, default=max(least, default=0) + 99)
    return f"{low} + ({number}) % {max(1, high - low + 1)}"


def _text(column: TableColumn, parts: Sequence[int], number: str) -> str:
    most = parts[0] if parts else None
    if most is not None and most < len(column.name) + 8:
        return f"right(md5(({number})::text), {most})" if most > 1 else f"chr(97 + ({number}) % 26)"
    text = f"{_literal(f'{column.name} ')} || ({number})"
    width = min(column.width, most or column.width)
    return f"rpad({text}, {width}, ' and so on')" if width > len(column.name) + 8 else text
