"""Says what the placeholders of a statement stand for, by the column that each stands beside, and values for them.

Not a parser of SQL: a placeholder whose column is not plain to see gets a value of its type.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from harness.measuring.targets.sql.existing.catalog import RESERVED, SqlTable, TableColumn, quoted
from harness.measuring.targets.sql.existing.seeding import NUMBERS, TEXTS

ROWS_DRAWN_MAX: Final = 10_000
LIMIT: Final = 20
IN_A_LIST: Final = 3

NAME: Final = r'(?:[A-Za-z_][\w$]*|"(?:[^"]|"")+")'
COLUMN: Final = rf"(?:(?P<of>{NAME})\.)?(?P<column>{NAME})(?:::[\w ]+)?\)?(?:::\w+)?"
COMPARED: Final = r"(?:=|<>|!=|<=|>=|<|>|~~?\*?|<=>|<->|<#>|<\+>|(?:NOT\s+)?I?LIKE|IS\s+(?:NOT\s+)?DISTINCT\s+FROM)"
BEHIND: Final = re.compile(
    rf"{COLUMN}\s*(?:{COMPARED}\s*(?:(?:ANY|ALL)\s*)?\(?|(?:NOT\s+)?BETWEEN\s+(?:\S+\s+AND\s+)?|(?:NOT\s+)?IN\s*\([^()]*?)\s*$",
    re.IGNORECASE,
)
AHEAD: Final = re.compile(rf"^\s*(?:::\w+)?\s*{COMPARED}\s*{COLUMN}", re.IGNORECASE)
COUNTED: Final = re.compile(r"\b(LIMIT|OFFSET|FETCH\s+(?:FIRST|NEXT))\s*$", re.IGNORECASE)
INSERTED: Final = re.compile(
    rf"\bINSERT\s+INTO\s+(?:{NAME}\.)?(?P<table>{NAME})(?:\s+AS\s+{NAME})?\s*\((?P<columns>[^()]*)\)\s*"
    rf"(?:OVERRIDING\s+\w+\s+VALUE\s*)?(?P<values>VALUES|SELECT)\b",
    re.IGNORECASE,
)
SET: Final = re.compile(r"\bSET\b(?:(?!\b(?:WHERE|FROM|RETURNING|SELECT)\b).)*$", re.IGNORECASE | re.DOTALL)
PLACEHOLDER: Final = re.compile(r"(?<![\w$])\$([1-9]\d*)")
NO_ALIAS: Final = RESERVED | {"set", "join", "left", "right", "full", "inner", "cross", "natural", "values", "lateral"}
UNORDERED: Final = frozenset({"json", "jsonb", "xml", "point", "vector", "box", "polygon", "tsvector"})

INTEGER: Final = {"uniform": {"min": 1, "max": 100}}
NUMBER: Final = {"uniform": {"min": 1.0, "max": 100.0}}
WORD: Final = {"words": {"count": 1}}
OF_TYPE: Final[Mapping[str, object]] = {
    "bool": {"uniform": {"of": [True, False]}},
    "uuid": {"uuid": {}},
    "date": {"date": {}},
    "timestamp": {"timestamp": {}},
    "timestamptz": {"timestamp": {}},
    "interval": "1 day",
    "time": "12:00",
    "json": {"literal": {"value": {}}},
    "jsonb": {"literal": {"value": {}}},
    "inet": "10.0.0.1",
    "bytea": "\\x00",
    **dict.fromkeys(("int2", "int4", "int8", "oid"), INTEGER),
    **dict.fromkeys(("numeric", "float4", "float8"), NUMBER),
    **dict.fromkeys(("text", "varchar", "bpchar", "citext", "name", "unknown"), WORD),
}
"""What a placeholder gets that stands beside no column."""


@dataclass(frozen=True, slots=True)
class Beside:
    """Says what a placeholder stands beside. `is_written` says that it becomes a value of the column."""

    table: SqlTable | None = None
    column: TableColumn | None = None
    counts: str = ""
    is_written: bool = False


def places_of(sql: str, tables: Sequence[SqlTable]) -> Mapping[int, Beside]:
    """By the number of the placeholder."""
    named = _named(sql, tables)
    written = dict(_inserted(sql, named))
    found: dict[int, Beside] = {}
    for placeholder in PLACEHOLDER.finditer(sql):
        number = int(placeholder[1])
        if number not in found or found[number] == Beside():
            found[number] = written.get(placeholder.start()) or _place(sql, placeholder, named)
    return found


def _named(sql: str, tables: Sequence[SqlTable]) -> Mapping[str, SqlTable]:
    """The tables that a statement mentions, by what it calls them."""
    named: dict[str, SqlTable] = {}
    for table in tables:
        name = re.escape(quoted(table.name))
        written = rf'(?:{name}|"{name}")' if '"' not in name else name
        edge = r"(?<![\w$.\"])(?:(?P<schema>" + NAME + r")\.)?"
        for mention in re.finditer(
            rf"{edge}{written}(?![\w$\"])(?:\s+(?:AS\s+)?(?P<alias>{NAME}))?", sql, re.IGNORECASE
        ):
            if mention["schema"] and _bare(mention["schema"]) != table.schema:
                continue
            named.setdefault(table.name, table)
            alias = _bare(mention["alias"] or "")
            if alias and alias not in NO_ALIAS:
                named[alias] = table
    return named


def mentioned(sql: str, tables: Sequence[SqlTable]) -> Sequence[SqlTable]:
    return list({table.oid: table for table in _named(sql, tables).values()}.values())


def _bare(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()


def _place(sql: str, placeholder: "re.Match[str]", named: Mapping[str, SqlTable]) -> Beside:
    before, after = sql[: placeholder.start()], sql[placeholder.end() :]
    if counted := COUNTED.search(before):
        return Beside(counts=counted[1].upper())
    beside = BEHIND.search(before) or AHEAD.search(after)
    if beside is None:
        return Beside()
    column, of = _bare(beside["column"]), _bare(beside["of"] or "")
    candidates = [named[of]] if of in named else [] if of else list(dict.fromkeys(named))
    tables = [each if isinstance(each, SqlTable) else named[each] for each in candidates]
    table = next((each for each in tables if column in each.columns), None)
    if table is None:
        return Beside()
    return Beside(table, table.columns[column], is_written=SET.search(before) is not None)


def _inserted(sql: str, named: Mapping[str, SqlTable]) -> Iterator[tuple[int, Beside]]:
    """By where a placeholder stands: those that are values of columns as a whole, in order."""
    for insert in INSERTED.finditer(sql):
        table = named.get(_bare(insert["table"]))
        if table is None:
            continue
        columns = [table.columns.get(_bare(each.strip())) for each in insert["columns"].split(",")]
        for number, (begin, item) in enumerate(_items(sql, insert.end())):
            column = columns[number % len(columns)]
            stated = re.fullmatch(r"\s*\(?\s*\$\d+(?:::[\w ]+(?:\([\d, ]*\))?(?:\[\])?)?\s*\)?\s*", item)
            if column and stated:
                yield begin + item.index("$"), Beside(table, column, is_written=True)


def _items(sql: str, begin: int) -> Iterator[tuple[int, str]]:
    """What commas separate from here on, within at most one pair of brackets, as far as a word ends the list."""
    depth, item_begin, at = 0, begin, begin
    for token in re.finditer(r"[(),]|\b(?:FROM|ON\s+CONFLICT|RETURNING|WHERE|UNION)\b|$", sql[begin:], re.IGNORECASE):
        at = begin + token.start()
        match token[0]:
            case "(":
                depth += 1
            case ")":
                depth -= 1
            case "," if depth <= 1 and not _is_call(sql[item_begin:at]):
                yield item_begin, sql[item_begin:at]
                item_begin = at + 1
            case ",":
                pass
            case _ if depth == 0:
                break
            case _:
                pass
    yield item_begin, sql[item_begin:at]


def _is_call(item: str) -> bool:
    """Whether the item has a bracket of its own open, as a call of a function has."""
    return item.count("(") > item.count(")") and not item.lstrip().startswith("(")


def drawn(place: Beside, type_name: str, tables: Mapping[int, SqlTable], rows: Mapping[int, int]) -> object:
    """Tells what the scenario says of it, as TOML has it. Raises `LookupError` where no value of the type is known."""
    if place.counts:
        return 0 if place.counts == "OFFSET" else LIMIT
    if type_name.endswith("[]"):
        one = drawn(Beside(place.table, place.column), type_name.removesuffix("[]"), tables, rows)
        return [one] * IN_A_LIST
    if place.table and place.column:
        found = _written(place.table, place.column, tables, rows) if place.is_written else None
        found = found or _of_column(place.table, place.column, is_written=place.is_written)
        if found is not None:
            return found
    return OF_TYPE[type_name]


def _written(
    table: SqlTable, column: TableColumn, tables: Mapping[int, SqlTable], rows: Mapping[int, int]
) -> Mapping[str, object] | None:
    """What leads to a row that is there, or is not there yet."""
    key = table.foreign_key(column.name)
    if key and key.other in tables:
        other = tables[key.other]
        return rows_of(other, other.columns[key.other_columns[key.columns.index(column.name)]])
    if table.is_unique(column.name) and column.base in NUMBERS | TEXTS:
        return {"sequence": {"start": rows.get(table.oid, table.rows) + 1}}
    return None


def _of_column(table: SqlTable, column: TableColumn, *, is_written: bool) -> Mapping[str, object] | None:
    if column.base == "vector":
        length = re.search(r"\((\d+)\)", column.type)
        return {"vector": {"dimensions": int(length[1])}} if length else None
    if column.base in UNORDERED or column.is_array or (is_written and _is_free(table, column)):
        return None
    return rows_of(table, column)


def _is_free(table: SqlTable, column: TableColumn) -> bool:
    """Whether any value of its type does: no check, and no list of labels, says which ones do."""
    return not (column.checks or column.is_enum or column.is_checked) and (
        column.base in OF_TYPE
        and not (column.base in TEXTS and "(" in column.type)
        and not table.is_unique(column.name)
    )


def rows_of(table: SqlTable, column: TableColumn) -> Mapping[str, object]:
    """The values that the column has."""
    name = quoted(column.name)
    statement = (
        f"SELECT DISTINCT {name} FROM {table.sql} WHERE {name} IS NOT NULL ORDER BY {name} LIMIT {ROWS_DRAWN_MAX}"  # noqa: S608 -- quoted
    )
    return {"uniform": {"from": statement}}
