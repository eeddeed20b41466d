"""The pytest plugin in a project that knows nothing of the memory system: its own pool, real statements."""

import asyncio
import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from harness.measuring.servers.provisioners.protocol import Server

pytestmark = pytest.mark.slow

PROJECT = """
import os

import asyncpg
import pytest


@pytest.fixture
async def pool(budget):
    async with asyncpg.create_pool(os.environ["SHOP_URL"], min_size=1, max_size=2, init=budget.watch) as pool:
        await pool.execute("CREATE TABLE IF NOT EXISTS orders (id int)")
        yield pool


async def orders(pool, number):
    async with pool.acquire() as connection, connection.transaction():
        return [await connection.fetchrow("SELECT * FROM generate_series(1, $1) AS id", n) for n in range(number)]


async def test_a_loop_is_found(pool, budget):
    await budget("p95 <= 30s", "statements <= 1").measure_async(orders, pool, 3)


async def test_a_law_in_the_results_holds(pool, budget):
    found = await budget("p95 <= 30s", "mean <= 30s", "statements <= n").measure_async(orders, pool, 3)
    assert len(found) == 3


async def test_one_connection(budget):
    connection = await asyncpg.connect(os.environ["SHOP_URL"])
    await budget.watch(connection)
    assert await budget("statements <= 1").measure_async(connection.fetchval, "SELECT 1") == 1
    await connection.close()
"""

WITHOUT_PLUGINS = """
import asyncio
import os

import asyncpg


def test_a_loop_of_its_own(budget):
    async def main():
        connection = await asyncpg.connect(os.environ["SHOP_URL"])
        await budget.watch(connection)
        await budget("statements <= 1", "p50 <= 30s").measure_async(connection.execute, "SELECT 1")
        await connection.close()

    asyncio.run(main())
"""


@pytest.fixture
def shop_url(runner: asyncio.Runner, server: Server) -> str:
    return runner.run(server.create_database(f"shop_{uuid4().hex}"))


def run_pytest(directory: Path, url: str, environment: dict[str, str], *arguments: str) -> dict[str, Any]:
    """What became of each budget, by test. The plugin is there because it is installed; nothing names it."""
    command = [sys.executable, "-m", "pytest", "--budget-report=out.json", *arguments]
    subprocess.run(command, cwd=directory, env=environment | {"SHOP_URL": url}, capture_output=True, check=False)
    return outcomes(directory)


def outcomes(directory: Path) -> dict[str, Any]:
    document = json.loads((directory / "out.json").read_text(encoding="utf-8"))
    return {
        test["test"].partition("::")[2]: {each["budget"]: each["outcome"] for each in test["budgets"]}
        for test in document["tests"]
    }


def test_statements_of_another_project_are_counted(tmp_path: Path, shop_url: str, environment: dict[str, str]) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n", encoding="utf-8")
    (tmp_path / "test_shop.py").write_text(PROJECT, encoding="utf-8")
    assert run_pytest(tmp_path, shop_url, environment, "-n", "2") == {
        "test_a_loop_is_found": {"p95 <= 30s": "PASS", "statements <= 1": "FAIL"},
        "test_a_law_in_the_results_holds": {"p95 <= 30s": "PASS", "mean <= 30s": "PASS", "statements <= n": "PASS"},
        "test_one_connection": {"statements <= 1": "PASS"},
    }


def test_statements_that_asyncpg_sends_are_listed_with_the_line_of_the_project(
    tmp_path: Path, shop_url: str, environment: dict[str, str]
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n", encoding="utf-8")
    (tmp_path / "test_shop.py").write_text(PROJECT, encoding="utf-8")
    run_pytest(tmp_path, shop_url, environment, "-k", "loop")
    document = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    (verdict,) = [each for each in document["tests"][0]["budgets"] if each["budget"] == "statements <= 1"]
    line = PROJECT[: PROJECT.index("return [await")].count("\n") + 1
    assert verdict["further"] == [
        "sent by the call with most statements:",
        f"  3 times SELECT * FROM generate_series(1, $1) AS id  (test_shop.py:{line})",
    ]


def test_neither_xdist_nor_pytest_asyncio_is_needed(tmp_path: Path, shop_url: str, environment: dict[str, str]) -> None:
    (tmp_path / "test_shop.py").write_text(WITHOUT_PLUGINS, encoding="utf-8")
    without = [f"-pno:{name}" for name in ("asyncio", "xdist", "randomly", "timeout")]
    assert run_pytest(tmp_path, shop_url, environment, *without) == {
        "test_a_loop_of_its_own": {"statements <= 1": "PASS", "p50 <= 30s": "PASS"}
    }


LENT = """
import asyncpg
import pytest


@pytest.fixture(scope="session")
def budget_schema():
    import asyncio

    async def make(url):
        connection = await asyncpg.connect(url)
        await connection.execute("CREATE TABLE orders (id int, text text)")
        await connection.execute("INSERT INTO orders SELECT n, n FROM generate_series(1, 20000) AS n")
        await connection.execute("CREATE INDEX orders_by_id ON orders (id)")
        await connection.execute("ANALYZE orders")
        await connection.close()

    return lambda url: asyncio.run(make(url))


@pytest.fixture
async def connection(budget, budget_database):
    connection = await asyncpg.connect(budget_database)
    await budget.watch(connection)
    yield connection
    await connection.close()


@pytest.mark.parametrize("column", ["id", "text::int"])
async def test_plan(connection, budget, column):
    text = f"SELECT * FROM orders WHERE {column} = $1"
    await budget("plan uses orders_by_id", "rows <= 40").measure_async(connection.fetch, text, 7)


@pytest.mark.parametrize("size", [10, 2000])
async def test_log(connection, budget, size):
    await budget("wal_bytes <= 8kB").measure_async(
        connection.execute, "INSERT INTO orders SELECT n, n FROM generate_series(1, $1) AS n", size
    )


async def test_each_has_its_own(connection, budget):
    assert await connection.fetchval("SELECT count(*) FROM orders") == 20000
    await budget("wal_bytes_per_op <= 0").measure_async(connection.fetch, "SELECT 1")


def test_rows_need_a_session_that_reports(budget, budget_database):
    budget("rows_per_op <= 40").measure(sum, [])
"""


def test_a_lent_database_shows_plans_rows_and_what_is_written_ahead(
    tmp_path: Path, shop_url: str, environment: dict[str, str]
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n", encoding="utf-8")
    (tmp_path / "test_lent.py").write_text(LENT, encoding="utf-8")
    misled = environment | {"PGHOST": "192.0.2.1", "PGSSLMODE": "require", "PGTARGETSESSIONATTRS": "standby"}
    assert run_pytest(tmp_path, shop_url, misled) == {
        "test_plan[id]": {"plan uses orders_by_id": "PASS", "rows <= 40": "PASS"},
        "test_plan[text::int]": {"plan uses orders_by_id": "FAIL", "rows <= 40": "FAIL"},
        "test_log[10]": {"wal_bytes <= 8kB": "PASS"},
        "test_log[2000]": {"wal_bytes <= 8kB": "FAIL"},
        "test_each_has_its_own": {"wal_bytes_per_op <= 0": "PASS"},
        "test_rows_need_a_session_that_reports": {"rows_per_op <= 40": "INVALID"},
    }


RECIPES = """
import pytest
from pathlib import Path

HOW_TO = Path(HOW_TO_PATH).read_text(encoding="utf-8")
BLOCKS = [block.partition("\\n```")[0] for block in HOW_TO.split("```python\\n")[1:]]


def recipe(word):
    (found,) = [block for block in BLOCKS if word in block]
    return found


def test_sqlalchemy(budget, budget_database):
    sqlalchemy = pytest.importorskip("sqlalchemy")
    pytest.importorskip("psycopg")
    engine = sqlalchemy.create_engine(budget_database.replace("postgresql:", "postgresql+psycopg:"))
    exec(recipe("sqlalchemy"), {"engine": engine})

    def call():
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("SELECT 1"))
            connection.execute(sqlalchemy.text("SELECT 2"))

    budget("statements <= 2", "statements >= 2").measure(call)
    engine.dispose()


def test_psycopg(budget, budget_database):
    given = {"psycopg": pytest.importorskip("psycopg"), "URL": budget_database}
    exec(recipe("psycopg.Cursor"), given)
    with given["connection"] as connection:
        budget("statements <= 1", "statements >= 1").measure(connection.execute, "SELECT 1")
"""


def test_the_recipes_of_the_manual_count_where_their_drivers_are(
    tmp_path: Path, shop_url: str, environment: dict[str, str]
) -> None:
    drivers = {"test_sqlalchemy": ("sqlalchemy", "psycopg"), "test_psycopg": ("psycopg",)}
    here = {test for test, needed in drivers.items() if all(map(find_spec, needed))}
    if not here:
        pytest.skip("neither SQLAlchemy nor psycopg is installed")
    how_to = Path(__file__).parents[2] / "docs" / "how-to" / "pytest.md"
    (tmp_path / "test_recipes.py").write_text(f"HOW_TO_PATH = {str(how_to)!r}\n{RECIPES}", encoding="utf-8")
    judged = run_pytest(tmp_path, shop_url, environment)
    assert judged.keys() == here
    assert all(set(each.values()) == {"PASS"} for each in judged.values())
