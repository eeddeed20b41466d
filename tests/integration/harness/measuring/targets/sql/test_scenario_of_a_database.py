"""The scenario that `harness init sql --from` writes out of a database: it runs, and holds nothing of its rows."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from click.testing import CliRunner, Result

from harness.command_line import init
from harness.errors import ProvisioningError, UsageError
from harness.measuring import scenario_files
from harness.measuring.servers.provisioners.protocol import Server
from harness.measuring.targets.protocol import TargetContext
from harness.measuring.targets.sql.scenario import SqlScenario
from harness.measuring.targets.sql.target import SqlTarget

TABLES = """
CREATE TYPE state AS ENUM ('new', 'paid');
CREATE DOMAIN short AS text CHECK (length(VALUE) < 9);
CREATE TABLE users (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email text NOT NULL UNIQUE,
    password_hash text NOT NULL,
    settings jsonb NOT NULL DEFAULT '{}'
);
CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users,
    status text NOT NULL CHECK (status IN ('open', 'done')),
    state state NOT NULL DEFAULT 'new',
    created_at timestamptz NOT NULL DEFAULT now(),
    total numeric(6, 2) CHECK (total > 0),
    cents integer GENERATED ALWAYS AS ((total * 100)::integer) STORED,
    taste vector(3)
);
CREATE TABLE lines (
    order_id bigint REFERENCES orders,
    place smallint CHECK (place >= 1 AND place <= 5),
    code char(4),
    PRIMARY KEY (order_id, place)
);
CREATE TABLE "Staff" ("Id" serial PRIMARY KEY, "bossId" integer REFERENCES "Staff", "order" text);
CREATE TABLE odd (shape circle NOT NULL, word short);
CREATE FUNCTION bump() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
SET LOCAL work_mem = '5MB';
RETURN NEW;
END $$;
CREATE TRIGGER bump BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION bump();
INSERT INTO users (email, password_hash) SELECT 'ann' || n || '@real.example', 'bcrypt' || n
  FROM generate_series(1, 40) AS n;
INSERT INTO orders (user_id, status, total, taste)
SELECT id, 'open', n, '[1,2,3]' FROM users, generate_series(1, 3) AS n;
ANALYZE;
"""
STATEMENTS = [
    "SELECT nextval($1), id FROM orders",
    "SELECT gone FROM orders WHERE id = $1",
    "SELECT total FROM orders o JOIN users u ON u.id = o.user_id WHERE u.email = $1 ORDER BY created_at LIMIT $2",
    "SELECT * FROM orders WHERE status = $1 AND created_at > now() - interval $2 OFFSET $3",
    "SELECT id FROM orders WHERE state = $1 AND total BETWEEN $2 AND $3",
    "SELECT id FROM orders ORDER BY taste <=> $1 LIMIT $2",
    "SELECT * FROM users WHERE id = ANY ($1)",
    "INSERT INTO orders (user_id, status, total, taste) VALUES ($1, $2, $3, $4) RETURNING id",
    "INSERT INTO users (email, password_hash, settings) VALUES ($1, $2, $3)",
    "UPDATE users SET settings = $1 WHERE email = $2",
    "DELETE FROM lines WHERE order_id = $1 AND place IN ($2, $3)",
    'SELECT "order" FROM "Staff" WHERE "bossId" = $1 AND "order" <> \'top secret\'',
    "ALTER ROLE postgres PASSWORD 'hunter2hunter2'",
    "SELECT relname FROM pg_class",
]
COUNTED = """
CREATE TABLE counted (query text, n bigint);
CREATE VIEW pg_stat_statements AS
SELECT query, 10 * n AS calls, 1000.0 / n AS total_exec_time, oid AS dbid
  FROM pg_database, counted
 WHERE datname = current_database();
"""


@pytest.fixture
async def url(server: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[str]:
    """Of the tables, as it may stand on a command line."""
    name = f"existing_{uuid4().hex}"
    whole = await server.create_database(name)
    connection = await asyncpg.connect(whole)
    await connection.execute(TABLES)
    await connection.close()
    password = whole.partition("://")[2].partition("@")[0].partition(":")[2]
    monkeypatch.setenv("PGPASSWORD", password)
    yield whole.replace(f":{password}@", "@")
    await server.drop_database(name)


async def count_statements(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(COUNTED)
    numbered = [(statement, number) for number, statement in enumerate(STATEMENTS, start=1)]
    await connection.executemany("INSERT INTO counted VALUES ($1, $2)", numbered)
    await connection.close()


async def init_from(url: str, directory: Path) -> Result:
    asked = ["sql", "--from", url, "--to", str(directory)]
    return await asyncio.to_thread(CliRunner().invoke, init, asked, catch_exceptions=False, standalone_mode=False)


def read(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in directory.iterdir()}


async def performed(directory: Path, server: Server) -> dict[str, int | None]:
    """The rows of each operation, on a database that its files made."""
    scenario = scenario_files.load_scenario(str(directory / "own.toml"))
    assert isinstance(scenario, SqlScenario)
    name = f"made_{uuid4().hex}"
    made = await server.create_database(name)
    target = SqlTarget(scenario)
    await target.prepare(made, 0)
    drawn = await scenario.with_draws(made)
    rows: dict[str, int | None] = {}
    async with target.open(TargetContext("current", made)) as opened:
        for operation, each in drawn.operations.items():
            requests = each.requests(operation, scenario.seed)
            rows[operation] = sum([(await opened.perform(next(requests))).rows or 0 for _ in range(5)])
    await server.drop_database(name)
    return rows


async def test_the_costliest_statements_become_operations_that_can_be_performed(
    url: str, server: Server, tmp_path: Path
) -> None:
    await count_statements(url)
    done = await init_from(url, tmp_path / "own")
    assert "select_orders is left out: nothing is known to draw for $1, which is regclass." in done.output
    assert 'select_orders_by_id is left out: it does not prepare (column "gone" does not exist).' in done.output
    assert "odd is empty: nothing is known to make shape of, which is circle." in done.output
    rows = await performed(tmp_path / "own", server)
    assert list(rows) == [
        "select_orders_by_email",
        "select_orders_by_status",
        "select_orders_by_state_total",
        "select_orders_by_taste",
        "select_users_by_id",
        "insert_orders",
        "insert_users",
        "update_users_by_email",
        "delete_lines_by_order_id_place",
        "select_Staff_by_bossId_order",
    ]
    assert all(
        rows[name] for name in rows if name not in {"delete_lines_by_order_id_place", "select_orders_by_state_total"}
    )


async def test_nothing_of_the_rows_and_nothing_secret_is_written(url: str, tmp_path: Path) -> None:
    await count_statements(url)
    await init_from(url, tmp_path)
    written = "".join(read(tmp_path).values())
    for secret in ("real.example", "bcrypt", "hunter2", "top secret", "postgresql://"):
        assert secret not in written
    assert "SET LOCAL work_mem = '5MB';" in written, "what a function says is kept"


async def test_without_the_statistics_each_index_is_asked_for_what_it_is_there_for(
    url: str, server: Server, tmp_path: Path
) -> None:
    done = await init_from(url, tmp_path)
    assert "The database has no pg_stat_statements" in done.output
    rows = await performed(tmp_path, server)
    assert rows["select_users_by_email"] == 5
    assert {"select_orders_by_id", "select_lines_by_order_id_place", "select_Staff_by_Id"} <= set(rows)


async def test_a_database_without_tables_or_without_an_answer_is_told(server: Server, url: str, tmp_path: Path) -> None:
    name = f"empty_{uuid4().hex}"
    whole = await server.create_database(name)
    with pytest.raises(UsageError, match="has no table"):
        await init_from(url.rpartition("/")[0] + whole[whole.rindex("/") :], tmp_path)
    await server.drop_database(name)
    with pytest.raises(ProvisioningError, match=r"127\.0\.0\.1:1 cannot be read"):
        await init_from("postgresql://me@127.0.0.1:1/none", tmp_path)
    with pytest.raises(UsageError, match="expected a URL"):
        await init_from("shop", tmp_path)
    assert not read(tmp_path)
