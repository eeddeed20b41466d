"""What the server's sessions compute, sampled by the real perf where that may be used."""

import pytest

from harness.frames import SERVER
from harness.measuring.profilers.protocol import ProfiledOperation
from harness.measuring.profilers.server_stacks import ServerStacks
from tests.integration.harness.conftest import Sessions

COMPUTES = "SELECT sum(length(md5(i::text))) FROM generate_series(1, 200_000) i"

pytestmark = pytest.mark.needs("perf")


async def test_functions_of_a_session_of_the_database_are_seen(subject: ProfiledOperation, sessions: Sessions) -> None:
    busy, _, watcher = sessions
    async with ServerStacks().observe(subject) as observed:
        await busy.fetchval(COMPUTES)
        await watcher.fetchval(COMPUTES.replace("md5", "reverse"))
    assert observed["server_unobserved"] == ""
    stacks: dict[str, float] = observed["server_stacks"]
    assert all(stack.startswith(f"{SERVER};") for stack in stacks)
    assert any("postgres: md5_text" in stack for stack in stacks)
    assert not any("text_reverse" in stack for stack in stacks), "it is of another database"
    folded = subject.file.with_name(f"{subject.file.name}.server.folded").read_text(encoding="utf-8")
    assert len(folded.splitlines()) == len(stacks)
    assert not list(subject.directory.glob("*.data")), "what perf recorded is read, and gone"


async def test_sessions_that_compute_nothing_are_told(subject: ProfiledOperation, sessions: Sessions) -> None:
    """They exist, and are asked nothing."""
    assert sessions
    async with ServerStacks().observe(subject) as observed:
        pass
    assert observed["server_stacks"] == {}
    assert observed["server_unobserved"].startswith("perf took no sample of the server")


async def test_a_database_without_sessions_here_is_told(subject: ProfiledOperation) -> None:
    async with ServerStacks().observe(subject) as observed:
        pass
    assert observed["server_unobserved"].startswith("no session of the variant's database is a process of this machine")
