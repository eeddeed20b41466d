"""The contract of harness/measuring/servers/provisioners/protocol.py, for every provisioner in the registry."""

import asyncio
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import AsyncExitStack
from functools import partial
from time import perf_counter
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from anima.migrations import migrate
from anima.strategy import BATCHED
from harness.errors import ProvisioningError
from harness.measuring.environment import fingerprint
from harness.measuring.servers.provisioners import PROVISIONERS
from harness.measuring.servers.provisioners.protocol import DatabaseSettings, Provisioner, Server
from tests.foreign import execute, value
from tests.waiting import is_gone, until

pytestmark = pytest.mark.slow

SETTINGS = {"work_mem": "7MB", "random_page_cost": "1.7", "fsync": "off"}

TABLES_VERSION = 4
VERSION = "SELECT max(version) FROM anima_migrations"
MEMORIES = """
INSERT INTO memories (id, content, content_hash, embedding)
SELECT gen_random_uuid(), 'memory ' || n, encode(sha256(('memory ' || n)::bytea), 'hex'),
       (SELECT array_agg(random() + 0 * (n + d))::vector FROM generate_series(1, 768) AS d)
  FROM generate_series(1, %d) AS n
"""

RUN_THAT_WAITS = """
import asyncio, signal, sys
from harness.measuring.servers.provisioners import provisioner
from harness.measuring.servers.provisioners.protocol import DatabaseSettings

# A test run in the background has its children ignore both.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

async def main():
    provisioned = await provisioner(DatabaseSettings(provisioner=sys.argv[1]))
    async with provisioned.start({}) as server:
        print(await server.create_database("made_by_the_run"), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def provisioner(provisioner_name: str) -> Provisioner:
    return PROVISIONERS[provisioner_name](DatabaseSettings())


@pytest.fixture(scope="module")
def provisioned(runner: asyncio.Runner, provisioner_name: str) -> Generator[Server]:
    stack = AsyncExitStack()
    provisioner = PROVISIONERS[provisioner_name](DatabaseSettings())
    yield runner.run(stack.enter_async_context(provisioner.start(SETTINGS)))
    runner.run(stack.aclose())


@pytest.fixture
def name() -> str:
    return f"contract_{uuid4().hex[:12]}"


async def test_a_new_database_is_empty_and_computes_with_vectors(provisioned: Server, name: str) -> None:
    url = await provisioned.create_database(name)
    assert await value(url, "SELECT '[3,4]'::vector <-> '[0,0]'") == 5.0
    assert await value(url, "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == 0


async def test_a_clone_has_the_rows_and_goes_its_own_way(provisioned: Server, name: str) -> None:
    original = await provisioned.create_database(name)
    await execute(original, "CREATE TABLE thing (number int); INSERT INTO thing SELECT generate_series(1, 1000)")
    clone = await provisioned.clone_database(name, f"{name}_clone")
    await execute(clone, "DELETE FROM thing WHERE number > 10")
    assert await value(clone, "SELECT sum(number) FROM thing") == 55
    assert await value(original, "SELECT count(*) FROM thing") == 1000


async def test_clones_are_made_side_by_side(provisioned: Server, name: str) -> None:
    await execute(await provisioned.create_database(name), "CREATE TABLE thing AS SELECT 7 AS number")
    clones = await asyncio.gather(*(provisioned.clone_database(name, f"{name}_{i}") for i in range(4)))
    assert [await value(clone, "SELECT number FROM thing") for clone in clones] == [7, 7, 7, 7]


async def test_a_template_in_use_is_not_cloned(provisioned: Server, name: str) -> None:
    connection = await asyncpg.connect(await provisioned.create_database(name))
    with pytest.raises(ProvisioningError, match="Close every connection"):
        await provisioned.clone_database(name, f"{name}_clone")
    await connection.close()


async def test_what_is_not_there_is_not_cloned(provisioned: Server, name: str) -> None:
    with pytest.raises(ProvisioningError, match=rf"{name}.*Create it first"):
        await provisioned.clone_database(name, f"{name}_clone")


async def test_a_name_is_not_given_twice(provisioned: Server, name: str) -> None:
    await provisioned.create_database(name)
    with pytest.raises(ProvisioningError, match=rf"{name}.*already exists"):
        await provisioned.create_database(name)


async def test_dropping_ends_connections_and_may_be_repeated(provisioned: Server, name: str) -> None:
    url = await provisioned.create_database(name)
    connection = await asyncpg.connect(url)
    await provisioned.drop_database(name)
    await provisioned.drop_database(name)
    assert await is_gone(url)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await connection.fetchval("SELECT 1")


@pytest.mark.parametrize("name", ['Say "hi"', "a b/c?d#e%f", "x'; DROP DATABASE postgres; --", "größe", "select"])
async def test_any_name_is_a_name(provisioned: Server, name: str) -> None:
    url = await provisioned.create_database(name)
    clone_url = await provisioned.clone_database(name, f"{name} 2")
    assert str(await value(url, "SELECT current_database()")).endswith(name)
    assert str(await value(clone_url, "SELECT current_database()")).endswith(f"{name} 2")
    await provisioned.drop_database(name)
    assert await is_gone(url)


@pytest.mark.parametrize("name", ["", "x" * 64, "ö" * 32])
async def test_a_name_that_would_be_shortened_is_refused(provisioned: Server, name: str) -> None:
    with pytest.raises(ProvisioningError, match=r"1 to \d+ bytes"):
        await provisioned.create_database(name)


async def test_stated_settings_hold_and_are_in_the_facts(provisioned: Server, name: str) -> None:
    url = await provisioned.create_database(name)
    for setting, stated in SETTINGS.items():
        assert await value(url, f"SHOW {setting}") == stated
        assert provisioned.facts.settings[setting] == stated


async def test_facts_say_what_the_server_is(provisioned: Server, provisioner_name: str, name: str) -> None:
    facts = provisioned.facts
    url = await provisioned.create_database(name)
    assert facts.provisioner == provisioner_name
    assert facts.postgres_version == await value(url, "SHOW server_version")
    assert facts.pgvector_version == await value(url, "SELECT extversion FROM pg_extension WHERE extname = 'vector'")


async def test_facts_of_two_servers_with_the_same_settings_are_alike(
    provisioned: Server, provisioner: Provisioner
) -> None:
    """Ports and directories would differ."""
    async with provisioner.start(SETTINGS) as other:
        assert other.facts == provisioned.facts


async def test_two_at_once_do_not_see_each_other(provisioner: Provisioner, name: str) -> None:
    async with provisioner.start(SETTINGS) as one, provisioner.start(SETTINGS) as two:
        urls = await asyncio.gather(one.create_database(name), two.create_database(name))
        await execute(urls[0], "CREATE TABLE only_here ()")
        assert await value(urls[0], "SELECT to_regclass('only_here') IS NOT NULL")
        assert await value(urls[1], "SELECT to_regclass('only_here') IS NULL")


async def test_it_is_gone_after_an_exception(provisioner: Provisioner, name: str) -> None:
    urls = list[str]()

    async def run() -> None:
        async with provisioner.start(SETTINGS) as server:
            urls.append(await server.create_database(name))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await run()
    assert await is_gone(urls[0])


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
async def test_it_is_gone_after_its_run_was_ended(provisioner_name: str, sent: signal.Signals) -> None:
    run = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        RUN_THAT_WAITS,
        provisioner_name,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert run.stdout is not None
    url = (await run.stdout.readline()).decode().strip()
    assert not await is_gone(url)
    run.send_signal(sent)
    await run.wait()
    await until(partial(is_gone, url))


async def test_cleaning_leaves_what_a_run_uses(provisioned: Server, provisioner: Provisioner, name: str) -> None:
    url = await provisioned.create_database(name)
    await provisioner.clean()
    assert not await is_gone(url)


async def test_databases_are_cloned_by_the_server_itself(provisioned: Server) -> None:
    assert provisioned.facts.cloning == "template"


async def test_the_password_is_in_no_fact_and_no_representation(provisioned: Server, name: str) -> None:
    password = urlsplit(await provisioned.create_database(name)).password
    assert password
    assert password not in repr(provisioned)
    assert password not in str(fingerprint(provisioned.facts))


async def test_the_log_is_text(provisioned: Server, provisioner_name: str) -> None:
    log = await provisioned.log()
    assert ("database system is ready" in log) == (provisioner_name != "external")


async def test_a_database_is_migrated_to_the_asked_version_and_cloned_there(provisioned: Server, name: str) -> None:
    """To the newest that works with every pgvector: an engine's image may have an old one."""
    await migrate(await provisioned.create_database(name), to=TABLES_VERSION)
    clone = await provisioned.clone_database(name, f"{name}_clone")
    assert await value(clone, VERSION) == TABLES_VERSION
    await migrate(clone, to=BATCHED.schema_version)
    assert await value(clone, VERSION) == BATCHED.schema_version


VECTOR_INDEXES = "SELECT count(*) FROM pg_indexes WHERE indexdef LIKE '%hnsw%'"


@pytest.mark.parametrize("memories", [500, pytest.param(10_000, marks=pytest.mark.nightly)])
async def test_a_template_of_many_memories_is_cloned_with_its_index(
    provisioned: Server, name: str, memories: int, record_property: Callable[[str, object], None]
) -> None:
    """How long it takes is for the report of the tests, not for them to judge: the machine may be busy."""
    url = await provisioned.create_database(name)
    await migrate(url, to=TABLES_VERSION)
    await execute(url, MEMORIES % memories)
    await migrate(url, to=BATCHED.schema_version)
    started = perf_counter()
    clone = await provisioned.clone_database(name, f"{name}_clone")
    clone_s = perf_counter() - started
    record_property("clone_s", clone_s)
    print(f"cloned {memories:,} memories in {clone_s:.2f} s")  # noqa: T201 -- shown with pytest -rP
    assert await value(clone, "SELECT count(*) FROM memories") == memories
    assert await value(clone, VERSION) == await value(url, VERSION)
    indexes = await value(url, VECTOR_INDEXES)
    assert indexes
    assert await value(clone, VECTOR_INDEXES) == indexes
