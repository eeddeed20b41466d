"""A database that a scenario's own seed fills."""

import sys
import tomllib
from collections.abc import AsyncGenerator
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from harness.errors import UsageError
from harness.measuring import own_database
from harness.measuring.own_scenario import OwnDatabase, OwnScenario
from harness.measuring.scenario_files import parsed
from harness.measuring.servers.provisioners.protocol import Server

SCHEMA = 'CREATE SCHEMA shop; CREATE TABLE shop.orders (id integer PRIMARY KEY, "Who" text, total numeric, at date);'
FILL = """
import asyncio, asyncpg, os
async def fill():
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    assert os.environ["PGDATABASE"] in os.environ["DATABASE_URL"]
    await connection.execute("INSERT INTO shop.orders VALUES (1, 'Ann', 2.5, '2026-01-02')")
    await connection.close()
asyncio.run(fill())
"""


@pytest.fixture
async def url(server: Server) -> AsyncGenerator[str]:
    name = f"seeded_{uuid4().hex}"
    yield await server.create_database(name)
    await server.drop_database(name)


async def rows(url: str, directory: Path, seed: object) -> list[tuple[object, ...]]:
    (directory / "schema.sql").write_text(SCHEMA)
    database = OwnDatabase.model_validate({"schema": str(directory / "schema.sql"), "seed": seed})
    await own_database.prepare(url, database)
    connection = await asyncpg.connect(url)
    found = await connection.fetch('SELECT id, "Who", total, at::text FROM shop.orders ORDER BY id')
    await connection.close()
    return [tuple(each) for each in found]


async def test_a_command_is_led_to_the_database(url: str, tmp_path: Path) -> None:
    seed = {"command": [sys.executable, "-c", FILL]}
    assert await rows(url, tmp_path, seed) == [(1, "Ann", Decimal("2.5"), "2026-01-02")]


async def test_rows_of_a_file_go_into_the_columns_that_it_names(url: str, tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text('\ufeff"Who",id\n"O\'Hara, ""Ann""",2\n,1\n', encoding="utf-8")
    assert await rows(url, tmp_path, {"shop.orders": str(path)}) == [
        (1, None, None, None),
        (2, 'O\'Hara, "Ann"', None, None),
    ]


async def test_a_schema_that_makes_the_extension_again_is_told_how_to_write_it(url: str, tmp_path: Path) -> None:
    (tmp_path / "schema.sql").write_text("CREATE EXTENSION vector")
    database = OwnDatabase.model_validate({"schema": str(tmp_path / "schema.sql")})
    with pytest.raises(UsageError, match="write CREATE EXTENSION IF NOT EXISTS vector"):
        await own_database.prepare(url, database)


async def test_rows_of_a_parquet_file_keep_their_values(url: str, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "orders.parquet"
    parquet.write_table(pyarrow.table({"id": [1, 2], "Who": ["", None], "total": [0.5, None]}), path)
    assert await rows(url, tmp_path, {"shop.orders": str(path)}) == [
        (1, "", Decimal("0.5"), None),
        (2, None, None, None),
    ]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("orders.csv", "id\n1\nx\n", 'invalid input syntax for type integer: "x"'),
        ("orders.csv", "gone\n1\n", 'column "gone" of relation "orders" does not exist'),
        ("orders.parquet", "no", "cannot be read as rows of values"),
        ("orders.xlsx", "no", "ends in .xlsx, and not in .csv or .parquet"),
    ],
)
async def test_rows_that_a_table_does_not_take_are_told(
    url: str, tmp_path: Path, name: str, content: str, told: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(UsageError) as error:
        await rows(url, tmp_path, {"shop.orders": str(path)})
    assert str(path) in str(error.value)
    assert told in str(error.value)


VARIANTS = """
name = "shop"
target = "sql"
phases = [{ requests = 1 }]
database = { schema = "schema.sql", seed = "seed.sql" }
operations.count = { sql = "SELECT count(*) FROM shop.orders" }

[variants.as_stated]
[variants.migrated]
migrate = ["index.sql"]
[variants.seeded]
seed = { "shop.orders" = "orders.csv" }
[variants.elsewhere]
schema = "other.sql"
migrate = "index.sql"
[variants.set]
settings = { work_mem = "7MB" }
"""
INDEXES = "SELECT indexname FROM pg_indexes WHERE schemaname = 'shop' AND indexname <> 'orders_pkey'"


@pytest.mark.slow
async def test_each_variant_has_the_schema_the_rows_and_the_index_that_it_states(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "schema.sql").write_text(SCHEMA)
    (tmp_path / "seed.sql").write_text("INSERT INTO shop.orders (id) VALUES (1), (2)")
    (tmp_path / "other.sql").write_text(SCHEMA + "INSERT INTO shop.orders (id) VALUES (9);")
    (tmp_path / "orders.csv").write_text("id\n7\n8\n9\n")
    (tmp_path / "index.sql").write_text("CREATE INDEX own ON shop.orders (at)")
    scenario = parsed(tomllib.loads(VARIANTS), tmp_path)
    assert isinstance(scenario, OwnScenario)
    versions = own_database.Versions(scenario)
    numbers = {name: versions.of(name) for name in scenario.variants}
    assert numbers["as_stated"] == numbers["set"] == 0
    assert len(set(numbers.values())) == 4
    made: list[int] = []
    found: dict[int, tuple[int, list[str]]] = {}
    for number in sorted(set(numbers.values())):
        name = f"version_{uuid4().hex}"
        url = await server.create_database(name)
        base = versions.base_of(number, made)
        await versions.prepare(url, number)
        await versions.migrate(url, number)
        connection = await asyncpg.connect(url)
        indexes = [each["indexname"] for each in await connection.fetch(INDEXES)]
        found[number] = await connection.fetchval("SELECT count(*) FROM shop.orders"), indexes
        await connection.close()
        await server.drop_database(name)
        assert base == (0 if number == numbers["migrated"] else None)
        made.append(number)
    assert {name: found[number] for name, number in numbers.items()} == {
        "as_stated": (2, []),
        "migrated": (2, ["own"]),
        "seeded": (3, []),
        "elsewhere": (3, ["own"]),
        "set": (2, []),
    }
    before = scenario.contents()
    (tmp_path / "orders.csv").write_text("id\n7\n")
    assert scenario.contents() != before, "what only a variant names tells the data from others as well"


async def test_settings_of_a_variant_are_those_of_all_sessions_of_its_database(url: str) -> None:
    await own_database.set_in(url, {"work_mem": "7MB"})
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("SHOW work_mem") == "7MB"
    await connection.close()
    with pytest.raises(UsageError, match='settings of a variant: parameter "shared_buffers" cannot be changed'):
        await own_database.set_in(url, {"shared_buffers": "1GB"})
