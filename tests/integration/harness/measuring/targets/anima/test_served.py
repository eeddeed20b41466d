"""The HTTP target with a service of its own: `anima serve` as a process, on a database of this test."""

import asyncio

import psutil
import pytest

from harness.errors import HarnessError, ProvisioningError
from harness.measuring.operations import Request
from harness.measuring.targets.anima.served import ServedTarget
from harness.measuring.targets.anima.target import AnimaTarget
from harness.measuring.targets.protocol import TargetContext
from tests.waiting import TIMEOUT_S


@pytest.mark.slow
async def test_a_strategy_is_served_by_a_process_that_ends_with_its_use(database_url: str) -> None:
    target = ServedTarget(AnimaTarget())
    async with target.open(TargetContext("batched", database_url)) as opened:
        before = await opened.statistics()
        added = await opened.perform(Request("add", {"content": "Anna plays tennis.", "is_catalyst": False}))
        asked = Request(
            "query", {"query": "Anna plays tennis.", "similarity_threshold": 0.0, "conversation_id": "test-1"}
        )
        found = await opened.perform(asked)
        loaded = await opened.perform(Request("bootstrap", {"conversation_id": "test-1"}))
        await opened.prime(["Boris sleeps."])
        await opened.drain()
        counted = (await opened.statistics()).since(before)
        served_by = [process.pid for process in psutil.Process().children(recursive=True) if serves(process)]
    assert (added.embedding, found.embedding) == ("hashing", "cache")
    assert (added.results, found.results, loaded.results) == (1, 1, 1)
    assert added.server_s is not None
    assert (counted.cache["hits"], counted.cache["misses"]) == (1, 2)
    assert counted.served == {"add 201": 1, "query 200": 2, "bootstrap 200": 1}
    assert counted.pool["total_connections"] >= 1
    assert len(served_by) == 1
    assert not psutil.pid_exists(served_by[0])


@pytest.mark.slow
async def test_a_service_that_ends_by_itself_ends_what_uses_it_with_its_last_words(database_url: str) -> None:
    async def use() -> None:
        async with asyncio.timeout(TIMEOUT_S), ServedTarget(AnimaTarget()).open(TargetContext("batched", database_url)):
            (service,) = [process for process in psutil.Process().children(recursive=True) if serves(process)]
            service.kill()
            await asyncio.Event().wait()

    with pytest.raises(HarnessError, match=r"ended by itself \(signal SIGKILL\)\. It said:\n(.|\n)*is kept") as error:
        await use()
    assert not isinstance(error.value, ProvisioningError)


async def test_a_service_that_cannot_start_shows_its_last_lines(database_url: str) -> None:
    missing = database_url.rpartition("/")[0] + "/no_such_database"
    with pytest.raises(ProvisioningError, match=r"ended before it was ready\. It said:\n(.|\n)*no_such_database"):
        async with ServedTarget(AnimaTarget()).open(TargetContext("batched", missing)):
            pass


def serves(process: psutil.Process) -> bool:
    return "serve" in process.cmdline()
