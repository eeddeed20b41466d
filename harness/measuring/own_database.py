"""Databases as somebody's own scenario makes them: SQL scripts, applied in their order, and what fills them."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from harness.errors import UsageError
from harness.measuring import planner_statistics
from harness.measuring.connections import connected, settle
from harness.measuring.own_scenario import OwnDatabase, OwnScenario
from harness.measuring.pointing import pointed_at
from harness.measuring.seeds import SeedCommand, copy_rows, run_command

SET: Final = "SELECT format('ALTER DATABASE %I SET %I = %L', current_database(), $1::text, $2::text)"
EXTENSION: Final = 'extension "vector"'
HAS_VECTOR: Final = " Databases of a run begin with it: write CREATE EXTENSION IF NOT EXISTS vector."
SIZE: Final = "SELECT set_config('harness.size', $1, false)"


@dataclass(frozen=True, slots=True)
class PreparedDatabase:
    """A database before a run; those that only differ in `migrate` are made from one."""

    database: OwnDatabase
    migrate: tuple[Path, ...] = ()


class Versions:
    """Says what the variants of a scenario need, by number. 0 is what its own `schema` and `seed` make."""

    def __init__(self, scenario: OwnScenario) -> None:
        wanted = {
            name: PreparedDatabase(scenario.database.of(variant), variant.migrate)
            for name, variant in scenario.variants.items()
        }
        grounds = [PreparedDatabase(scenario.database), *(PreparedDatabase(each.database) for each in wanted.values())]
        self._all: list[PreparedDatabase] = []
        self._all += [each for number, each in enumerate(grounds) if each not in grounds[:number]]
        self._all += [each for each in wanted.values() if each.migrate]
        self._by_variant = {name: self._all.index(each) for name, each in wanted.items()}

    def of(self, variant: str) -> int:
        return self._by_variant[variant]

    def base_of(self, version: int, made: Collection[int]) -> int | None:
        """The same before it is migrated, where that is there."""
        ground = self._all.index(PreparedDatabase(self._all[version].database))
        return ground if ground != version and ground in made else None

    @property
    def contents(self) -> str:
        files = {path.name: None for version in self._all for path in version.database.files}
        return ", ".join(files) or "nothing"

    async def prepare(self, url: str, version: int) -> None:
        """Without what the version migrates. Raises `UsageError`, as all of these do."""
        await prepare(url, self._all[version].database)
        await self._restore(url, version)

    async def migrate(self, url: str, version: int) -> None:
        await apply(url, self._all[version].migrate)
        await self._restore(url, version)

    async def _restore(self, url: str, version: int) -> None:
        """After each time that the server has analysed what is there."""
        if files := self._all[version].database.statistics_files:
            await planner_statistics.restore(url, files)


async def set_in(url: str, settings: Mapping[str, str]) -> None:
    """For all sessions of the database from then on. Raises `UsageError` for a setting that it does not take."""
    if not settings:
        return
    async with connected(url) as connection:
        for name, value in settings.items():
            try:
                await connection.execute(await connection.fetchval(SET, name, value))
            except asyncpg.PostgresError as error:
                raise UsageError(f"settings of a variant: {error}.") from None


async def prepare(url: str, database: OwnDatabase) -> None:
    """As `schema` and `seed` say. Raises `UsageError`."""
    match database.seed:
        case SeedCommand() as command:
            await apply(url, database.schema_files)
            await run_command(command, url, database.size)
            await apply(url, ())
        case dict() as tables:
            await apply(url, database.schema_files)
            async with connected(url) as connection:
                for table, path in tables.items():
                    await copy_rows(connection, table, path)
            await apply(url, ())
        case files:
            await apply(url, (*database.schema_files, *files), database.size)


async def apply(url: str, files: Sequence[Path], size: int | None = None) -> None:
    """Vacuumed and analysed afterwards. Raises `UsageError` with what the server says, and the line that it means."""
    async with connected(url) as connection:
        if size is not None:
            await connection.execute(SIZE, str(size))
        for path in files:
            text = await asyncio.to_thread(path.read_text, encoding="utf-8")
            try:
                await connection.execute(text)
            except asyncpg.PostgresError as error:
                raise UsageError(refused(path, text, error)) from error
        await settle(connection)


def refused(path: Path, text: str, error: asyncpg.PostgresError) -> str:
    position = getattr(error, "position", None)
    if position is None:
        is_there = isinstance(error, asyncpg.DuplicateObjectError) and EXTENSION in str(error)
        return f"{path}: {error}.{HAS_VECTOR if is_there else ''}"
    at = int(position) - 1
    return f"{path}:{text.count(chr(10), 0, at) + 1}: {error}.\n{pointed_at(text, at)}"
