"""`harness run` does the same, statement for statement, whichever PostgreSQL it runs on."""

import asyncio
from collections import defaultdict
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from harness.measuring.servers.addresses import with_database
from harness.measuring.servers.provisioners._shared.databases import PostgresServer
from harness.record import RunRecord
from tests.acceptance.conftest import Program, clean_environment, harness_in, tiny_in
from tests.foreign import PASSWORD, execute, make_tenant, without_password
from tests.waiting import is_gone

pytestmark = pytest.mark.slow

OTHER_PHASES = """
[[phases]]
workload = "bootstrap"
requests = 3
arrival = { kind = "closed_loop", users = 1 }

[[phases]]
workload = "add"
requests = 6
arrival = { kind = "closed_loop", users = 1 }
"""


@pytest.fixture
def tenant(runner: asyncio.Runner, foreign: PostgresServer, environment: dict[str, str]) -> str:
    """The URL of a role on somebody's server, whose password the environment knows."""
    environment["PGPASSWORD"] = PASSWORD
    return without_password(runner.run(make_tenant(foreign)))


def in_turn(directory: Path) -> str:
    """A scenario of each operation with one user: what users side by side find depends on chance."""
    path = tiny_in(directory)("query.errors <= 0%", "add.errors <= 0%", requests=3, extra=OTHER_PHASES)
    path.write_text(path.read_text(encoding="utf-8").replace("users = 2", "users = 1"), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def embedded_record(tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    """What the others are held against."""
    directory = tmp_path_factory.mktemp("embedded")
    done = harness_in(directory, clean_environment())("run", in_turn(directory))
    assert done.returncode == 0, done.stderr
    return only_record(directory / "reports")


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


def assert_alike(record: RunRecord, embedded: RunRecord, provisioner: str) -> None:
    provisioners = [each.environment.server["provisioner"] for each in (record, embedded)]
    assert provisioners == [provisioner, "embedded"]
    assert counts(record) == counts(embedded)
    assert {operation for _, operation in counts(record)} == {"add", "query", "bootstrap"}


@pytest.mark.needs("engine")
def test_a_container_does_what_the_embedded_server_does(
    harness: Program, embedded_record: RunRecord, tmp_path: Path
) -> None:
    done = harness("run", in_turn(tmp_path), "--database", "testcontainers")
    assert done.returncode == 0, done.stderr
    assert_alike(only_record(tmp_path / "reports"), embedded_record, "testcontainers")


def test_the_server_of_a_url_does_what_the_embedded_one_does_and_neither_it_nor_its_password_is_named(
    harness: Program, embedded_record: RunRecord, tenant: str, tmp_path: Path
) -> None:
    done = harness("run", in_turn(tmp_path), "--database", tenant)
    assert done.returncode == 0, done.stderr
    assert_alike(only_record(tmp_path / "reports"), embedded_record, "external")
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
