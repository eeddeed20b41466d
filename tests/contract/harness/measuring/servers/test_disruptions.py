"""What each disruption of provisioners/protocol.py does, on every provisioner in the registry."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, get_args
from uuid import uuid4

import asyncpg
import pytest

from harness.errors import ProvisioningError
from harness.measuring.servers.addresses import endpoints
from harness.measuring.servers.network import delay_proxy, with_endpoint
from harness.measuring.servers.provisioners import FOLLOWED, PROVISIONERS
from harness.measuring.servers.provisioners.protocol import DatabaseSettings, Disruption, Server
from tests.foreign import execute, value
from tests.waiting import is_gone, until

pytestmark = pytest.mark.slow

STARTED = "SELECT pg_postmaster_start_time()"
KEPT = ("CREATE TABLE thing (text text)", "INSERT INTO thing VALUES ('kept')")
TOO_MUCH = "INSERT INTO thing SELECT repeat('too much', 200) FROM generate_series(1, 2000)"
FOREVER = "SELECT pg_sleep(1000)"
RUNS = f"SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND query = '{FOREVER}')"

CANNOT: Mapping[tuple[str, bool], set[Disruption]] = {
    ("embedded", False): {"fill_disk"},
    ("embedded", True): {"fail_over"},
    ("testcontainers", False): {"fill_disk", "fail_over"},
    ("testcontainers", True): {"restart", "kill", "fail_over"},
    ("external", False): {"restart", "kill", "pause", "fill_disk", "fail_over"},
    ("external", True): {"restart", "kill", "pause", "fill_disk", "fail_over"},
    ("patroni", False): {"restart", "kill", "pause", "fill_disk"},
    ("patroni", True): {"restart", "kill", "pause", "fill_disk", "fail_over"},
}
"""With and without a disk of its own; those that start servers that follow have one without."""


@pytest.fixture(scope="module", params=[False, True], ids=["no-disk", "disk"])
def disk(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(scope="module")
def provisioned(runner: asyncio.Runner, provisioner_name: str, disk: bool) -> Generator[Server]:
    stack = AsyncExitStack()
    is_followed = provisioner_name in FOLLOWED and not disk
    settings = DatabaseSettings(disk_mb=128 if disk else None, standbys=int(is_followed))
    provisioner = PROVISIONERS[provisioner_name](settings)
    yield runner.run(stack.enter_async_context(provisioner.start({})))
    runner.run(stack.aclose())


@pytest.fixture
async def url(provisioned: Server) -> AsyncGenerator[str]:
    """A database with a row that was committed before anything happens."""
    name = f"disrupted_{uuid4().hex[:12]}"
    url = await provisioned.create_database(name)
    await execute(url, *KEPT)
    yield url
    assert await value(url, "SELECT text FROM thing") == "kept"
    await provisioned.drop_database(name)


async def is_down_and_comes_back(server: Server, url: str, disruption: Disruption) -> None:
    before = await value(url, STARTED)
    session = await asyncpg.connect(url)
    async with server.disrupted(disruption):
        assert await is_gone(url)
    assert await value(url, STARTED) != before
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await session.execute("SELECT 1")


async def restart(server: Server, url: str) -> None:
    logged = len(await server.log())
    await is_down_and_comes_back(server, url, "restart")
    assert "automatic recovery in progress" not in (await server.log())[logged:]


async def kill(server: Server, url: str) -> None:
    await is_down_and_comes_back(server, url, "kill")
    assert "automatic recovery in progress" in await server.log()


async def pause(server: Server, url: str) -> None:
    session = await asyncpg.connect(url)
    async with server.disrupted("pause"):
        asked = asyncio.create_task(session.fetchval("SELECT 1"))
        connecting = asyncio.create_task(asyncpg.connect(url))
        assert not (await asyncio.wait({asked, connecting}, timeout=0.5))[0]
    assert await asked == 1
    await (await connecting).close()
    await session.close()


async def terminate_backends(server: Server, url: str) -> None:
    async def runs() -> bool:
        return bool(await value(url, RUNS))

    session = await asyncpg.connect(url)
    asked = asyncio.create_task(session.execute(FOREVER))
    await until(runs)
    async with server.disrupted("terminate_backends"):
        with pytest.raises(asyncpg.PostgresError, match="terminating connection due to administrator command"):
            await asked
        assert not await is_gone(url)


async def fill_disk(server: Server, url: str) -> None:
    session = await asyncpg.connect(url)
    async with server.disrupted("fill_disk"):
        with pytest.raises(asyncpg.DiskFullError):
            await session.execute(TOO_MUCH)
        assert await value(url, "SELECT text FROM thing") == "kept"
    await session.execute(TOO_MUCH)
    await session.execute("DELETE FROM thing WHERE text <> 'kept'")
    await session.close()


async def fail_over(server: Server, url: str) -> None:
    before = await value(url, STARTED)
    session = await asyncpg.connect(url)
    async with server.disrupted("fail_over"):
        assert await value(url, STARTED) != before
        await execute(url, "DELETE FROM thing", KEPT[1])
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await session.execute("SELECT 1")


DISRUPTED: Mapping[Disruption, Callable[[Server, str], Awaitable[None]]] = {
    "restart": restart,
    "kill": kill,
    "pause": pause,
    "terminate_backends": terminate_backends,
    "fill_disk": fill_disk,
    "fail_over": fail_over,
}


@pytest.mark.parametrize("disruption", get_args(Disruption))
async def test_it_does_what_it_says_or_says_why_not(
    provisioned: Server, provisioner_name: str, disk: bool, url: str, disruption: Disruption
) -> None:
    if disruption in CANNOT[provisioner_name, disk]:
        with pytest.raises(ProvisioningError, match=r"\.$") as refused:
            await provisioned.disrupted(disruption).__aenter__()
        assert str(refused.value) == provisioned.cannot[disruption]
    else:
        await DISRUPTED[disruption](provisioned, url)


async def test_what_cannot_be_done_is_known_beforehand(provisioned: Server, provisioner_name: str, disk: bool) -> None:
    assert provisioned.cannot.keys() == CANNOT[provisioner_name, disk]


async def test_a_database_is_made_cloned_and_dropped_after_every_disruption(provisioned: Server, url: str) -> None:
    name = url.rpartition("/")[2]
    for disruption in get_args(Disruption):
        if disruption not in provisioned.cannot:
            async with provisioned.disrupted(disruption):
                pass
            name = f"after_{disruption}"
            await execute(await provisioned.create_database(name), *KEPT)
            clone = await provisioned.clone_database(name, f"{name}_clone")
            assert await value(clone, "SELECT text FROM thing") == "kept"
            await provisioned.drop_database(f"{name}_clone")
            await provisioned.drop_database(name)


async def test_a_block_that_fails_is_mended_as_well(provisioned: Server, url: str) -> None:
    async def fail(disruption: Disruption) -> None:
        async with provisioned.disrupted(disruption):
            raise ZeroDivisionError

    for disruption in get_args(Disruption):
        if disruption not in provisioned.cannot:
            with pytest.raises(ZeroDivisionError):
                await fail(disruption)
            assert not await is_gone(url)


async def test_a_cut_network_lets_nothing_through_until_it_is_mended(url: str) -> None:
    """Whatever the server is: the proxy in front of it is the harness's own."""
    async with proxied(url) as (cut, through):
        session = await asyncpg.connect(through)
        async with cut():
            asked = asyncio.create_task(session.fetchval("SELECT text FROM thing"))
            connecting = asyncio.create_task(asyncpg.connect(through))
            assert not (await asyncio.wait({asked, connecting}, timeout=0.5))[0]
            with pytest.raises(TimeoutError):
                await asyncpg.connect(through, timeout=0.1)
            assert not await is_gone(url)
        assert await asked == "kept"
        await (await connecting).close()
        await session.close()


@asynccontextmanager
async def proxied(url: str) -> AsyncGenerator[tuple[Callable[[], Any], str]]:
    host, port = endpoints(url)[0]
    async with delay_proxy(host, port, one_way_delay_s=0) as proxy:
        # After a failover the first of two servers is the one that follows, which answers reads as well.
        yield proxy.cut, with_endpoint(url, proxy.host, proxy.port).replace("attrs=read-write", "attrs=any")
