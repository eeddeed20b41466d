"""The pytest plugin in a project that knows nothing of the memory system: its own pool, real statements."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
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
    async with asyncpg.create_pool(os.environ["SHOP_URL"], min_size=1, max_size=2) as pool:
        await pool.execute("SELECT 'of a fixture, which nobody measures'")
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
    await budget.watch(connection)  # As was needed once.
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
    # What it prints is this test's own output, which a failure shows.
    subprocess.run(command, cwd=directory, env=environment | {"SHOP_URL": url}, check=False)
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
    assert verdict["further"][1:] == [
        f"  SELECT * FROM generate_series(1, $1) AS id ×3 at test_shop.py:{line}",  # noqa: RUF001
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


MODES = """
import asyncio
import os

import asyncpg
import psycopg
import pytest


@pytest.fixture(scope="session")
def anyio_backend():
    return "asyncio"


async def ask():
    connection = await asyncpg.connect(os.environ["SHOP_URL"])
    await asyncio.gather(*(connection.fetch(text) for text in ["SELECT 1"]))
    await asyncio.to_thread(ask_and_block)
    await connection.close()


def ask_and_block():
    with psycopg.connect(os.environ["SHOP_URL"]) as connection:
        connection.execute("SELECT 2")


@pytest.mark.anyio
async def test_anyio(budget):
    await budget("statements <= 1").measure_async(ask)


@pytest.mark.asyncio
async def test_asyncio(budget):
    await budget("statements <= 1").measure_async(ask)


def test_neither(budget):
    budget("statements <= 0").measure(ask_and_block)
"""


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_whoever_runs_a_test_its_statements_are_counted_with_their_lines(
    mode: str, tmp_path: Path, shop_url: str, environment: dict[str, str]
) -> None:
    (tmp_path / "pytest.ini").write_text(f"[pytest]\nasyncio_mode = {mode}\n", encoding="utf-8")
    (tmp_path / "test_modes.py").write_text(MODES, encoding="utf-8")
    workers = {"strict": ["-n", "2"], "auto": []}[mode]
    asyncio_fails = {"statements <= 1": "FAIL"}
    assert run_pytest(tmp_path, shop_url, environment, *workers) == {
        "test_anyio": asyncio_fails,
        "test_asyncio": asyncio_fails,
        "test_neither": {"statements <= 0": "FAIL"},
    }
    document = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    listed = {test["test"].partition("::")[2]: test["budgets"][0]["further"][1:] for test in document["tests"]}
    gathered, blocking = (
        MODES[: MODES.index(text)].count("\n") + 1 for text in ("await asyncio.gather", "connection.execute")
    )
    both = [f"  SELECT 1 at test_modes.py:{gathered}", f"  SELECT 2 at test_modes.py:{blocking}"]
    assert listed == {"test_anyio": both, "test_asyncio": both, "test_neither": both[1:]}


HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "pytest.md"
N_PLUS_ONE = Path(__file__).parents[2] / "examples" / "n_plus_one"


def test_one_fault_by_four_drivers_reads_as_the_manual_shows_it(
    tmp_path: Path, shop_url: str, environment: dict[str, str]
) -> None:
    shutil.copytree(N_PLUS_ONE, tmp_path, dirs_exist_ok=True)
    run_pytest(tmp_path, shop_url, environment)
    document = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    by_driver = {test["test"].partition("::test_")[2]: test["budgets"][0] for test in document["tests"]}
    shown = [
        "\n".join([driver, f"FAIL {each['budget']}: {each['sentence']}", *(f"  {line}" for line in each["further"])])
        for driver in ("asyncpg", "psycopg", "sqlalchemy", "django")
        for each in [by_driver[driver]]
    ]
    assert without_times("\n\n".join(shown)) in without_times(HOW_TO.read_text(encoding="utf-8"))


def without_times(text: str) -> str:
    return re.sub(r"\([\d.]+ \w+ and", "(some time and", text)


BY_HAND = """
import sqlite3
from pathlib import Path

import psycopg
import sqlalchemy
from harness.budget_fixture import count_statement

BLOCKS = [block.partition("\\n```")[0] for block in Path(HOW_TO_PATH).read_text().split("```python\\n")[1:]]


def test_recipe(budget):
    (recipe,) = [block for block in BLOCKS if "sqlite3" in block]
    given = {"sqlite3": sqlite3, "budget": budget}
    exec(recipe.replace("shop.db", ":memory:"), given)
    budget("statements <= 1", "statements >= 1").measure(given["connection"].execute, "SELECT 1")
    given["connection"].close()


def test_hidden(budget):
    connection = sqlite3.connect(":memory:")
    try:
        budget("statements <= 0").measure(connection.execute, "SELECT 1")
    finally:
        connection.close()


def test_sqlalchemy_is_not_counted_twice(budget, budget_database):
    engine = sqlalchemy.create_engine(budget_database.replace("postgresql:", "postgresql+psycopg:"))
    sqlalchemy.event.listen(engine, "before_cursor_execute", count_statement)

    def call():
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("SELECT 1"))
            connection.execute(sqlalchemy.text("SELECT 2"))

    budget("statements <= 2", "statements >= 2").measure(call)
    engine.dispose()


class CountedCursor(psycopg.Cursor):
    def execute(self, query, *arguments, **options):
        count_statement(query)
        return super().execute(query, *arguments, **options)


def test_psycopg_is_not_counted_twice(budget, budget_database):
    with psycopg.connect(budget_database, cursor_factory=CountedCursor) as connection:
        budget("statements <= 1", "statements >= 1").measure(connection.execute, "SELECT 1")
"""


def test_what_a_project_counts_by_its_own_hooks_is_counted_once(
    tmp_path: Path, shop_url: str, environment: dict[str, str]
) -> None:
    (tmp_path / "test_by_hand.py").write_text(f"HOW_TO_PATH = {str(HOW_TO)!r}\n{BY_HAND}", encoding="utf-8")
    judged = run_pytest(tmp_path, shop_url, environment)
    assert judged.keys() == {
        "test_recipe",
        "test_sqlalchemy_is_not_counted_twice",
        "test_psycopg_is_not_counted_twice",
    }
    assert all(set(each.values()) == {"PASS"} for each in judged.values())
