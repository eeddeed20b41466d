"""A failover under load: what was acknowledged is there afterwards, and errors end when another server takes writes."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from anima.assembly import Anima, open_anima
from anima.embeddings.protocol import EmbeddingSettings
from anima.errors import DatabaseUnavailable
from anima.migrations import migrate
from anima.model import NewMemory
from anima.strategy import FRONTIER
from harness.measuring.servers.provisioners.embedded import EmbeddedProvisioner
from harness.measuring.servers.provisioners.patroni import PatroniProvisioner
from harness.measuring.servers.provisioners.protocol import Provisioner
from tests.memories import rows, session_on

pytestmark = pytest.mark.slow

ADDS_BETWEEN = 5
CLIENTS = 4


@dataclass
class Load:
    """Clients that add one after the other until told to stop; notes which adds were acknowledged."""

    anima: Anima
    acknowledged: list[str] = field(default_factory=list[str])
    counts: list[int] = field(default_factory=lambda: [0] * CLIENTS)
    failed: int = 0
    stop: bool = False

    async def add(self, client: int) -> None:
        number = 0
        while not self.stop:
            content = f"client {client} wrote {number} {'w' * client}"
            number += 1
            try:
                await self.anima.memory.add(NewMemory(content=content))
            except DatabaseUnavailable:
                self.failed += 1
                await asyncio.sleep(0.01)
            else:
                self.acknowledged.append(content)
                self.counts[client] += 1

    async def goes_on(self) -> None:
        """Until each client has so many more acknowledged."""
        enough = [count + ADDS_BETWEEN for count in self.counts]
        async with asyncio.timeout(60):
            while any(count < wanted for count, wanted in zip(self.counts, enough, strict=True)):  # noqa: ASYNC110 -- a list sets no event
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("provisioner", "settings"),
    [
        (EmbeddedProvisioner(standbys=1), {"fsync": "off", "synchronous_standby_names": "*"}),
        pytest.param(
            PatroniProvisioner(standbys=1),
            {"fsync": "off"},
            marks=[pytest.mark.needs("etcd", "patroni"), pytest.mark.nightly],
        ),
    ],
    ids=["embedded", "patroni"],
)
async def test_no_acknowledged_write_is_lost_by_two_failovers_and_none_fails_but_meanwhile(
    provisioner: Provisioner, settings: Mapping[str, str]
) -> None:
    async with provisioner.start(settings) as server:
        url = await server.create_database("failover")
        await migrate(url)
        async with open_anima(url, FRONTIER, EmbeddingSettings(provider="hashing")) as anima:
            load = Load(anima)
            async with asyncio.TaskGroup() as group:
                for client in range(CLIENTS):
                    group.create_task(load.add(client))
                for _ in range(2):
                    failed = load.failed
                    await load.goes_on()
                    assert load.failed == failed, "until a server is lost, nothing fails"
                    async with server.disrupted("fail_over"):
                        await load.goes_on()
                    assert load.failed > failed
                    failed = load.failed
                    await load.goes_on()
                    assert load.failed == failed, "once the other takes writes, nothing fails"
                load.stop = True
        async with session_on(url) as session:
            kept = {row["content"] for row in await rows(session, "SELECT content FROM memories")}
        assert set(load.acknowledged) <= kept
        await server.drop_database("failover")
