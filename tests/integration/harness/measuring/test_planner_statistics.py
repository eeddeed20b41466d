"""A small database with the planner's statistics of a large one: how many rows it takes, and which plan it chooses."""

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from harness.errors import UsageError
from harness.measuring import planner_statistics
from harness.measuring.own_database import Versions
from harness.measuring.own_scenario import OwnScenario
from harness.measuring.plans import EXPLAIN, read_plan
from harness.measuring.scenario_files import parsed
from harness.measuring.servers.provisioners.protocol import Server
from harness.measuring.servers.wheel import installation
from harness.record import PlanStep
from tests.foreign import execute, value, without_password

SCHEMA = """
CREATE TABLE orders (id bigint PRIMARY KEY, customer integer NOT NULL, state text NOT NULL, note text);
CREATE INDEX orders_customer ON orders (customer);
"""
# The state of one customer's orders is another than that of all others.
SEED = """
INSERT INTO orders SELECT n, n % 1000, CASE WHEN n % 1000 = 7 THEN E'it''s\n; -- open' ELSE 'done' END, repeat('x', 60)
  FROM generate_series(1, current_setting('harness.size')::integer) AS n;
"""
SIZED = "SELECT set_config('harness.size', '{}', false);"
FURTHER = "CREATE INDEX orders_state ON orders (state); CREATE TABLE others AS SELECT 1 AS one; ANALYZE"
OF_A_CUSTOMER = "SELECT note FROM orders WHERE customer = 7"
LARGE = 40_000

MakeDatabase = Callable[..., Awaitable[str]]


@pytest.fixture
async def make(server: Server) -> AsyncGenerator[MakeDatabase]:
    """Makes databases that are dropped at the end."""
    names: list[str] = []

    async def database(*statements: str) -> str:
        names.append(f"planned_{uuid4().hex}")
        url = await server.create_database(names[-1])
        await execute(url, *statements)
        return url

    yield database
    for name in names:
        await server.drop_database(name)


@pytest.fixture
async def large(make: MakeDatabase) -> str:
    """With an index and a table that the small one has not."""
    return await make(SCHEMA, SIZED.format(LARGE) + SEED, FURTHER)


@pytest.fixture
async def statistics(large: str, tmp_path: Path) -> Path:
    path = tmp_path / "statistics.sql"
    dump = await asyncio.create_subprocess_exec(
        *(installation(postgres_major=18) / "bin" / "pg_dump", "--statistics-only", f"--file={path}"),
        without_password(large),
        env=os.environ | {"PGPASSWORD": urlsplit(large).password or ""},
    )
    assert await dump.wait() == 0
    return path


def scenario(directory: Path, size: int, **database: str) -> OwnScenario:
    for name, text in (("schema", SCHEMA), ("seed", SEED), ("index", "CREATE INDEX orders_note ON orders (note);")):
        (directory / f"{name}.sql").write_text(text, encoding="utf-8")
    document = {
        "name": "planned",
        "target": "sql",
        "database": {"schema": "schema.sql", "seed": "seed.sql", "size": size, **database},
        "operations": {"find": {"sql": OF_A_CUSTOMER}},
        "variants": {"before": {}, "after": {"migrate": "index.sql"}},
        "phases": [{"requests": 1}],
    }
    found = parsed(document, directory)
    assert isinstance(found, OwnScenario)
    return found


async def plan_of(url: str, statement: str = OF_A_CUSTOMER) -> PlanStep:
    connection = await asyncpg.connect(url)
    explained = await connection.fetchval(EXPLAIN + statement)
    await connection.close()
    root = read_plan("orders", explained, {}).record.root
    assert root is not None
    return root


async def test_the_planner_takes_the_rows_of_the_large_database_and_chooses_its_plan(
    make: MakeDatabase, large: str, statistics: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_them, without = await make(), await make()
    await Versions(scenario(tmp_path, 100, statistics=statistics.name)).prepare(with_them, 0)
    await Versions(scenario(tmp_path, 100)).prepare(without, 0)
    there, here, alone = await plan_of(large), await plan_of(with_them), await plan_of(without)
    assert (here.node_type, here.rows_estimated) == (there.node_type, there.rows_estimated)
    assert there.rows_estimated == pytest.approx(LARGE / 1000, rel=0.5)
    assert (alone.node_type, alone.rows_estimated) != (there.node_type, there.rows_estimated)
    assert f"{statistics.name}: 3 of its tables, columns or indexes are not here" in capsys.readouterr().err
    whole = await plan_of(with_them, "SELECT note FROM orders")
    assert whole.rows_estimated == pytest.approx(LARGE, rel=0.01)


async def test_statistics_are_there_after_a_variant_has_migrated_and_stay(
    make: MakeDatabase, statistics: Path, tmp_path: Path
) -> None:
    url = await make()
    versions = Versions(scenario(tmp_path, 100, statistics=statistics.name))
    await versions.prepare(url, 0)
    await versions.migrate(url, versions.of("after"))
    assert (await plan_of(url, "SELECT note FROM orders")).rows_estimated == pytest.approx(LARGE, rel=0.01)
    assert await value(url, "SELECT reltuples FROM pg_class WHERE relname = 'orders_note'") == LARGE
    assert await value(url, "SELECT reloptions FROM pg_class WHERE relname = 'orders'") == ["autovacuum_enabled=off"]


async def test_a_table_without_rows_is_told(make: MakeDatabase, statistics: Path) -> None:
    url = await make(SCHEMA)
    with pytest.raises(UsageError, match=r"public\.orders is empty here"):
        await planner_statistics.restore(url, [statistics])


async def test_what_pg_dump_did_not_write_is_told_with_what_the_server_says(make: MakeDatabase, tmp_path: Path) -> None:
    path = tmp_path / "statistics.sql"
    path.write_text("SELECT pg_restore_everything();", encoding="utf-8")
    with pytest.raises(UsageError, match=r"statistics\.sql: function pg_restore_everything\(\) does not exist"):
        await planner_statistics.restore(await make(SCHEMA), [path])


async def test_a_server_that_restores_none_is_told(
    make: MakeDatabase, statistics: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planner_statistics, "POSTGRES_MAJOR_MIN", 99)
    with pytest.raises(UsageError, match="needs PostgreSQL 99 or later, and this is 18"):
        await planner_statistics.restore(await make(SCHEMA), [statistics])
