"""Migrations on a real server: from nothing, step by step, over data, interrupted, twice at once, and refused."""

import asyncio
import subprocess
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Final
from uuid import uuid4

import asyncpg
import pytest

from anima import migrations
from anima.database import Session
from anima.errors import DatabaseUnavailable, MigrationFailed
from anima.migrations import all_migrations, migrate, status
from anima.model import BootstrapRequest, NewMemory, Query
from anima.strategy import BATCHED, NAIVE
from tests.memories import opened, rows, session_on, tables, value
from tests.waiting import until

NEWEST: Final = all_migrations()[-1].version
VERSIONS: Final = range(1, NEWEST + 1)

COLUMNS = """
    SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns
    WHERE table_schema = 'public' ORDER BY table_name, column_name
"""
INDEXES = """
    SELECT c.relname, pg_get_indexdef(indexrelid), indisvalid FROM pg_index JOIN pg_class AS c ON c.oid = indexrelid
    WHERE c.relnamespace = 'public'::regnamespace ORDER BY c.relname
"""


async def schema(url: str) -> list[list[tuple[object, ...]]]:
    async with session_on(url) as session:
        return [[tuple(row) for row in await session.connection.fetch(sql)] for sql in (COLUMNS, INDEXES)]


async def applied(url: str) -> list[int]:
    return [known.migration.version for known in await status(url) if known.applied]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_fresh_database_comes_to_any_version(empty_url: str, version: int) -> None:
    assert await applied(empty_url) == []
    done = await migrate(empty_url, to=version)
    assert [migration.version for migration in done] == list(range(1, version + 1)) == await applied(empty_url)


async def test_step_by_step_ends_where_all_at_once_does(empty_url: str, database_url: str) -> None:
    for version in VERSIONS:
        (done,) = await migrate(empty_url, to=version)
        assert done.version == version
    assert await schema(empty_url) == await schema(database_url)


async def test_a_database_at_the_newest_version_stays_as_it_is(database_url: str) -> None:
    before = await schema(database_url)
    assert await migrate(database_url) == ()
    assert await schema(database_url) == before
    assert all(known.applied for known in await status(database_url))


async def test_data_is_kept_and_understood_from_the_state_before_the_fixes_on(empty_url: str) -> None:
    await migrate(empty_url, to=NAIVE.schema_version)
    async with opened(empty_url, NAIVE) as anima:
        for content in ("oak and river", "oak and stone", "a realized dream"):
            await anima.memory.add(NewMemory(content=content))
        for _ in range(5):
            await anima.memory.query(Query(query="oak", similarity_threshold=0.1, conversation_id="c"))
    async with session_on(empty_url) as session:
        before = await tables(session)
    assert all(before[table] for table in before if not table.startswith("queue"))

    # What comes after this version moves rows apart, which test_apart.py holds to the same promise.
    await migrate(empty_url, to=BATCHED.schema_version)

    async with session_on(empty_url) as session:
        assert await tables(session) == before
    async with opened(empty_url, BATCHED) as anima:
        assert (await anima.memory.add(NewMemory(content="oak and river"))).is_duplicate
        found = await anima.memory.query(Query(query="oak", similarity_threshold=0.1))
        loaded = await anima.memory.bootstrap(BootstrapRequest(conversation_id="c"))
    assert sorted(result.memory.access_count for result in found.memories) == [5, 6]
    assert loaded.distribution == {"active": 1, "thread": 2, "stable": 0, "total": 3}


async def test_an_index_left_invalid_by_an_interruption_is_found_and_rebuilt(empty_url: str) -> None:
    """The build waits for an open transaction; there it is cancelled, as by a person or a restart."""
    await migrate(empty_url, to=6)
    async with session_on(empty_url) as session:
        async with session_on(empty_url) as writing, writing.transaction():
            await writing.connection.execute("LOCK TABLE memories IN ROW EXCLUSIVE MODE")
            migrating = asyncio.create_task(migrate(empty_url))
            await until(lambda: building_waits(session))
            await session.connection.execute(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%'"
            )
            with pytest.raises(MigrationFailed, match=r"007_performance_indexes failed: .*run it again"):
                await migrating
        assert await invalid_indexes(session) != []
        assert await applied(empty_url) == list(range(1, 7))
        await migrate(empty_url, to=7)
        assert await invalid_indexes(session) == []
        valid = await value(session, "SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'idx_memories_tier%'")
        assert valid == 2


async def building_waits(session: Session) -> bool:
    return bool(
        await value(
            session,
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%'"
            " AND wait_event_type = 'Lock' AND datname = current_database())",
        )
    )


async def invalid_indexes(session: Session) -> list[str]:
    found = await rows(session, "SELECT indexrelid::regclass::text AS name FROM pg_index WHERE NOT indisvalid")
    return [row["name"] for row in found]


async def test_migrators_at_once_wait_for_each_other(empty_url: str) -> None:
    results = await asyncio.gather(*(migrate(empty_url) for _ in range(4)))
    assert sorted(len(done) for done in results) == [0, 0, 0, NEWEST]
    assert await applied(empty_url) == list(VERSIONS)


async def test_going_back_is_refused_with_what_to_do_instead(database_url: str) -> None:
    with pytest.raises(MigrationFailed, match=rf"at version {NEWEST}, beyond 3\. Migrations only go forward: "):
        await migrate(database_url, to=3)
    assert await applied(database_url) == list(VERSIONS)


@pytest.mark.parametrize("version", [-1, 0, NEWEST + 1])
async def test_an_unknown_version_is_refused_before_the_database_is_touched(version: int) -> None:
    with pytest.raises(MigrationFailed, match=rf"no migration {version}: versions go from 1 to {NEWEST}"):
        await migrate("postgresql://127.0.0.1:1/nowhere", to=version)


@pytest.mark.parametrize("act", [migrate, status])
async def test_a_database_that_cannot_be_reached_is_named(act: Callable[[str], Awaitable[object]]) -> None:
    with pytest.raises(DatabaseUnavailable, match=r"127\.0\.0\.1"):
        await act("postgresql://127.0.0.1:1/nowhere")


YES, NO = "-- transaction: yes\n", "-- transaction: no\n"


@pytest.mark.parametrize(
    ("files", "refusal"),
    [
        ({"1_a.sql": YES}, r"^1_a\.sql: a migration is named like 008_title\.sql"),
        ({"001-a.sql": YES}, r"^001-a\.sql: a migration is named"),
        ({"001_a.sql": ""}, r"^001_a\.sql: its first line must be"),
        ({"001_a.sql": "SELECT 1;\n" + YES}, r"^001_a\.sql: its first line must be"),
        ({"001_a.sql": "-- transaction: maybe\n"}, r"^001_a\.sql: its first line must be"),
        ({"001_a.sql": YES, "003_c.sql": YES}, r"^003_c\.sql: expected version 002"),
        ({"001_a.sql": YES, "001_b.sql": NO}, r"^001_b\.sql: expected version 002"),
        ({"002_b.sql": YES}, r"^002_b\.sql: expected version 001"),
    ],
)
def test_files_that_are_named_or_declared_wrongly_are_refused_by_name(
    tmp_path: Path, files: dict[str, str], refusal: str
) -> None:
    write(tmp_path, files)
    with pytest.raises(MigrationFailed, match=refusal):
        all_migrations(tmp_path)


def write(directory: Path, files: dict[str, str]) -> None:
    for name, sql in files.items():
        (directory / name).write_text(sql, encoding="utf-8")


@pytest.mark.parametrize(
    ("declared", "left"),
    [
        pytest.param(YES, ["a"], id="in-a-transaction"),
        pytest.param(NO, ["a", "b"], id="outside-one"),
    ],
)
async def test_a_failing_migration_leaves_earlier_ones_and_can_be_run_again(
    empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, declared: str, left: list[str]
) -> None:
    monkeypatch.setattr(migrations, "directory", lambda: tmp_path)
    made = "CREATE TABLE IF NOT EXISTS b (id integer);\n"
    write(tmp_path, {"001_a.sql": YES + "CREATE TABLE a (id integer);", "002_b.sql": declared + made + "SELECT 1 / 0;"})

    with pytest.raises(MigrationFailed, match=r"002_b failed: division by zero\. Earlier ones are kept"):
        await migrate(empty_url)
    assert await applied(empty_url) == [1]
    assert await own_tables(empty_url) == left

    write(tmp_path, {"002_b.sql": declared + made})
    assert [migration.version for migration in await migrate(empty_url)] == [2]
    assert await own_tables(empty_url) == ["a", "b"]


async def own_tables(url: str) -> list[str]:
    async with session_on(url) as session:
        found = await rows(session, "SELECT tablename FROM pg_tables WHERE tablename IN ('a', 'b') ORDER BY 1")
    return [row["tablename"] for row in found]


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()


@pytest.fixture
async def guest_url(empty_url: str) -> AsyncGenerator[str]:
    """The same database for a role that owns nothing in it."""
    role = f"guest_{uuid4().hex}"
    await execute(empty_url, f"CREATE ROLE {role} LOGIN PASSWORD 'guest'")
    yield f"postgresql://{role}:guest@{empty_url.rpartition('@')[2]}"
    await execute(empty_url, f"DROP ROLE {role}")


async def test_a_role_that_may_not_create_is_told_so(guest_url: str) -> None:
    """In the public schema, where only its owner may create tables."""
    with pytest.raises(MigrationFailed, match=r"permission denied for schema public\. Use a role that may create"):
        await migrate(guest_url)


async def test_a_role_that_may_not_enable_pgvector_is_told_who_may(empty_url: str, guest_url: str) -> None:
    await execute(empty_url, "DROP EXTENSION vector")
    with pytest.raises(MigrationFailed, match=r"pgvector cannot be enabled \(permission.* an administrator"):
        await migrate(guest_url)


@pytest.mark.needs("squawk")
def test_squawk_has_nothing_to_say() -> None:
    files = sorted(map(str, migrations.directory().glob("*.sql")))
    checked = subprocess.run(
        ["squawk", *files], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout
