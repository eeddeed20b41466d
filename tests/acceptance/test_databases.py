"""`harness run` does the same, statement for statement, whichever PostgreSQL it runs on."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from harness.measuring.servers.addresses import with_database
from harness.measuring.servers.provisioners._shared.databases import PostgresServer
from harness.measuring.shipped import shipped
from harness.record import RunRecord
from tests.acceptance.conftest import Program
from tests.foreign import PASSWORD, execute, make_tenant, without_password
from tests.waiting import is_gone

pytestmark = pytest.mark.slow

SMOKE = shipped()["smoke"]


@pytest.fixture
def tenant(runner: asyncio.Runner, foreign: PostgresServer, environment: dict[str, str]) -> str:
    """The URL of a role on somebody's server, whose password the environment knows."""
    environment["PGPASSWORD"] = PASSWORD
    return without_password(runner.run(make_tenant(foreign)))


@pytest.fixture
def smoke_in_turn(tmp_path: Path) -> str:
    """The smoke scenario with one user and all its requests: what users side by side find depends on chance."""
    text = SMOKE.read_text(encoding="utf-8")
    path = tmp_path / "smoke.toml"
    path.write_text(text.replace("users = 2", "users = 1").replace("time_s = 3", "time_s = 60"), encoding="utf-8")
    return str(path)


def only_record(output: Path) -> RunRecord:
    (path,) = output.glob("*/record.json")
    return RunRecord.model_validate_json(path.read_bytes())


def counts(record: RunRecord) -> dict[tuple[str, str], list[tuple[int | None, ...]]]:
    """What each request did, per strategy and operation, in the order of the requests."""
    found = defaultdict[tuple[str, str], list[tuple[int | None, ...]]](list)
    for variant in record.variants:
        for sample in variant.samples:
            did = (sample.statements, sample.round_trips, sample.rows, sample.results, sample.promotions)
            found[variant.name, sample.operation].append(did)
    return dict(found)


@pytest.mark.nightly
def test_the_server_of_a_url_does_what_the_embedded_one_does(
    harness: Program, smoke_in_turn: str, tenant: str, tmp_path: Path
) -> None:
    for name, database in (("embedded", "embedded"), ("external", tenant)):
        done = harness("run", smoke_in_turn, "--database", database, "--output", name)
        assert done.returncode == 0, done.stderr
    records = [only_record(tmp_path / name) for name in ("embedded", "external")]
    assert [record.environment.server["provisioner"] for record in records] == ["embedded", "external"]
    assert counts(records[0]) == counts(records[1])


@pytest.mark.needs("engine")
def test_a_container_does_what_the_embedded_server_does(harness: Program, smoke_in_turn: str, tmp_path: Path) -> None:
    for name in ("embedded", "testcontainers"):
        done = harness("run", smoke_in_turn, "--database", name, "--output", name)
        assert done.returncode == 0, done.stderr
    records = [only_record(tmp_path / name) for name in ("embedded", "testcontainers")]
    assert [record.environment.server["provisioner"] for record in records] == ["embedded", "testcontainers"]
    assert counts(records[0]) == counts(records[1])


def test_a_report_names_neither_the_server_of_a_url_nor_its_password(
    harness: Program, tiny: Callable[..., Path], tenant: str, tmp_path: Path
) -> None:
    done = harness("run", str(tiny("query.errors <= 0%")), "--database", tenant)
    assert done.returncode == 0, done.stderr
    user_and_place = tenant.removeprefix("postgresql://").partition("/")[0]
    for path in tmp_path.rglob("*"):
        if path.is_file():
            written = path.read_text(encoding="utf-8")
            assert PASSWORD not in written
            assert user_and_place not in written
    assert only_record(tmp_path / "reports").command[-2:] == ("--database", "postgresql://…")


@pytest.mark.parametrize("command", [["run", "smoke"], ["clean"]])
def test_a_password_in_a_url_is_refused_without_repeating_it(harness: Program, command: list[str]) -> None:
    done = harness(*command, "--database", "postgresql://somebody:secret@127.0.0.1/db")
    assert done.returncode == 2
    assert "PGPASSWORD" in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stdout + done.stderr


def test_what_a_run_left_is_cleaned_away_and_nothing_else(
    harness: Program, tenant: str, foreign: PostgresServer, runner: asyncio.Runner
) -> None:
    """A power cut leaves databases that no run's lock protects."""
    left, other = "harness_0123456789ab_template_7", "harness_0123456789ab_of_somebody"
    role = urlsplit(tenant).username
    marked = f"COMMENT ON DATABASE {left} IS 'anima-harness'"
    made = (f"CREATE DATABASE {name} OWNER {role}" for name in (left, other))
    runner.run(execute(foreign.admin_url, *made, marked))
    done = harness("clean", "--database", tenant)
    assert f"Removed database {left}.\n" in done.stdout
    assert runner.run(is_gone(with_database(foreign.admin_url, left)))
    assert not runner.run(is_gone(with_database(foreign.admin_url, other)))


def test_cleaning_a_server_that_does_not_answer_is_a_failure(harness: Program) -> None:
    done = harness("clean", "--database", "postgresql://somebody@127.0.0.1:1/db")
    assert done.returncode == 2
    assert "No connection to PostgreSQL at 127.0.0.1:1" in done.stderr
