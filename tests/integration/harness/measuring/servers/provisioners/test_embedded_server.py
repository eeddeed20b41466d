"""What the embedded provisioner promises beyond the contract: whose the server is, and that nothing of it stays."""

import asyncio
import errno
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Generator
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import psutil
import pytest

from harness.errors import ProvisioningError
from harness.measuring.servers.network import with_endpoint
from harness.measuring.servers.provisioners import embedded, provisioner
from harness.measuring.servers.provisioners._shared.databases import DEFAULT_SETTINGS, connected, execute_named
from harness.measuring.servers.provisioners._shared.dumps import dump_and_restore
from harness.measuring.servers.provisioners.embedded import EmbeddedProvisioner
from harness.measuring.servers.provisioners.protocol import DatabaseSettings
from harness.measuring.servers.wheel import installation
from tests.waiting import is_gone, until

pytestmark = pytest.mark.slow

RUN = """
import asyncio, os, signal
from harness.measuring.servers.provisioners.embedded import EmbeddedProvisioner
from harness.measuring.servers.wheel import installation

async def main():
    async with EmbeddedProvisioner().start({}):
        copy = %s
        print(copy, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""
RUN_THAT_WAITS = RUN % "None"
RUN_WITH_A_FORKED_COPY = RUN % "os.fork() or (os.close(1), signal.pause())"
RUN_THAT_DISRUPTS = """
import asyncio
from harness.measuring.servers.provisioners.embedded import EmbeddedProvisioner

async def main():
    async with EmbeddedProvisioner(disk_mb=%r).start({}) as server, server.disrupted(%r):
        print("disrupted", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def directory(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """Where this test's servers lie, and they alone; the server's user may write there. Fails when anything stays."""
    tmp_path_factory.getbasetemp()  # So that pytest does not make its own directory in this one.
    path = Path(tempfile.mkdtemp())
    path.chmod(0o1777)
    monkeypatch.setenv("TMPDIR", str(path))
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    yield path
    path.rmdir()


@pytest.fixture
def closed_directory(directory: Path) -> Path:
    directory.chmod(0o755)
    return directory


async def start_run(program: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)


def left_in(directory: Path) -> list[Path | psutil.Process]:
    """What lies there, the supervisor and the server: their command lines name it."""
    processes = psutil.process_iter(["cmdline"])
    return [*directory.iterdir(), *(p for p in processes if str(directory) in " ".join(p.info["cmdline"] or ()))]


async def until_nothing_stays(directory: Path) -> None:
    async def nothing_stays() -> bool:
        return not left_in(directory)

    await until(nothing_stays)


def files_of_server(directory: Path) -> list[Path]:
    return list(directory.glob("*/data/*"))


async def until_files_are_made_in(directory: Path) -> None:
    """The server's start is then under way: it ends when told to, however early."""

    async def files_are_made() -> bool:
        return bool(files_of_server(directory))

    await until(files_are_made)


async def test_a_block_that_ends_leaves_nothing(directory: Path) -> None:
    async with EmbeddedProvisioner().start({}):
        assert len(left_in(directory)) >= 3
    assert not left_in(directory)


async def test_what_names_another_server_in_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = {"PGHOST": "192.0.2.1", "PGPORT": "1", "PGUSER": "nobody", "PGDATABASE": "none", "PGSERVICE": "none"}
    wrong = {"PGSSLMODE": "verify-full", "PGSSLNEGOTIATION": "direct", "PGTARGETSESSIONATTRS": "standby"}
    for name, value in {**elsewhere, **wrong, "PGOPTIONS": "-c default_transaction_read_only=on"}.items():
        monkeypatch.setenv(name, value)
    async with EmbeddedProvisioner().start({}) as server:
        url = await server.create_database("one")
        await execute_named(url, ("CREATE TABLE %I (id int)", "copied"))
        await dump_and_restore(url, await server.create_database("other"))
        async with connected(await server.clone_database("other", "clone")) as connection:
            assert await connection.fetchval("SELECT count(*) FROM copied") == 0


async def test_a_variable_that_no_client_can_read_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGGSSLIB", "none")
    with pytest.raises(ProvisioningError, match="gsslib"):
        await EmbeddedProvisioner().start({}).__aenter__()


async def test_a_long_directory_with_a_comma_and_a_space_is_as_good(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = directory / ("a, b" + "x" * 110)
    place.mkdir()
    place.chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    async with EmbeddedProvisioner().start({}) as server:
        await server.create_database("one")
    place.rmdir()


async def test_a_run_killed_while_its_server_starts_leaves_nothing(directory: Path) -> None:
    run = await start_run(RUN_THAT_WAITS)
    await until_files_are_made_in(directory)
    run.kill()
    await run.wait()
    await until_nothing_stays(directory)


async def test_a_start_that_is_cancelled_leaves_nothing(directory: Path) -> None:
    async def start() -> None:
        async with EmbeddedProvisioner().start({}):
            pytest.fail("It was cancelled before.")

    starting = asyncio.create_task(start())
    await until_files_are_made_in(directory)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not left_in(directory)


async def test_a_killed_run_leaves_nothing_though_a_forked_copy_of_it_lives_on(directory: Path) -> None:
    run = await start_run(RUN_WITH_A_FORKED_COPY)
    assert run.stdout is not None
    copy = psutil.Process(int(await run.stdout.readline()))
    run.kill()
    await run.wait()
    await until_nothing_stays(directory)
    assert copy.is_running()
    copy.kill()


@pytest.mark.parametrize(
    "disruption", ["restart", "kill", "pause", pytest.param("fill_disk", marks=pytest.mark.needs("root"))]
)
async def test_a_run_killed_while_its_server_is_disrupted_leaves_nothing(directory: Path, disruption: str) -> None:
    run = await start_run(RUN_THAT_DISRUPTS % (64 if disruption == "fill_disk" else None, disruption))
    assert run.stdout is not None
    await run.stdout.readline()
    run.kill()
    await run.wait()
    await until_nothing_stays(directory)


async def test_a_supervisor_told_to_end_takes_the_server_along(directory: Path) -> None:
    async with EmbeddedProvisioner().start({}) as server:
        url = await server.create_database("any")
        server_process = next(p for p in left_in(directory) if isinstance(p, psutil.Process) and p.name() == "postgres")
        os.kill(server_process.ppid(), signal.SIGTERM)
        await until_nothing_stays(directory)
        assert await is_gone(url)


async def test_a_user_of_the_machine_without_the_password_is_turned_away() -> None:
    async with EmbeddedProvisioner().start({}) as server:
        parts = urlsplit(server.admin_url)
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(host=parts.hostname, port=parts.port, user="postgres", password="guessed")
        assert str(parts.password) not in repr(server)


async def test_other_addresses_do_not_answer() -> None:
    async with EmbeddedProvisioner().start({}) as server:
        port = urlsplit(server.admin_url).port
        assert port is not None
        assert await is_gone(with_endpoint(server.admin_url, "127.0.0.2", port))


async def test_a_commit_is_as_durable_as_in_production_unless_the_run_says_otherwise() -> None:
    async with EmbeddedProvisioner().start({}) as server:
        assert DEFAULT_SETTINGS.items() <= {k.lower(): v for k, v in server.facts.settings.items()}.items()
        assert server.facts.settings["fsync"] == server.facts.settings["synchronous_commit"] == "on"


async def test_the_older_postgres_is_there_as_well() -> None:
    async with EmbeddedProvisioner(postgres_major=16).start({}) as server:
        await server.create_database("any")
        assert server.facts.postgres_version.startswith("16.")


async def test_an_unknown_version_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ProvisioningError, match=r"no embedded PostgreSQL 17\. Use one of: 16, 18"):
        await EmbeddedProvisioner(postgres_major=17).start({}).__aenter__()


async def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ProvisioningError, match=f"Port {port} on 127.0.0.1 is in use"):
            await EmbeddedProvisioner(port=port).start({}).__aenter__()


async def test_a_given_port_is_used() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with EmbeddedProvisioner(port=port).start({}) as server:
        assert urlsplit(server.admin_url).port == port


@pytest.mark.parametrize(
    ("settings", "quoted"),
    [
        ({"shared_bufers": "1GB"}, 'unrecognized configuration parameter "shared_bufers"'),
        ({"shared_buffers": "plenty"}, 'invalid value for parameter "shared_buffers": "plenty"'),
    ],
)
async def test_a_server_that_does_not_start_is_quoted(settings: dict[str, str], quoted: str) -> None:
    with pytest.raises(ProvisioningError, match=quoted):
        await EmbeddedProvisioner().start(settings).__aenter__()


async def test_a_server_that_takes_too_long_is_given_up(directory: Path) -> None:
    with pytest.raises(ProvisioningError, match="did not answer within 0 s"):
        await EmbeddedProvisioner(start_timeout_s=0).start({}).__aenter__()
    assert not left_in(directory)


async def test_a_setting_of_the_provisioners_own_is_refused() -> None:
    with pytest.raises(ProvisioningError, match="`port` is the embedded server's own"):
        await EmbeddedProvisioner().start({"port": "5432"}).__aenter__()


@pytest.fixture
def private_installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """Where only root can enter, as a virtual environment below /root is. Fails when it was opened to others."""
    package = installation(18).parent
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    for part in (package / "pginstall18", package.with_name(f"{package.name}.libs")):
        shutil.copytree(part, private / part.relative_to(package.parent), symlinks=True)
    monkeypatch.setattr(embedded, "installation", lambda _: private / package.name / "pginstall18")
    yield
    assert private.stat().st_mode & 0o777 == 0o700


@pytest.fixture
def another_file_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets no file have a second name."""

    def refuse(path: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link", str(path), None, str(target))

    monkeypatch.setattr(Path, "hardlink_to", refuse)


@pytest.mark.usefixtures("private_installation")
@pytest.mark.needs("root")
async def test_the_server_runs_from_a_place_that_only_root_can_enter() -> None:
    async with EmbeddedProvisioner().start({}) as server:
        await server.create_database("any")


@pytest.mark.usefixtures("private_installation", "another_file_system")
@pytest.mark.needs("root")
async def test_the_server_runs_from_another_file_system_that_only_root_can_enter() -> None:
    async with EmbeddedProvisioner().start({}) as server:
        await server.create_database("any")


@pytest.fixture
def private_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only folder on PATH is one that only root can enter."""
    for name in ("mkdir", "rm"):
        program = shutil.which(name)
        assert program is not None
        (tmp_path / name).symlink_to(program)
    tmp_path.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.usefixtures("private_programs")
@pytest.mark.needs("root")
async def test_the_server_runs_when_only_root_can_enter_where_programs_lie() -> None:
    async with EmbeddedProvisioner().start({}) as server:
        await server.create_database("any")


@pytest.mark.usefixtures("private_installation", "another_file_system")
@pytest.mark.needs("root")
async def test_a_copy_of_the_installation_that_breaks_off_is_said_and_removed(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The supervisor, who is not root, can remove what root has copied so far."""
    changes_of_owner = count()
    chown = os.chown

    def break_off(path: Path, uid: int, gid: int, *, follow_symlinks: bool = True) -> None:
        if next(changes_of_owner) == 50:
            raise OSError(errno.ENOSPC, "No space left on device")
        chown(path, uid, gid, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(os, "chown", break_off)
    with pytest.raises(ProvisioningError, match=r"No space left on device.*TMPDIR"):
        await EmbeddedProvisioner().start({}).__aenter__()
    assert not left_in(directory)


async def test_a_disk_that_cannot_be_mounted_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ProvisioningError, match=r"`disk_mb`.*needs root.*testcontainers"):
        await EmbeddedProvisioner(disk_mb=64).start({}).__aenter__()


@pytest.mark.needs("root")
async def test_a_directory_that_the_servers_user_cannot_write_to_is_named(closed_directory: Path) -> None:
    with pytest.raises(ProvisioningError, match=f"cannot write to {closed_directory}. Set TMPDIR"):
        await EmbeddedProvisioner().start({}).__aenter__()


async def test_a_standby_has_what_its_primary_has_and_takes_no_writes() -> None:
    async with EmbeddedProvisioner(standbys=2).start({"fsync": "off"}) as server:
        url = await server.create_database("followed")
        urls = server.standby_urls(url)
        assert len({url, *urls}) == 3
        await until(lambda: all_answer(urls))
        for each in urls:
            async with connected(each) as connection:
                assert await connection.fetchval("SELECT pg_is_in_recovery()")
    assert all([await is_gone(each) for each in (url, *urls)])


async def all_answer(urls: tuple[str, ...]) -> bool:
    return not any([await is_gone(url) for url in urls])


async def test_a_disk_of_its_own_and_standbys_exclude_each_other() -> None:
    with pytest.raises(ProvisioningError, match="cannot have both a disk of its own"):
        async with EmbeddedProvisioner(disk_mb=64, standbys=1).start({}):
            pass


async def test_another_provisioner_says_that_it_starts_no_standbys() -> None:
    settings = DatabaseSettings(provisioner="external", standbys=1)
    with pytest.raises(ProvisioningError, match="The provisioner external starts no `standbys`"):
        await provisioner(settings)
    assert (await provisioner(DatabaseSettings(standbys=1))).name == "embedded"
