"""What the external provisioner promises beyond the contract: it says what it lacks, and leaves the rest alone."""

from pathlib import Path
from urllib.parse import quote, urlsplit

import asyncpg
import pytest

from harness.errors import ProvisioningError, UsageError
from harness.measuring.servers.provisioners import external
from harness.measuring.servers.provisioners._shared.databases import PostgresServer
from harness.measuring.servers.provisioners.external import URL_VARIABLE, ExternalProvisioner
from tests.foreign import PASSWORD, execute, make_tenant, pooled, value, without_password
from tests.poolers import Mode, pgbouncer

PREPARED_ELSEWHERE = [f"PREPARE __asyncpg_stmt_{number:x}__ AS SELECT 1" for number in range(1, 300)]
HNSW = "CREATE INDEX ON thing USING hnsw (position vector_l2_ops)"


async def names(server: PostgresServer) -> list[str]:
    connection = await asyncpg.connect(server.admin_url)
    found = await connection.fetch("SELECT datname FROM pg_database ORDER BY datname")
    await connection.close()
    return [str(name) for (name,) in found]


async def start(url: str, **settings: str) -> None:
    async with ExternalProvisioner(url).start(settings):
        pass


async def test_its_databases_begin_with_the_stated_prefix_and_all_others_are_as_before(foreign: PostgresServer) -> None:
    tenant = await make_tenant(foreign)
    before = await names(foreign)
    async with ExternalProvisioner(tenant, prefix="ci").start({}) as server:
        await server.create_database("one")
        await server.clone_database("one", "two")
        made = sorted(set(await names(foreign)) - set(before))
        assert [name[:3] + name[15:] for name in made] == ["ci__one", "ci__two"]
    assert await names(foreign) == before


async def test_a_role_that_may_not_create_databases_is_told_what_to_ask_for(foreign: PostgresServer) -> None:
    tenant = await make_tenant(foreign, "NOCREATEDB")
    with pytest.raises(ProvisioningError, match=f'ALTER ROLE "{urlsplit(tenant).username}" CREATEDB'):
        await start(tenant)


async def test_a_role_that_may_not_install_pgvector_is_told_where_an_administrator_does(
    foreign: PostgresServer,
) -> None:
    tenant = await make_tenant(foreign, vector=False)
    before = await names(foreign)
    with pytest.raises(ProvisioningError, match="connected to template1, CREATE EXTENSION IF NOT EXISTS vector"):
        await start(tenant)
    assert await names(foreign) == before


async def test_a_setting_of_the_whole_server_must_be_as_stated_already(foreign: PostgresServer) -> None:
    tenant = await make_tenant(foreign)
    await start(tenant, shared_buffers="256MB", fsync="off")
    with pytest.raises(ProvisioningError, match=r"shared_buffers = 1GB.*has 256MB.*set it there"):
        await start(tenant, shared_buffers="1GB")


async def test_a_setting_that_there_is_not_is_refused(foreign: PostgresServer) -> None:
    with pytest.raises(ProvisioningError, match=r"work_men = 7MB.*no such setting"):
        await start(await make_tenant(foreign), work_men="7MB")


@pytest.mark.slow
async def test_a_server_that_clones_nothing_is_copied_by_dump_and_restore(foreign: PostgresServer) -> None:
    tenant = await make_tenant(foreign)
    async with pooled(tenant) as url, ExternalProvisioner(url).start({"work_mem": "7MB"}) as server:
        original = await server.create_database("original")
        await execute(original, "CREATE TABLE thing AS SELECT '[3,4]'::vector(2) AS position", HNSW)
        copy = await server.clone_database("original", "copy")
        assert await value(copy, "SELECT position <-> '[0,0]' FROM thing") == 5.0
        assert "hnsw" in str(await value(copy, "SELECT indexdef FROM pg_indexes WHERE tablename = 'thing'"))
        assert await value(copy, "SHOW work_mem") == "7MB"
        assert server.facts.cloning == "dump and restore"
        assert any("dump and restore" in lack and "being accessed" in lack for lack in server.facts.lacks)
        with pytest.raises(ProvisioningError, match=r"Create it first|does not exist"):
            await server.clone_database("nothing", "of_it")


@pytest.mark.slow
async def test_the_password_may_be_in_the_environment_or_in_a_file(
    foreign: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = await make_tenant(foreign)
    bare = without_password(tenant)
    parts = urlsplit(tenant)
    passwords = tmp_path / "passwords"
    escaped = PASSWORD.replace("\\", r"\\").replace(":", r"\:")
    passwords.write_text(f"# ours\n{parts.hostname}:{parts.port}:*:{parts.username}:{escaped}\n", encoding="utf-8")
    passwords.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    await start(bare)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "none"))
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    await start(bare)
    monkeypatch.setenv("PGPASSWORD", "wrong")
    with pytest.raises(ProvisioningError, match="password authentication failed") as refused:
        await start(bare)
    assert "wrong" not in str(refused.value)


async def test_a_role_without_the_right_to_checkpoint_is_in_the_facts(foreign: PostgresServer) -> None:
    async with ExternalProvisioner(await make_tenant(foreign)).start({}) as server:
        assert external.NO_CHECKPOINT in server.facts.lacks
    async with ExternalProvisioner(foreign.admin_url).start({}) as server:
        assert not server.facts.lacks


async def test_what_others_could_read_is_not_in_the_facts(foreign: PostgresServer) -> None:
    secret = "host=10.1.2.3 password=hunter2"
    await execute(foreign.admin_url, f"ALTER SYSTEM SET primary_conninfo = '{secret}'", "SELECT pg_reload_conf()")
    async with ExternalProvisioner(foreign.admin_url).start({}) as server:
        assert "hunter2" not in str(server.facts)


async def test_databases_that_a_run_left_are_cleaned_and_those_of_others_stay(foreign: PostgresServer) -> None:
    tenant = await make_tenant(foreign)
    role = urlsplit(tenant).username
    left, unmarked, theirs = "harness_0123456789ab_left", "harness_0123456789ab_other", "harness_0123456789ab_theirs"
    await execute(
        foreign.admin_url,
        f"CREATE DATABASE {left} OWNER {role}",
        f"COMMENT ON DATABASE {left} IS 'anima-harness'",
        f"CREATE DATABASE {unmarked} OWNER {role}",
        f"CREATE DATABASE {theirs}",
        f"COMMENT ON DATABASE {theirs} IS 'anima-harness'",
    )
    provisioner = ExternalProvisioner(tenant)
    async with provisioner.start({}) as server:
        await server.create_database("in_use")
        assert await provisioner.clean() == (f"database {left}",)
        assert [name for name in await names(foreign) if name.endswith("_in_use")]
    assert {unmarked, theirs} <= set(await names(foreign))


async def test_without_a_url_there_is_nothing_to_use_and_nothing_to_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    with pytest.raises(UsageError, match=f"--database postgresql://.*{URL_VARIABLE}"):
        await ExternalProvisioner().start({}).__aenter__()
    assert await ExternalProvisioner().clean() == ()


async def test_a_server_that_does_not_answer_is_named_without_its_password() -> None:
    with pytest.raises(ProvisioningError, match=r"127\.0\.0\.1:1: ") as refused:
        await start(f"postgresql://somebody:{quote(PASSWORD, safe='')}@127.0.0.1:1/db")
    assert PASSWORD not in str(refused.value)


@pytest.mark.parametrize("mode", ["transaction", "statement"])
async def test_a_pooler_that_shares_connections_is_refused_with_the_setting(
    foreign: PostgresServer, mode: Mode
) -> None:
    before = await names(foreign)
    with pgbouncer(foreign.admin_url, mode) as url:
        another = await asyncpg.connect(url)
        for name in PREPARED_ELSEWHERE:  # As another program's asyncpg may have named one of its own.
            await another.execute(name)
        with pytest.raises(ProvisioningError, match=r"set pool_mode = session for the databases of the run"):
            await start(url)
        await another.close()
    assert await names(foreign) == before


async def test_through_a_pooler_that_keeps_connections_a_run_makes_its_databases_and_removes_them(
    foreign: PostgresServer,
) -> None:
    before = await names(foreign)
    with pgbouncer(foreign.admin_url, "session") as url:
        async with ExternalProvisioner(url).start({}) as server:
            await server.create_database("one")
            assert await value(await server.clone_database("one", "two"), "SELECT 1") == 1
    assert await names(foreign) == before
