"""What `harness init http` writes, and what it cannot read."""

import json
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.commands.init import init
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
