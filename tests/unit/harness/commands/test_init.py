"""What `harness init http` writes, and what it cannot read."""

import json
import subprocess
import sys
import tomllib
from collections.abc import Generator
from contextlib import contextmanager
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


@contextmanager
def answering(status: int, told: bytes) -> Generator[int]:
    """The port of a service that answers once, in this way."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *_: object) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
            """Nothing on the test's output."""

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        yield server.server_port
        thread.join()


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
    target = tmp_path / "service.toml"
    with answering(200, json.dumps({**DOCUMENT, "servers": servers}).encode()) as port:
        source = f"http://127.0.0.1:{port}/docs/openapi.json"
        CliRunner().invoke(init, ["http", "--openapi", source, "--to", str(target)], catch_exceptions=False)
    assert tomllib.loads(target.read_text())["service"]["url"] == url.format(port=port)


@pytest.mark.parametrize(
    ("status", "answer", "told"),
    [
        (404, b'{"detail": "Not Found"}', "answers with HTTP status 404. Name the address of the document itself"),
        (200, b"<!DOCTYPE html>", "is not JSON .* It is a page for people. Name the address of the document itself"),
        (200, b"\xff\xfe", "cannot be fetched: 'utf-8' codec can't decode"),
    ],
)
def test_a_service_that_answers_with_something_else_is_told_past_any_proxy(
    status: int, answer: bytes, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    target = tmp_path / "service.toml"
    with answering(status, answer) as port:
        asked = ["http", "--openapi", f"http://127.0.0.1:{port}/docs", "--to", str(target)]
        with pytest.raises(UsageError, match=told):
            CliRunner().invoke(init, asked, catch_exceptions=False, standalone_mode=False)
    assert not target.exists()


def test_a_server_is_named_with_what_its_variables_are_unless_stated(tmp_path: Path) -> None:
    server = {
        "url": "https://{region}.shop.example/{v}",
        "variables": {"region": {"default": "eu"}, "v": {"default": "v1"}},
    }
    written = write(tmp_path, {**DOCUMENT, "servers": [server]})
    assert tomllib.loads(written.read_text())["service"]["url"] == "https://eu.shop.example/v1"


@pytest.mark.slow
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
        ("openapi: 3.1.0", "is not JSON .* Convert a document in YAML first"),
        ("<html>", "is not JSON .* It is a page for people"),
        ("{}", "has no `paths` with operations"),
        ({"detail": "Not Found"}, "has no `paths` with operations"),
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


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("ftp://127.0.0.1/openapi.json", "is no address of a document"),
        ("http://127.0.0.1:1/openapi.json", "cannot be fetched: Connection refused. Start the service"),
    ],
)
def test_what_cannot_be_fetched_is_told(source: str, told: str) -> None:
    with pytest.raises(UsageError, match=f"{source} {told}"):
        CliRunner().invoke(init, ["http", "--openapi", source], catch_exceptions=False, standalone_mode=False)
