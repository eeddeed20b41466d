"""`harness init`: writes a scenario that runs, out of what there is already."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from http.client import HTTPException
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, cast
from urllib.error import HTTPError, URLError
from urllib.parse import urljoin, urlsplit, urlunsplit
from urllib.request import ProxyHandler, build_opener

import click

from harness.commands._shared.service_address import service_address
from harness.errors import UsageError
from harness.measuring.servers.addresses import is_url
from harness.measuring.targets.http.openapi import scenario_of
from harness.measuring.targets.sql.existing import proposal_of

FETCH_TIMEOUT_S: Final = 30.0
DOCUMENT_WANTED: Final = "Name the address of the document itself, which many services have at /openapi.json."
PAGE_GIVEN: Final = f"It is a page for people. {DOCUMENT_WANTED}"

SQL_FILES: Final[Mapping[str, str]] = {
    "schema.sql": """CREATE TABLE things (id integer PRIMARY KEY, name text NOT NULL);
""",
    "seed.sql": """INSERT INTO things SELECT n, 'thing ' || n FROM generate_series(1, 10000) AS n;
""",
    "add_index.sql": """CREATE INDEX things_name ON things (name);
""",
    "own.toml": """name = "own"
target = "sql"
budgets = ["find.plan uses things_name", "find.rows <= 1"]

[database]
provisioner = "embedded"
schema = "schema.sql"
seed = "seed.sql"

[operations.find]
sql = "SELECT id FROM things WHERE name = $1"
arguments = [{ zipf = { from = "SELECT name FROM things ORDER BY id" } }]

[variants.before]

[variants.after]
migrate = "add_index.sql"

[[phases]]
requests = 100
warm_up = 10
""",
}
"""A scenario of SQL statements that runs, to be changed bit by bit into somebody's own."""


def sql(*, url: str | None, directory: Path) -> None:
    scenario = directory / "own.toml"
    if url is None:
        _write(directory, SQL_FILES)
        click.echo(f"Wrote {scenario} and its SQL: try it with `harness run {scenario}`, and make it your own.")
        return
    if not is_url(url):
        raise UsageError(f"--from {url}: expected a URL, such as postgresql://me@localhost:5432/shop.")
    _refuse_existing(directory, ("schema.sql", "seed.sql", "own.toml"))
    with asyncio.Runner() as runner:
        proposal = runner.run(proposal_of(url))
    _write(directory, proposal.files)
    for remark in proposal.remarks:
        click.echo(remark)
    click.echo(f"Wrote {scenario} and its SQL: try it with `harness try {scenario}`, and make it your own.")


def _write(directory: Path, files: Mapping[str, str]) -> None:
    _refuse_existing(directory, files)
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8")


def _refuse_existing(directory: Path, names: Iterable[str]) -> None:
    for name in names:
        if (directory / name).exists():
            raise UsageError(f"{directory / name} is there already. Name another directory with --to.")


def http(*, source: str, url: str | None, target: Path) -> None:
    stated = service_address(url)
    document = _document(source)
    found = stated or _service_url(source, document)
    text = scenario_of(document, found or "")
    if found is None:
        raise UsageError(f"{source} does not say where the service runs. Say it with --url http://127.0.0.1:8000.")
    _write_new(target, text)
    click.echo(f"Wrote {target}: read what it would send, and then `harness run {target}`.")


PYTEST_FILE: Final = '''"""What may not become slower: `pytest` fails where a budget does not hold."""

import json

DOCUMENT = json.dumps([{"id": number, "name": f"thing {number}"} for number in range(100)])


def test_reading_is_quick(budget):
    """Put a function of your own in the place of `json.loads`."""
    things = budget("p95 <= 50ms", "errors <= 0%").measure(json.loads, DOCUMENT)
    assert len(things) == 100
'''


def pytest(*, target: Path) -> None:
    _write_new(target, PYTEST_FILE)
    click.echo(f"Wrote {target}: run it with `pytest {target}`, and put a function of your own into it.")


def _write_new(target: Path, text: str) -> None:
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{target} is there already. Name another file with --to.") from None


def _document(source: str) -> Mapping[str, Any]:
    text = _fetched(source) if "://" in source else _read(Path(source))
    try:
        document: object = json.loads(text)
    except ValueError as error:
        advice = PAGE_GIVEN if text.lstrip().startswith("<") else "Convert a document in YAML first."
        raise UsageError(f"{source} is not JSON ({error}). {advice}") from None
    if not isinstance(document, dict):
        raise UsageError(f"{source} is no OpenAPI document.")
    return cast("Mapping[str, Any]", document)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no UTF-8 ({error}). Name the document itself.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from None


def _fetched(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"{url} is no address of a document: it begins with http:// or https://.")
    try:
        # What the environment's proxy calls this machine is another one.
        opener = build_opener(*([ProxyHandler({})] if _is_here(url) else []))
        with opener.open(url, timeout=FETCH_TIMEOUT_S) as answer:
            return str(answer.read().decode("utf-8"))
    except HTTPError as error:
        raise UsageError(f"{url} answers with HTTP status {error.code}. {DOCUMENT_WANTED}") from None
    except URLError as error:
        reason = error.reason.strerror if isinstance(error.reason, OSError) else error.reason
        raise UsageError(f"{url} cannot be fetched: {reason}. Start the service, or correct the address.") from None
    except (OSError, HTTPException, ValueError) as error:
        raise UsageError(f"{url} cannot be fetched: {error}. {DOCUMENT_WANTED}") from None


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _service_url(source: str, document: Mapping[str, Any]) -> str | None:
    """Where the document was found, below the path of the first server that it names; else that server, if whole.

    None where neither says it. A service that tells of itself often names the one that customers use, which nobody
    means to load by accident.
    """
    named = document.get("servers")
    servers = [
        _filled(cast("dict[str, Any]", each)) for each in cast("list[object]", named or []) if isinstance(each, dict)
    ]
    if "://" in source:
        path = urlsplit(urljoin(source, servers[0])).path if servers else ""
        return urlunsplit((*urlsplit(source)[:2], path.rstrip("/"), "", ""))
    whole = (url for url in servers if url.startswith(("http://", "https://")) and "{" not in url)
    return next((url.rstrip("/") for url in whole), None)


def _filled(server: Mapping[str, Any]) -> str:
    """Its address, with what its variables are unless stated."""
    url = str(server.get("url", ""))
    for name, variable in cast("dict[str, dict[str, object]]", server.get("variables", {})).items():
        url = url.replace(f"{{{name}}}", str(variable.get("default", f"{{{name}}}")))
    return url
