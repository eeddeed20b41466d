"""What the probe counts is what goes over the wire: the delay proxy sees every answer, and counts the same."""

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import pytest

from anima.assembly import open_anima
from anima.database import Executed
from anima.embeddings.protocol import EmbeddingSettings
from anima.memory import MemorySystem
from anima.model import BootstrapRequest, NewMemory, Query
from anima.strategy import preset
from harness.measuring.servers.network import delay_proxy, with_endpoint
from harness.measuring.statements import count, counting

QUESTION = Query(query="oranges from the market", conversation_id="c", similarity_threshold=0.0)
OPERATIONS: dict[str, Callable[[MemorySystem, int], Awaitable[object]]] = {
    "add": lambda memory, number: memory.add(NewMemory(content=f"Hills, seas and {number**5} boats")),
    "query": lambda memory, _number: memory.query(QUESTION),
    "bootstrap": lambda memory, _number: memory.bootstrap(BootstrapRequest(conversation_id="c")),
}


def observe(executed: Executed) -> None:
    count(executed.name, elapsed_s=executed.elapsed_s, rows=executed.rows, control=executed.control)


@pytest.mark.parametrize("variant", ["naive", "fix2", "batched"])
async def test_the_probe_counts_what_the_wire_carries(database_url: str, variant: str) -> None:
    upstream = urlsplit(database_url)
    assert upstream.hostname is not None
    assert upstream.port is not None
    async with delay_proxy(upstream.hostname, upstream.port, one_way_delay_s=0.0) as proxy:
        url = with_endpoint(database_url, proxy.host, proxy.port)
        async with open_anima(url, preset(variant), EmbeddingSettings(provider="hashing"), observer=observe) as anima:
            for number in range(25):
                await anima.memory.add(NewMemory(content=f"Market day {number}: oranges, and {number**3} other things"))
            for operation, perform in OPERATIONS.items():
                # The first of each prepares its statements, which takes round trips of its own.
                await perform(anima.memory, 1)
                await anima.background.drain()
                before = await proxy.counters()
                with counting() as counted:
                    await perform(anima.memory, 2)
                carried = (await proxy.counters()).round_trips - before.round_trips
                assert counted.round_trips == carried, operation
                assert counted.round_trips >= counted.statements > 0, operation
