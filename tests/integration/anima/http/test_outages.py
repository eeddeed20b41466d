"""The database goes away under the service and comes back: who is told what, and that nothing acknowledged is lost."""

import asyncio
import itertools
import os
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack

import httpx
import pytest

from anima.assembly import Anima
from anima.migrations import migrate
from anima.strategy import FRONTIER
from harness.measuring.servers.provisioners.embedded import EmbeddedProvisioner
from harness.measuring.servers.provisioners.protocol import Disruption, Server
from tests.memories import opened
from tests.service import client_of
from tests.waiting import until

ADD = "/api/v1/memories/add"


@pytest.fixture(scope="module")
def fragile(runner: asyncio.Runner) -> Generator[Server]:
    """A server of this module's own, with a disk of its own where the rights are there to mount one."""
    stack = AsyncExitStack()
    disk_mb = 128 if os.geteuid() == 0 else None
    yield runner.run(stack.enter_async_context(EmbeddedProvisioner(disk_mb=disk_mb).start({})))
    runner.run(stack.aclose())


@pytest.fixture
async def fragile_anima(fragile: Server) -> AsyncGenerator[Anima]:
    url = await fragile.create_database("fragile")
    await migrate(url)
    async with opened(url, FRONTIER) as anima:
        yield anima
    await fragile.drop_database("fragile")


@pytest.fixture
async def fragile_client(fragile_anima: Anima) -> AsyncGenerator[httpx.AsyncClient]:
    async with client_of(fragile_anima) as client:
        yield client


def is_told_as_unavailable(answer: httpx.Response) -> bool:
    if answer.status_code != 503:
        return False
    assert answer.json()["error"]["code"] == "DATABASE_UNAVAILABLE"
    assert "retry-after" in answer.headers
    assert "postgres" not in answer.text.lower()
    return True


async def status_of(client: httpx.AsyncClient, path: str) -> int:
    return (await client.get(path)).status_code


@pytest.mark.parametrize("disruption", ["restart", "kill"])
async def test_requests_are_503_while_the_database_is_gone_and_served_when_it_is_back(
    fragile: Server, fragile_client: httpx.AsyncClient, disruption: Disruption
) -> None:
    assert (await fragile_client.post(ADD, json={"content": "before"})).status_code == 201
    async with fragile.disrupted(disruption):
        assert is_told_as_unavailable(await fragile_client.post(ADD, json={"content": "meanwhile"}))
        assert is_told_as_unavailable(await fragile_client.post("/api/v1/memories/query", json={"query": "before"}))
        assert await status_of(fragile_client, "/ready") == 503
        assert await status_of(fragile_client, "/health") == 200

    async def ready() -> bool:
        return await status_of(fragile_client, "/ready") == 200

    await until(ready)
    assert (await fragile_client.post(ADD, json={"content": "before"})).json()["data"]["isDuplicate"] is True


async def test_what_is_acknowledged_around_a_crash_is_there_after_it(
    fragile: Server, fragile_anima: Anima, fragile_client: httpx.AsyncClient
) -> None:
    acknowledged: list[str] = []
    stop = asyncio.Event()

    async def keep_adding(client_number: int) -> None:
        for number in itertools.count():
            if stop.is_set():
                return
            content = f"memory {number} of client {client_number}"
            answer = await fragile_client.post(ADD, json={"content": content})
            if answer.status_code == 201:
                acknowledged.append(content)
            else:
                assert is_told_as_unavailable(answer)
                await asyncio.sleep(0.01)

    async def reached(count: int) -> None:
        async def is_reached() -> bool:
            return len(acknowledged) >= count

        await until(is_reached)

    async with asyncio.TaskGroup() as clients:
        for number in range(8):
            clients.create_task(keep_adding(number))
        await reached(100)
        async with fragile.disrupted("kill"):
            before_recovery = len(acknowledged)
        await reached(before_recovery + 100)
        stop.set()
    async with fragile_anima.memory.database.session() as session:
        rows = await session.connection.fetch("SELECT content FROM memories")
    assert set(acknowledged) <= {row["content"] for row in rows}


async def test_a_full_disk_is_told_and_what_follows_is_served(
    fragile: Server, fragile_client: httpx.AsyncClient
) -> None:
    if "fill_disk" in fragile.cannot:
        pytest.skip(fragile.cannot["fill_disk"])
    number = 0

    async def is_refused() -> bool:
        nonlocal number
        number += 1
        answer = await fragile_client.post(ADD, json={"content": f"{number} " + "word " * 9_000})
        return is_told_as_unavailable(answer)

    async with fragile.disrupted("fill_disk"):
        await until(is_refused)
    assert (await fragile_client.post(ADD, json={"content": "there is room"})).status_code == 201
