"""What `harness init http` writes, and what it cannot read."""

import json
import subprocess
import sys
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner

from harness.command_line import init
from harness.errors import UsageError

DOCUMENT = {"paths": {"/": {"get": {"operationId": "home"}}}}


def write(tmp_path: Path, document: object, *arguments: str) -> Path:
    source, target = tmp_path / "openapi.json", tmp_path / "service.toml"
    source.write_text(document if isinstance(document, str) else json.dumps(document))
    asked = ["http", "--openapi", str(source), "--to", str(target), *arguments]
    CliRunner().invoke(init, asked, catch_exceptions=False, standalone_mode=False)
    return target


def test_the_service_is_where_the_document_says_unless_it_is_stated(tmp_path: Path) -> None:
    document = {**DOCUMENT, "servers": [{"url": "/v1"}, {"url": "https://notes.example/v1/"}]}
    assert tomllib.loads(write(tmp_path, document).read_text())["service"]["url"] == "https://notes.example/v1"
    (tmp_path / "service.toml").unlink()
    written = write(tmp_path, document, "--url", "http://127.0.0.1:8000")
    assert tomllib.loads(written.read_text())["service"]["url"] == "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("servers", "url"),
    [
        ([], "http://127.0.0.1:{port}"),
        ([{"url": "/api/v1/"}], "http://127.0.0.1:{port}/api/v1"),
        ([{"url": "v1"}], "http://127.0.0.1:{port}/docs/v1"),
        ([{"url": "https://shop.example/v1"}], "http://127.0.0.1:{port}/v1"),
        ([{"url": "/{v}", "variables": {"v": {"default": "v2"}}}], "http://127.0.0.1:{port}/v2"),
    ],
)
def test_what_a_running_service_tells_is_asked_where_it_was_found(
    servers: list[object], url: str, tmp_path: Path
) -> None:
    """And not where its customers are."""
    told = json.dumps({**DOCUMENT, "servers": servers}).encode()

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *_: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
            """Nothing on the test's output."""

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        target = tmp_path / "service.toml"
        source = f"http://127.0.0.1:{server.server_port}/docs/openapi.json"
        CliRunner().invoke(init, ["http", "--openapi", source, "--to", str(target)], catch_exceptions=False)
        thread.join()
        assert tomllib.loads(target.read_text())["service"]["url"] == url.format(port=server.server_port)


def test_a_server_is_named_with_what_its_variables_are_unless_stated(tmp_path: Path) -> None:
    server = {
        "url": "https://{region}.shop.example/{v}",
        "variables": {"region": {"default": "eu"}, "v": {"default": "v1"}},
    }
    written = write(tmp_path, {**DOCUMENT, "servers": [server]})
    assert tomllib.loads(written.read_text())["service"]["url"] == "https://eu.shop.example/v1"


def test_the_test_that_is_written_passes_as_it_stands(tmp_path: Path) -> None:
    target = tmp_path / "test_performance.py"
    CliRunner().invoke(init, ["pytest", "--to", str(target)], catch_exceptions=False)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", target.name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    with pytest.raises(UsageError, match="is there already"):
        CliRunner().invoke(init, ["pytest", "--to", str(target)], catch_exceptions=False, standalone_mode=False)


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ("openapi: 3.1.0", "is not JSON"),
        ("[]", "is no OpenAPI document"),
        (DOCUMENT, "does not say where the service runs. Say it with --url"),
    ],
)
def test_what_cannot_be_followed_is_told(document: object, told: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=told):
        write(tmp_path, document)


def test_no_file_is_overwritten(tmp_path: Path) -> None:
    write(tmp_path, DOCUMENT, "--url", "http://a")
    with pytest.raises(UsageError, match="is there already"):
        write(tmp_path, DOCUMENT, "--url", "http://a")


@pytest.mark.parametrize("source", ["ftp://127.0.0.1/openapi.json", "http://127.0.0.1:1/openapi.json"])
def test_what_cannot_be_fetched_is_told(source: str) -> None:
    with pytest.raises(UsageError, match=source):
        CliRunner().invoke(init, ["http", "--openapi", source], catch_exceptions=False, standalone_mode=False)
