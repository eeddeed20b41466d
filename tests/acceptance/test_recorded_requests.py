"""`harness record` of requests to a service that runs: what it writes is tried and run as it stands, and is counted."""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from harness.measuring import own_database
from harness.measuring.servers.provisioners.protocol import Server
from harness.measuring.servers.service import Launch, serving
from harness.record import RunRecord
from tests.acceptance.conftest import Program

pytestmark = pytest.mark.slow

NOTES = Path(__file__).parents[2] / "examples" / "notes"
SEEDED = 10_000
CREATED = [{"author": f"author {number}", "title": f"title {number}", "text": "a few words"} for number in (1, 2, 3)]
READ = [5, 6, 7, 8]
ASKED = Counter(get_notes=2, get_notes_one=len(READ), get_health=1)


@pytest.fixture
async def database(server: Server) -> AsyncGenerator[str]:
    """Of the notes, for one test alone."""
    name = f"notes_{uuid4().hex}"
    url = await server.create_database(name)
    await own_database.apply(url, [NOTES / "schema.sql", NOTES / "seed.sql"])
    yield url
    await server.drop_database(name)


@pytest.fixture
async def notes(database: str) -> AsyncGenerator[str]:
    """The address of the service of the examples, as somebody has started it."""
    command = [sys.executable, "-m", "uvicorn", "notes:app", "--port", "{port}"]
    environment = {**os.environ, "DATABASE_URL": database}
    async with serving(Launch("notes", command, "/health", environment, str(NOTES))) as url:
        yield url


async def count_of(database: str) -> int:
    connection = await asyncpg.connect(database)
    counted: int = await connection.fetchval("SELECT count(*) FROM notes")
    await connection.close()
    return counted


def entry(number: int, method: str, address: str, status: int, body: object) -> Mapping[str, Any]:
    """As Firefox and Chromium export it, but for timings and sizes."""
    headers = [{"name": "Host", "value": "127.0.0.1"}, {"name": "Accept", "value": "*/*"}]
    posted = {"postData": {"mimeType": "application/json", "text": json.dumps(body)}} if body else {}
    return {
        "startedDateTime": f"2026-11-29T10:00:00.{number:02}0+01:00",
        "request": {"method": method, "url": address, "headers": headers, **posted},
        "response": {"status": status, "content": {"mimeType": "application/json"}},
    }


def har(url: str) -> str:
    asked: list[tuple[str, str, int, object]] = [
        *[("POST", f"{url}/notes", 201, note) for note in CREATED],
        *[("GET", f"{url}/notes?author=author%20{number}", 200, None) for number in (1, 2)],
        *[("GET", f"{url}/notes/{number}", 200, None) for number in READ],
        ("GET", f"{url}/health", 200, None),
        ("GET", f"{url}/favicon.ico", 404, None),
    ]
    entries = [entry(number, *each) for number, each in enumerate(asked)]
    return json.dumps({"log": {"version": "1.2", "creator": {"name": "Firefox"}, "entries": entries}})


PATHS = ["/notes?author=author+1", "/notes?author=author+2", *[f"/notes/{number}" for number in READ], "/health"]
COMBINED = "".join(
    f'10.0.0.1 - - [29/Nov/2026:10:00:{number // 4:02} +0000] "GET {path} HTTP/1.1" 200 52 "-" "Firefox"\n'
    for number, path in enumerate(PATHS)
)
JSON_LINES = "".join(
    json.dumps({"time": f"2026-11-29T10:00:{number // 4:02}Z", "method": "GET", "uri": path, "status": 200}) + "\n"
    for number, path in enumerate(PATHS)
)


def measured(directory: Path) -> Counter[str]:
    """How many requests of each operation a run has timed."""
    [path] = directory.glob("reports/*/record.json")
    record = RunRecord.model_validate_json(path.read_bytes())
    return Counter(sample.operation for variant in record.variants for sample in variant.samples)


async def performed(harness: Program, *arguments: str) -> str:
    """What it printed, with success."""
    done = await asyncio.to_thread(harness, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def test_what_a_browser_kept_is_asked_of_the_service_again(
    harness: Program, notes: str, database: str, tmp_path: Path
) -> None:
    (tmp_path / "notes.har").write_text(har(notes), encoding="utf-8")
    told = await performed(harness, "record", "notes.har")
    assert f"Wrote notes.toml, which asks {notes}: try it with `harness try notes.toml`." in told
    tried = await performed(harness, "try", "notes.toml")
    assert tried.count("came back: HTTP status 20") == len(ASKED) + 1, tried
    assert await count_of(database) == SEEDED + 1
    written = (tmp_path / "notes.toml").read_text(encoding="utf-8")
    (tmp_path / "notes.toml").write_text(written.replace("warm_up = 10\n", ""), encoding="utf-8")
    run = await performed(harness, "run", "notes.toml")
    assert "All 4 budgets hold" in run
    counted = measured(tmp_path)
    assert counted.total() == 100
    assert await count_of(database) == SEEDED + 1 + counted["post_notes"]


@pytest.mark.parametrize(("name", "log"), [("access.log", COMBINED), ("access.jsonl", JSON_LINES)])
async def test_a_log_is_sent_again_request_by_request_wherever_it_is_run(
    name: str, log: str, harness: Program, notes: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(log, encoding="utf-8")
    await performed(harness, "record", name, "--url", notes, "--trace", "--to", "kept.toml")
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for written in ("kept.toml", "kept.jsonl"):
        (tmp_path / written).rename(folder / written)
    assert "All 3 budgets hold" in await performed(harness, "run", "elsewhere/kept.toml")
    assert measured(tmp_path) == ASKED
