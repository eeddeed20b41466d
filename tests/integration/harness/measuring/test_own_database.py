"""A database that a scenario's own seed fills."""

import sys
from collections.abc import AsyncGenerator
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from harness.errors import UsageError
from harness.measuring import own_database
from harness.measuring.own_scenario import OwnDatabase
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
