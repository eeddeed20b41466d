"""`anima migrate` as a process, on a real database."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.measuring.servers.provisioners.protocol import Server

FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")


def anima(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "anima", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.slow
async def test_migrating_in_steps_and_asking_what_is_there(server: Server, environment: dict[str, str]) -> None:
    url = await server.create_database("migrated_by_hand")
    with_url = environment | {"ANIMA_DATABASE_URL": url}
    assert "pending  001_memories" in anima("migrate", "--status", environment=with_url).stdout
    first = anima("migrate", "--to", "6", environment=with_url)
    assert first.returncode == 0
    assert first.stdout.splitlines()[-1] == "applied  006_updated_at"
    assert "pending  007_performance_indexes" in anima("migrate", "--status", environment=with_url).stdout
    rest = anima("migrate", environment=with_url)
    assert rest.stdout.splitlines()[0] == "applied  007_performance_indexes"
    assert "Nothing to do" in anima("migrate", environment=with_url).stdout
    back = anima("migrate", "--to", "2", environment=with_url)
    assert back.returncode == 1
    assert "only go forward" in back.stderr
    await server.drop_database("migrated_by_hand")


def test_what_is_missing_or_wrong_is_a_sentence(environment: dict[str, str]) -> None:
    nothing = anima("migrate", environment=environment)
    assert (nothing.returncode, "ANIMA_DATABASE_URL" in nothing.stderr) == (2, True)
    unreachable = anima(
        "migrate", "--database-url", "postgresql://nobody:secret@127.0.0.1:1/x", environment=environment
    )
    assert unreachable.returncode == 2
    assert "127.0.0.1:1/x cannot be used" in unreachable.stderr
    assert "Set ANIMA_DATABASE_URL instead" in unreachable.stderr
    assert "secret" not in unreachable.stderr
    assert "Traceback" not in unreachable.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", ["migrate", "serve"])
def test_a_url_that_is_not_understood_is_a_sentence_without_its_password(
    environment: dict[str, str], command: str
) -> None:
    for url in ("postgresql://bob:Gx7/tPq9@127.0.0.1:1/a1", "postgresql://bob:Gx7tPq9@127.0.0.1:1/a1?schema=public"):
        refused = anima(command, environment=environment | {"ANIMA_DATABASE_URL": url})
        assert refused.returncode == 2
        assert refused.stderr.startswith("anima: The database URL (ANIMA_DATABASE_URL or --database-url) ")
        assert refused.stderr.count("\n") == 1
        assert not re.search("Gx7|tPq9|bob", refused.stdout + refused.stderr)


@pytest.mark.parametrize(
    ("variables", "url"),
    [({"PGPORT": "abc"}, "postgresql://u@127.0.0.1/x"), ({"PGSSLMODE": "on"}, "postgresql://u@127.0.0.1:1/x")],
)
def test_pg_variables_that_do_not_fit_are_a_sentence(
    environment: dict[str, str], variables: dict[str, str], url: str
) -> None:
    refused = anima("migrate", environment=environment | variables | {"ANIMA_DATABASE_URL": url})
    assert refused.returncode == 2
    assert "variables that begin with PG do not fit together" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("ending", ["| true", ">&-", pytest.param(">/dev/full", marks=FULL), ">&- 2>&-"])
async def test_work_that_is_done_has_not_failed_because_nobody_reads_of_it(
    server: Server, environment: dict[str, str], ending: str
) -> None:
    name = "migrated_unread"
    url = await server.create_database(name)
    script = f'set -o pipefail; "$program" -m anima migrate --to 2 {ending}'
    told = environment | {"ANIMA_DATABASE_URL": url, "program": sys.executable}
    done = subprocess.run(  # noqa: ASYNC221 -- nothing else goes on here
        ["bash", "-c", script], env=told, capture_output=True, text=True, timeout=280, check=False
    )
    await server.drop_database(name)
    assert (done.returncode, done.stderr) == (0, "")
