"""An index that was lost, or that an interruption left invalid, is named and made again."""

import asyncio

import pytest
from click.testing import CliRunner

from anima.__main__ import anima as command
from anima.commands import prepare_schema
from anima.database import Session
from anima.migrations import all_migrations, mend_indexes, migrate, unusable_indexes
from anima.strategy import BATCHED, FRONTIER
from tests.memories import rows, session_on

QUIET, RESONANT, PHI = "idx_memory_keys_quiet", "idx_memory_keys_resonant", "idx_memory_keys_phi"
DEFINITIONS = "SELECT indexdef FROM pg_indexes WHERE tablename LIKE 'memor%' ORDER BY indexname"
INVALIDATE = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = $1::text::regclass"


async def spoil(session: Session) -> None:
    await session.connection.execute(f"DROP INDEX {QUIET}")
    await session.connection.execute(INVALIDATE, RESONANT)


async def test_what_is_missing_or_invalid_is_made_again_as_it_was(database_url: str) -> None:
    async with session_on(database_url) as session:
        before = await rows(session, DEFINITIONS)
        assert await unusable_indexes(database_url) == ()
        await spoil(session)
        assert await unusable_indexes(database_url) == (QUIET, RESONANT)
        assert await mend_indexes(database_url) == (QUIET, RESONANT)
        assert await rows(session, DEFINITIONS) == before
    assert await mend_indexes(database_url) == ()


@pytest.mark.parametrize("version", [6, BATCHED.schema_version, all_migrations()[-1].version])
async def test_an_index_of_a_later_migration_or_one_that_was_dropped_is_not_missed(
    empty_url: str, version: int
) -> None:
    await migrate(empty_url, to=version)
    assert await unusable_indexes(empty_url) == ()


async def test_a_service_starts_without_them_and_says_so(database_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with session_on(database_url) as session:
        await spoil(session)
    await prepare_schema(database_url, FRONTIER.schema_version, migrating=False)
    told = capsys.readouterr().err
    assert f"{QUIET}, {RESONANT} cannot be used" in told
    assert "Run `anima migrate`" in told
    await prepare_schema(database_url, FRONTIER.schema_version, migrating=True)
    assert await unusable_indexes(database_url) == ()


async def test_migrate_says_what_it_made_again(database_url: str) -> None:
    async with session_on(database_url) as session:
        await session.connection.execute(f"DROP INDEX {PHI}")

    def migrated() -> str:
        return CliRunner().invoke(command, ["migrate", "--database-url", database_url]).stdout

    assert await asyncio.to_thread(migrated) == f"made again  {PHI}\n"
    assert await asyncio.to_thread(migrated) == "Nothing to do: the schema is up to date.\n"
