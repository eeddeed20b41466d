"""`anima migrate` as a process, on a real database."""

import subprocess
import sys

from harness.provisioners.protocol import Server


def anima(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "anima", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


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
    assert unreachable.returncode == 1
    assert "127.0.0.1:1/x cannot be used" in unreachable.stderr
    assert "secret" not in unreachable.stderr
    assert "Traceback" not in unreachable.stderr
