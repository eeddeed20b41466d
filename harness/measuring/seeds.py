"""Says what fills somebody's own database: files of SQL, a command, or files of rows by their tables."""

import asyncio
import csv
import io
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final, cast
from urllib.parse import unquote, urlsplit

import asyncpg
from pydantic import BeforeValidator, Discriminator, Field, Tag

from harness.children import environment
from harness.errors import UsageError
from harness.measuring.arguments import COMMAND, LIST, OBJECT
from harness.measuring.beside import FileBeside, FolderBeside
from harness.measuring.section import Section
from harness.measuring.servers.addresses import PORT, endpoints

OUTPUT_LINES: Final = 20
ENDINGS: Final = (".csv", ".parquet")
SIZE_VARIABLE: Final = "HARNESS_SIZE"


def as_several(value: object) -> object:
    """Makes a list of what stands by itself."""
    return [value] if isinstance(value, (str, Path)) else value


Files = Annotated[tuple[FileBeside, ...], BeforeValidator(as_several, json_schema_input_type=str | list[str])]
"""One file or several, beside the scenario."""


class SeedCommand(Section, frozen=True):
    """A program that fills the database, which DATABASE_URL and PostgreSQL's own variables lead to."""

    command: Annotated[tuple[str, ...], Field(min_length=1)]
    """The program and its arguments, without a shell."""
    directory: FolderBeside = Field(default=Path(), validate_default=True)
    """Where it is started; beside the scenario unless stated."""


def _branch(seed: object) -> str:
    if isinstance(seed, SeedCommand):
        return COMMAND
    if isinstance(seed, dict):
        return COMMAND if isinstance(cast("dict[str, object]", seed).get("command"), (list, tuple)) else OBJECT
    return LIST


Seed = Annotated[
    Annotated[Files, Tag(LIST)] | Annotated[SeedCommand, Tag(COMMAND)] | Annotated[dict[str, FileBeside], Tag(OBJECT)],
    Discriminator(_branch),
]
"""Files of SQL, a command, or a CSV or Parquet file for each table."""


def files_of(seed: Any) -> tuple[Path, ...]:  # noqa: ANN401 -- a `Seed`
    """The files of a seed that this process reads."""
    match seed:
        case SeedCommand():
            return ()
        case Mapping():
            return tuple(cast("Mapping[str, Path]", seed).values())
        case _:
            return tuple(cast("tuple[Path, ...]", seed))


async def run_command(seed: SeedCommand, database_url: str, size: int | None = None) -> None:
    """Raises `UsageError` with the end of what it wrote where it fails."""
    place = f"database.seed: `{' '.join(seed.command)}`"
    try:
        process = await asyncio.create_subprocess_exec(
            *seed.command,
            cwd=seed.directory,
            env=environment(**_leading_to(database_url), **({} if size is None else {SIZE_VARIABLE: str(size)})),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except OSError as error:
        raise UsageError(f"{place} cannot be started: {error.strerror}. Install the program, or correct it.") from None
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        lines = output.decode(errors="replace").splitlines()[-OUTPUT_LINES:]
        raise UsageError("\n    ".join([f"{place} failed with exit code {process.returncode}:", *lines]))


def _leading_to(database_url: str) -> dict[str, str]:
    parts = urlsplit(database_url)
    places = endpoints(database_url) if parts.hostname else [("", PORT)]
    return {
        "DATABASE_URL": database_url,
        "PGHOST": ",".join(host for host, _ in places),
        "PGPORT": ",".join(str(port) for _, port in places),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": unquote(parts.path.removeprefix("/")),
    }


async def copy_rows(connection: "asyncpg.Connection[asyncpg.Record]", table: str, path: Path) -> None:
    """Into the columns that the file names. Raises `UsageError` for rows that the table does not take."""
    rows = await asyncio.to_thread(_as_csv, path)
    columns = next(csv.reader(io.StringIO(rows.decode("utf-8-sig"))), list[str]())
    schema, _, name = table.rpartition(".")
    try:
        await connection.copy_to_table(
            name, schema_name=schema or None, columns=columns, source=io.BytesIO(rows), format="csv", header=True
        )
    except asyncpg.PostgresError as error:
        where = f" ({error.context})" if getattr(error, "context", None) else ""
        raise UsageError(f"database.seed: {path} cannot be copied into {table}: {error}{where}.") from None


def _as_csv(path: Path) -> bytes:
    match path.suffix.lower():
        case ".csv":
            return path.read_bytes()
        case ".parquet":
            return _of_parquet(path)
        case ending:
            raise UsageError(f"database.seed: {path} ends in {ending or 'nothing'}, and not in {' or '.join(ENDINGS)}.")


def _of_parquet(path: Path) -> bytes:
    arrow, arrow_csv, parquet = (import_module(f"pyarrow{each}") for each in ("", ".csv", ".parquet"))  # Of an extra.
    written = io.BytesIO()
    try:
        arrow_csv.write_csv(parquet.read_table(path), written)
    except arrow.ArrowException as error:
        raise UsageError(f"database.seed: {path} cannot be read as rows of values: {error}.") from None
    return written.getvalue()
