"""A scenario out of a database that there is: its schema, rows like its own, and the statements that cost it most.

Reads only. What is written holds no row of it, no value of a statement and no address.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg

from harness.errors import ProvisioningError, UsageError
from harness.measuring.servers.addresses import address, completed
from harness.measuring.servers.provisioners._shared.dumps import schema_of
from harness.measuring.targets.sql.existing.arguments import LIMIT, drawn, mentioned, places_of, rows_of
from harness.measuring.targets.sql.existing.catalog import SqlConnection, SqlTable, quoted, read_tables
from harness.measuring.targets.sql.existing.costly import Costly, Costs, read_costs
from harness.measuring.targets.sql.existing.seeding import SeedPlan, seed_of
from harness.measuring.toml import identifier, inline, slug, text_block
from harness.quantities import count, duration

PROPOSED_MAX: Final = 10
WEIGHT_MAX: Final = 100
"""Of the operation that is asked most often."""

READ_ONLY: Final = {"default_transaction_read_only": "on"}
WITH_THE_SERVER: Final = frozenset({"plpgsql", "vector"})
"""Extensions that the embedded server has."""
NAME_MAX: Final = 60

EXTENSIONS: Final = "SELECT extname FROM pg_catalog.pg_extension WHERE extname <> 'pg_stat_statements' ORDER BY extname"


@dataclass(frozen=True, slots=True)
class Proposal:
    """Texts by the names of their files, and sentences on what is not as it might be."""

    files: Mapping[str, str]
    remarks: Sequence[str]


@dataclass(frozen=True, slots=True)
class ProposedStatement:
    """`lacks` says why it cannot be performed as it stands."""

    name: str
    sql: str
    arguments: Sequence[object]
    calls: int
    cost: str
    lacks: str = ""


async def proposal_of(url: str) -> Proposal:
    """Raises `UsageError` where there is no table, and `ProvisioningError` where there is no database."""
    whole = completed(url)
    try:
        connection = await asyncpg.connect(whole, server_settings=READ_ONLY)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise ProvisioningError(f"The database at {address(whole)} cannot be read: {error}.") from None
    try:
        tables = await read_tables(connection)
        if not tables:
            raise UsageError(f"The database at {address(whole)} has no table that this role may see.")
        costs = await read_costs(connection, tables)
        seed = seed_of(tables)
        operations = await _operations(connection, costs, tables, seed)
        name = await connection.fetchval("SELECT pg_catalog.current_database()")
        extensions = {each["extname"] for each in await connection.fetch(EXTENSIONS)} - WITH_THE_SERVER
    finally:
        await connection.close()
    if all(each.lacks for each in operations):
        operations = [*operations, *_lookups(tables)]
    remarks = [
        *costs.remarks,
        *(f"{each.name} is left out: {each.lacks}." for each in operations if each.lacks),
        *seed.unfilled,
        *_on_extensions(extensions),
    ]
    schema = await schema_of(whole)
    files = {"schema.sql": schema, "seed.sql": SEED_HEAD + seed.sql, "own.toml": _scenario(name, operations)}
    return Proposal(files, remarks)


SEED_HEAD: Final = """-- Made-up rows: as many as the tables have, up to a limit, and with as many different values.

"""


def _on_extensions(lacking: set[str]) -> Iterator[str]:
    if lacking:
        yield (
            f"schema.sql needs {', '.join(sorted(lacking))}, which the embedded server does not have. Name one that "
            "has: --database URL, or an `image` for the testcontainers provisioner."
        )


async def _operations(
    connection: SqlConnection, costs: Costs, tables: Sequence[SqlTable], seed: SeedPlan
) -> Sequence[ProposedStatement]:
    """As many as can be performed, with those between them that cannot."""
    taken: set[str] = set()
    operations: list[ProposedStatement] = []
    for each in costs.statements:
        if sum(1 for operation in operations if not operation.lacks) == PROPOSED_MAX:
            break
        places = places_of(each.sql, tables).values()
        conditions = [place.column.name for place in places if place.column and not place.is_written]
        name = _free_name(_verb(each.sql), mentioned(each.sql, tables)[0].name, conditions, taken)
        each_s, share = each.total_s / each.calls, each.total_s / (costs.total_s or 1)
        cost = f"{count(each.calls)} calls, {duration(each_s)} each, {share:.0%} of the server's time on statements"
        operations.append(await _operation(connection, name, each, cost, (tables, seed)))
    return operations


async def _operation(
    connection: SqlConnection, name: str, costly: Costly, cost: str, filled: tuple[Sequence[SqlTable], SeedPlan]
) -> ProposedStatement:
    """`filled` are the tables, and what the rows are that they get."""
    tables, seed = filled
    places = places_of(costly.sql, tables)
    try:
        parameters = (await connection.prepare(costly.sql)).get_parameters()
        by_oid = {table.oid: table for table in tables}
        arguments: list[object] = []
        for number, parameter in enumerate(parameters, start=1):
            type_name = parameter.name
            try:
                arguments.append(drawn(places[number], type_name, by_oid, seed.rows))
            except KeyError:
                lacks = f"nothing is known to draw for ${number}, which is {type_name}"
                return ProposedStatement(name, costly.sql, (), costly.calls, cost, lacks)
    except asyncpg.PostgresError as error:
        return ProposedStatement(name, costly.sql, (), costly.calls, cost, f"it does not prepare ({error})")
    return ProposedStatement(name, costly.sql, arguments, costly.calls, cost)


def _verb(sql: str) -> str:
    word = sql.lstrip("( \n\t").split(None, 1)[0].lower()
    return "select" if word == "with" else word


def _free_name(verb: str, table: str, conditions: Sequence[str], taken: set[str]) -> str:
    by = f"_by_{'_'.join(dict.fromkeys(conditions))}" if conditions else ""
    whole = identifier(f"{verb}_{table}{by}")
    wished = whole if len(whole) <= NAME_MAX else identifier(f"{verb}_{table}")
    name, number = wished, 2
    while name in taken:
        name, number = f"{wished}_{number}", number + 1
    taken.add(name)
    return name


def _lookups(tables: Sequence[SqlTable]) -> Sequence[ProposedStatement]:
    """What the indexes of the largest tables are there for, where nobody counted what is asked."""
    indexed = [(table, columns) for table in sorted(tables, key=lambda each: -each.rows) for columns in table.indexes]
    taken: set[str] = set()
    operations: list[ProposedStatement] = []
    for table, columns in indexed[:PROPOSED_MAX]:
        conditions = " AND ".join(f"{quoted(column)} = ${number}" for number, column in enumerate(columns, start=1))
        sql = f"SELECT * FROM {table.sql} WHERE {conditions} LIMIT {LIMIT}"  # noqa: S608 -- quoted
        arguments = [rows_of(table, table.columns[column]) for column in columns]
        name = _free_name("select", table.name, columns, taken)
        operations.append(ProposedStatement(name, sql, arguments, 1, "proposed for an index"))
    if operations:
        return operations
    table = max(tables, key=lambda each: each.rows)
    name = _free_name("select", table.name, (), taken)
    return [ProposedStatement(name, f"SELECT * FROM {table.sql} LIMIT {LIMIT}", (), 1, "there is no index")]  # noqa: S608 -- quoted


def _scenario(name: str, operations: Sequence[ProposedStatement]) -> str:
    able = [each for each in operations if not each.lacks]
    lines = [
        f"name = {inline(slug(name))}",
        f"title = {inline(f'The statements that cost {name} most')}",
        'target = "sql"',
        "budgets = [",
        *(f"    {inline(f'{each.name}.errors <= 0%')}," for each in able),
        f"    # and times, such as {inline(f'{able[0].name}.p95 <= 5ms')}",
        "]",
        "",
        "[database]",
        'provisioner = "embedded"',
        'schema = "schema.sql"',
        'seed = "seed.sql"',
    ]
    for each in operations:
        section = [f"[operations.{each.name}]", f"sql = {text_block(each.sql)}"]
        section += ["arguments = [", *(f"    {inline(argument)}," for argument in each.arguments), "]"] * bool(
            each.arguments
        )
        lines += ["", f"# {each.cost}"]
        lines += [f"# Left out: {each.lacks}."] * bool(each.lacks)
        lines += [f"# {line}".rstrip() for part in section for line in part.splitlines()] if each.lacks else section
    most = max(each.calls for each in able)
    mix = (f"mix.{each.name} = {max(1, round(WEIGHT_MAX * each.calls / most))}" for each in able)
    lines += ["", "[[phases]]", *mix, "requests = 200", "warm_up = 20", "time_s = 30", ""]
    return "\n".join(lines)
