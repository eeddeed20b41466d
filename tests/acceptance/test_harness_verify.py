"""`harness verify` as a process: agreement, a planted fault and the script that shows it, and what is wrongly named."""

import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from harness.measuring.servers.provisioners.protocol import Server
from tests.acceptance.conftest import Program
from tests.foreign import without_password

pytestmark = pytest.mark.slow

# Runs a program with a strength that follows the old count.
FAULTY = """
import runpy, sys
from dataclasses import replace
from anima.associations import batched
batched.RECORD = replace(batched.RECORD, sql=batched.RECORD.sql.replace("log((1 + 1 + known", "log((1 + known"))
program = sys.argv.pop(1)
run = runpy.run_path if program.endswith(".py") else runpy.run_module
run(program, run_name="__main__")
"""

LOSING_UPDATES = FAULTY.replace("associations", "access_records").replace(
    '"log((1 + 1 + known", "log((1 + known"', '"ORDER BY id\\n        FOR UPDATE", "ORDER BY id"'
)
"""Another, whose accesses are counted from what was read without a lock."""


def test_strategies_that_agree(harness: Program, tmp_path: Path) -> None:
    done = harness("verify", "--strategies", "naive", "batched", "--examples", "10")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "naive, batched: no disagreement in 10 scripts.")
    assert "query: promotion to thread" in done.stdout
    assert not list(tmp_path.iterdir())


def test_a_disagreement_is_printed_as_a_script_that_shows_it(tmp_path: Path, environment: dict[str, str]) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280, check=False
        )

    found = run("-c", FAULTY, "harness.cli", "verify", "--strategies", "naive", "batched")
    message, _, script = found.stdout.partition("This script shows it:\n\n")
    assert found.returncode == 1
    assert "batched disagrees with the contract:\n  ['associations']" in message
    assert "['strength']: expected 0.0477" in message
    (tmp_path / "counterexample.py").write_text(script, encoding="utf-8")
    with_fault = run("-c", FAULTY, "counterexample.py")
    assert (with_fault.returncode, with_fault.stdout.strip()) == (1, message.strip())
    without_fault = run("counterexample.py")
    assert (without_fault.returncode, without_fault.stdout) == (0, "batched: no disagreement.\n")


def test_clients_who_meet_and_leave_what_some_order_of_theirs_leaves(harness: Program, tmp_path: Path) -> None:
    done = harness("verify", "--concurrent", "--strategies", "batched", "--examples", "5", "--clients", "2")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "batched: no disagreement in 5 scripts."), done.stderr
    assert not list(tmp_path.iterdir())


def test_clients_who_lose_an_update_are_printed_as_a_script_that_shows_it(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280, check=False
        )

    found = run("-c", LOSING_UPDATES, "harness.cli", "verify", "--concurrent", "--strategies", "batched")
    message, _, script = found.stdout.partition("This script shows it:\n\n")
    assert found.returncode == 1, found.stderr
    assert "accesses were made" in message
    (tmp_path / "race.py").write_text(script, encoding="utf-8")
    with_fault = run("-c", LOSING_UPDATES, "race.py")
    assert (with_fault.returncode, "accesses were made" in with_fault.stdout) == (1, True)
    without_fault = run("race.py")
    assert (without_fault.returncode, without_fault.stdout) == (
        0,
        "batched: some serial order of them leaves the same.\n",
    )


async def test_a_database_of_the_users_is_left_as_it_was(
    harness: Program, server: Server, environment: dict[str, str]
) -> None:
    url = await server.create_database("verified")
    environment["PGPASSWORD"] = urlsplit(url).password or ""
    named = without_password(url)
    done = harness("verify", "--strategies", "batched", "--examples", "1", "--database-url", named)
    assert done.returncode == 0, done.stderr
    connection = await asyncpg.connect(url)
    left = await connection.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'anima%'")
    await connection.close()
    assert left == 0
    await server.drop_database("verified")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--strategies", "nave"], "There is no strategy 'nave'"),
        (["--strategies", "naive+associations=btched"], "associations=per_pair|batched"),
        (["--strategies", "approximate"], "held to a recall"),
        (["naive"], "Name strategies after --strategies"),
        (["--examples", "0"], "--examples"),
        (["--concurrent", "--clients", "1"], "--clients"),
        (["--concurrent", "--seed", "first"], "--seed"),
        (["--clients", "2"], "--clients is for --concurrent"),
        (["--concurrent", "--strategies", "approximate"], "held to a recall"),
        (["--database-url", "postgresql://someone@127.0.0.1:1/x"], "127.0.0.1:1/x cannot be used"),
        (["--database-url", "postgresql://someone:secret@127.0.0.1:1/x"], "PGPASSWORD"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(harness: Program, arguments: list[str], complaint: str) -> None:
    done = harness("verify", *arguments)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "secret" not in done.stderr
    assert "Traceback" not in done.stderr
