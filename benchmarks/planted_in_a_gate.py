"""Which regressions `harness gate` finds, by what and how soon: `python benchmarks/planted_in_a_gate.py`.

Makes a repository of a small class and its tables, and plants one regression after the other in its working tree: each
is a text that takes the place of another. The base is its commit. `--unchanged 100` runs so many gates of the commit
itself, and counts how many of them fail. The table is that of docs/how-to/gate.md.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Final

SCENARIO: Final = """
name = "notebook"
target = "notebook:Notebook"
database = { provisioner = "embedded", schema = "schema.sql", seed = "seed.sql", size = 1000 }
phases = [{ requests = 20 }]
"""

SCHEMA: Final = """
CREATE TABLE notes (id bigint PRIMARY KEY, author integer NOT NULL, text text NOT NULL, vector real[] NOT NULL);
CREATE INDEX notes_author ON notes (author, id);
CREATE TABLE log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text NOT NULL);
"""

SEED: Final = """
INSERT INTO notes
SELECT n, n % 50, 'note ' || n, array_fill(n::real, ARRAY[300])
  FROM generate_series(1, current_setting('harness.size')::integer) AS n;
"""

CLASS: Final = '''
"""A notebook: notes are found by their author, and written after their text was embedded."""

import asyncio

import asyncpg

from harness.testing import operation

FIND = "SELECT id, text FROM notes WHERE author = $1 ORDER BY id DESC LIMIT 10"
READ = "SELECT text FROM notes WHERE id = $1"
WRITE = "INSERT INTO log (text) VALUES ($1)"
AUTHOR = {"uniform": {"min": 0, "max": 49}}


class Notebook:
    async def open(self, url: str, users: int) -> None:
        self.pool = await asyncpg.create_pool(url, min_size=users, max_size=users)
        self.cached = {}
        self.kept = []
        self.lock = asyncio.Lock()

    async def close(self) -> None:
        await self.pool.close()

    @operation(author=AUTHOR)
    async def find(self, author: int) -> int:
        rows = await self.pool.fetch(FIND, author)
        return len(rows)

    @operation(number={"uniform": {"min": 1, "max": 3}})
    async def read(self, number: int) -> str:
        if number not in self.cached:
            self.cached[number] = await self.pool.fetchval(READ, number)
        return self.cached[number]

    @operation(author=AUTHOR)
    async def write(self, author: int) -> None:
        await self._embedded(author)
        await self.pool.execute(WRITE, "x" * 400)

    async def _embedded(self, author: int) -> None:
        await asyncio.sleep(0.03)
'''

FETCHED: Final = "        rows = await self.pool.fetch(FIND, author)\n"
WRITTEN: Final = '        await self.pool.execute(WRITE, "x" * 400)\n'


Program = Callable[[Sequence[str], Path, Mapping[str, str]], subprocess.CompletedProcess[str]]
"""Runs `harness` with these arguments, in a directory, in an environment."""


@dataclass(frozen=True, slots=True)
class PlantedRegression:
    """`new` takes the place of `old` in a file of the working tree; `found_by` is a word of what finds it."""

    name: str
    file: str
    old: str
    new: str
    found_by: str


REGRESSIONS: Final = (
    PlantedRegression(
        "one more statement per result",
        "notebook.py",
        FETCHED,
        f'{FETCHED}        for row in rows:\n            await self.pool.fetchval(READ, row["id"])\n',
        "statements sent",
    ),
    PlantedRegression(
        "a lost index", "schema.sql", "CREATE INDEX notes_author ON notes (author, id);\n", "", "rows of notes"
    ),
    PlantedRegression(
        "a cache that never hits", "notebook.py", "if number not in self.cached:", "if True:", "statements sent"
    ),
    PlantedRegression(
        "a pool of one", "notebook.py", "min_size=users, max_size=users", "min_size=1, max_size=1", "sessions"
    ),
    PlantedRegression(
        "a lock across the embedding call",
        "notebook.py",
        "        await asyncio.sleep(0.03)",
        "        async with self.lock:\n            await asyncio.sleep(0.03)",
        "several at once",
    ),
    PlantedRegression(
        "pg_sleep(0.001) in one statement",
        "notebook.py",
        "SELECT id, text FROM notes WHERE author = $1",
        "SELECT id, text FROM notes, (SELECT pg_sleep(0.001)) AS s WHERE author = $1",
        "time",
    ),
    PlantedRegression(
        "a quadratic loop of 1 ms in the client",
        "notebook.py",
        FETCHED,
        f"{FETCHED}        sum(a < b for a in range(160) for b in range(160))\n",
        "client CPU",
    ),
    PlantedRegression(
        "the vector column fetched needlessly",
        "notebook.py",
        "SELECT id, text FROM",
        "SELECT id, text, vector FROM",
        "bytes",
    ),
    PlantedRegression("doubled WAL", "notebook.py", '"x" * 400', '"x" * 1200', "WAL"),
    PlantedRegression(
        "an extra round trip",
        "notebook.py",
        FETCHED,
        f'        await self.pool.execute("BEGIN; END")\n{FETCHED}',
        "round trips",
    ),
    PlantedRegression(
        "a sequential scan at ten times the corpus",
        "notebook.py",
        FETCHED,
        "        if not hasattr(self, 'many'):\n"
        "            counted = \"SELECT reltuples > 5000 FROM pg_class WHERE relname = 'notes'\"\n"
        "            self.many = await self.pool.fetchval(counted)\n"
        '        slow = FIND.replace("author = ", "author + 0 = ").replace("BY id", "BY id + 0")\n'
        "        find = slow if self.many else FIND\n"
        "        rows = await self.pool.fetch(find, author)\n",
        "plan",
    ),
    PlantedRegression(
        "memory that grows by a kilobyte a request",
        "notebook.py",
        WRITTEN,
        f"{WRITTEN}        self.kept.append(bytearray(1_000))\n",
        "memory",
    ),
    PlantedRegression(
        "temporary files",
        "notebook.py",
        FETCHED,
        f'{FETCHED}        await self.pool.execute("SET work_mem = 64")\n'  # noqa: S608 -- what is planted
        '        await self.pool.fetch("SELECT text FROM notes ORDER BY vector, text OFFSET 900")\n',
        "temporary bytes",
    ),
)

FILES: Final[Mapping[str, str]] = {
    "notebook.toml": SCENARIO,
    "notebook.py": CLASS,
    "schema.sql": SCHEMA,
    "seed.sql": SEED,
    ".gitignore": "reports\n",
}
GIT: Final = ("git", "-c", "user.name=a", "-c", "user.email=a@example.com")


@dataclass(frozen=True, slots=True)
class GateOutcome:
    """What a gate came to: its exit code, the figures that were worse, and how long it took."""

    exit_code: int
    worse: Sequence[str]
    took_s: float
    said: str


def make_repository(directory: Path) -> None:
    for name, text in FILES.items():
        (directory / name).write_text(text, encoding="utf-8")
    subprocess.run([*GIT, "init", "-q", directory], check=True)  # noqa: S603 -- our own words
    for arguments in (("add", "."), ("commit", "-q", "-m", "base")):
        subprocess.run([*GIT, *arguments], cwd=directory, check=True)  # noqa: S603 -- our own words


def plant(directory: Path, *regressions: PlantedRegression) -> None:
    """In place of whatever was planted before."""
    for name, text in FILES.items():
        (directory / name).write_text(text, encoding="utf-8")
    for regression in regressions:
        path = directory / regression.file
        text = path.read_text(encoding="utf-8")
        assert regression.old in text, regression.name
        path.write_text(text.replace(regression.old, regression.new), encoding="utf-8")


def harness(
    arguments: Sequence[str], directory: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness.cli", *arguments]
    return subprocess.run(  # noqa: S603 -- this harness
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )


def gated(directory: Path, program: Program = harness) -> GateOutcome:
    begun = perf_counter()
    kept = {"HARNESS_CACHE_DIRECTORY": str(directory / ".git" / "kept")}
    done = program(("gate", "notebook.toml", "--report", "json=gate.json"), directory, os.environ | kept)
    worse: list[str] = []
    if done.returncode in {0, 1}:
        found: dict[str, Any] = json.loads((directory / "gate.json").read_bytes())
        findings = found["gate"]["verdict"]["findings"]
        worse = [f"{each['subject']} {each['counter']}, {each['place']}" for each in findings if each["is_worse"]]
    return GateOutcome(done.returncode, worse, perf_counter() - begun, done.stdout + done.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unchanged", type=int, default=0, help="gates of the commit itself, instead of planting")
    parser.add_argument("--only", default="", help="the regressions whose name has this in it")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        make_repository(directory)
        if chosen.unchanged:
            failed = 0
            for number in range(1, chosen.unchanged + 1):
                outcome = gated(directory)
                failed += outcome.exit_code != 0
                said = f": exits with {outcome.exit_code}: {'; '.join(outcome.worse) or outcome.said}"
                print(f"{number}, {outcome.took_s:.0f} s{said if outcome.exit_code else ''}", flush=True)
            print(f"{failed} of {chosen.unchanged} gates of unchanged code failed.")
            return
        first = gated(directory)
        print(
            f"The first gate, of unchanged code, exits with {first.exit_code} after {first.took_s:.0f} s.", flush=True
        )
        print("\n| planted | found by | s |\n| --- | --- | --- |", flush=True)
        for regression in REGRESSIONS:
            if chosen.only in regression.name:
                plant(directory, regression)
                outcome = gated(directory)
                found = "; ".join(outcome.worse) if outcome.exit_code == 1 else f"NOT FOUND (exit {outcome.exit_code})"
                print(f"| {regression.name} | {found} | {outcome.took_s:.0f} |", flush=True)


if __name__ == "__main__":
    main()
