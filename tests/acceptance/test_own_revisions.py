"""`harness compare --revisions` of somebody's own repository: statements, a class and a service at two commits."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Program

pytestmark = pytest.mark.slow

SQL = """
name = "statements"
target = "sql"
queries = "queries.sql"
database.schema = "schema.sql"
operations.find.arguments = { id = { uniform = { min = 1, max = 9 } } }
operations.find.sql = []
phases = [{ requests = 4 }]
"""

CLASS = """
name = "class"
target = "bench:Shop"
database.schema = "schema.sql"
phases = [{ requests = 4 }]
"""

BENCH = """
from harness.testing import operation
from statements import COUNT
from harness.measuring.targets.protocol import Response

class Shop:
    async def prepare(self, url):
        assert COUNT
    async def open(self): ...
    async def close(self): ...
    @operation()
    async def find(self):
        return Response(statements=COUNT)
"""

HTTP = """
name = "service"
target = "http"
database.schema = "schema.sql"
service.command = ["{python}", "service.py", "{{port}}"]
service.install = ["{python}", "-c", "import pathlib; pathlib.Path('built').write_text(open('statements.py').read())"]
operations.find.path = "/"
operations.find.expect.json.built = true
phases = [{{ requests = 4 }}]
"""

SERVICE = """
import http.server, json, pathlib, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        built = pathlib.Path("built").read_text() == pathlib.Path("statements.py").read_text()
        body = json.dumps({"built": built}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""

SCHEMA = """
CREATE TABLE things (id integer PRIMARY KEY);
INSERT INTO things SELECT generate_series(1, 9999);
"""

GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@example.com")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits, of which the second sends a statement more; the working tree has none of both."""
    own = tmp_path / "own"
    own.mkdir()
    files = {
        "statements.toml": SQL,
        "class.toml": CLASS,
        "service.toml": HTTP.format(python=sys.executable),
        "bench.py": BENCH,
        "service.py": SERVICE,
        "schema.sql": SCHEMA,
    }
    for name, text in files.items():
        (own / name).write_text(text, encoding="utf-8")
    subprocess.run([*GIT, "init", "-q", tmp_path], check=True)
    for count in (1, 2):
        named = "-- name: find\nSELECT id FROM things WHERE id = :id;"
        (own / "queries.sql").write_text(named if count == 1 else named.replace("id = ", "id + 0 = "), encoding="utf-8")
        (own / "statements.py").write_text(f"COUNT = {count}\n", encoding="utf-8")
        subprocess.run([*GIT, "add", "."], cwd=tmp_path, check=True)
        subprocess.run([*GIT, "commit", "-q", "-m", str(count)], cwd=tmp_path, check=True)
    (own / "statements.py").write_text("COUNT = 9\n", encoding="utf-8")
    return tmp_path


def compared(harness: Program, repository: Path, scenario: str) -> tuple[subprocess.CompletedProcess[str], Any]:
    """What was said, and the record."""
    done = harness("compare", "HEAD~1", "HEAD", "--scenario", f"own/{scenario}.toml", "--rounds", "1", "--slices", "1")
    assert done.returncode != 2, done.stdout + done.stderr
    [run] = (repository / "reports").iterdir()
    left = subprocess.run(["git", "worktree", "list"], cwd=repository, capture_output=True, text=True, check=True)
    assert len(left.stdout.splitlines()) == 1, "worktrees are gone"
    return done, json.loads((run / "record.json").read_bytes())


def test_a_class_is_loaded_from_each_revision(harness: Program, repository: Path) -> None:
    done, _ = compared(harness, repository, "class")
    assert "find statements grew from 1 to 2" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 1, done.stdout + done.stderr


def test_statements_come_from_each_revision_s_own_file(harness: Program, repository: Path) -> None:
    done, record = compared(harness, repository, "statements")
    assert "HEAD against HEAD~1" in done.stdout, done.stdout + done.stderr
    indexes = {each["name"]: each["plans"][0].get("indexes", []) for each in record["variants"]}
    assert indexes == {"HEAD~1": ["things_pkey"], "HEAD": [], "HEAD~1 (control)": ["things_pkey"]}


def test_a_service_is_installed_and_started_from_each_revision(harness: Program, repository: Path) -> None:
    done, record = compared(harness, repository, "service")
    assert "HEAD against HEAD~1" in done.stdout, done.stdout + done.stderr
    assert [len(each["samples"]) for each in record["variants"]] == [4, 4, 4]
    assert not any(sample.get("error") for each in record["variants"] for sample in each["samples"])
