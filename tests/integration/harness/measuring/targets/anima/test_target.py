"""What the target tells of the memory system beside its answers."""

from collections.abc import AsyncGenerator
from uuid import uuid4

import asyncpg
import pytest

from harness.errors import HarnessError, ProvisioningError
from harness.measuring.operations import Request
from harness.measuring.servers.provisioners.protocol import Server
from harness.measuring.targets.anima.corpora.generated import GeneratedSettings
from harness.measuring.targets.anima.loading import LoadedMemory
from harness.measuring.targets.anima.target import AnimaTarget
from harness.measuring.targets.protocol import TargetContext

MEMORIES = 300


@pytest.fixture
async def loaded_url(server: Server) -> AsyncGenerator[str]:
    """A database with memories, as a run has it."""
    name = f"loaded_{uuid4().hex}"
    url = await server.create_database(name)
    corpus = GeneratedSettings(size=MEMORIES).open().memories(MEMORIES)
    target = AnimaTarget(lambda: [LoadedMemory(memory, "active", 0, 0.0) for memory in corpus])
    await target.prepare(url, target.schema_version("approximate"))
    yield url
    await server.drop_database(name)


def query(text: str, *, similarity_threshold: float = 0.0) -> Request:
    return Request("query", {"query": text, "limit": 20, "similarity_threshold": similarity_threshold})


async def test_the_plans_are_those_of_the_statements_that_it_executed(loaded_url: str) -> None:
    async with AnimaTarget().open(TargetContext("batched", loaded_url)) as target:
        await target.perform(query("oranges from the market"))
        plans = {plan.record.statement: plan.record for plan in await target.plans()}
    assert plans["query.search"].scans == ("memories",)
    assert plans["query.search"].indexes == ()
    assert plans["access.record"].indexes == ("memories_pkey",)
    assert plans["access.record"].access_methods == {"btree"}
    assert not {"begin", "commit"} & plans.keys()


@pytest.mark.parametrize(("variant", "proven"), [("batched", True), ("frontier", True), ("approximate", False)])
async def test_it_says_whether_a_search_was_proven(loaded_url: str, variant: str, proven: bool) -> None:
    await AnimaTarget().migrate(loaded_url, AnimaTarget().schema_version("frontier"))
    async with AnimaTarget().open(TargetContext(variant, loaded_url)) as target:
        for asked in (query("a boat at sea"), query("nothing like it", similarity_threshold=1.0)):
            assert (await target.perform(asked)).proven is proven


async def test_exact_search_recalls_all_and_an_approximate_one_a_share_and_both_leave_no_trace(
    loaded_url: str,
) -> None:
    asked = [query("a boat at sea"), query("the hill")]
    async with AnimaTarget().open(TargetContext("batched", loaded_url)) as target:
        assert await target.recalls([*asked, query("nothing like it", similarity_threshold=1.0)]) == (1.0, 1.0)
    async with AnimaTarget().open(TargetContext("approximate", loaded_url)) as target:
        recalls = await target.recalls(asked)
    assert len(recalls) == len(asked)
    assert all(0 < recall <= 1 for recall in recalls)
    connection = await asyncpg.connect(loaded_url)
    assert await connection.fetchval("SELECT count(*) FROM memory_access_log") == 0
    await connection.close()


async def test_a_database_that_is_lost_while_background_work_is_waited_for_is_told_and_makes_the_run_invalid(
    server: Server, loaded_url: str
) -> None:
    lost = r"cannot be used .*while background work was waited for"
    async with AnimaTarget().open(TargetContext("batched", loaded_url)) as target:
        await target.perform(query("oranges from the market"))
        await server.drop_database(loaded_url.rpartition("/")[2].partition("?")[0])
        with pytest.raises(HarnessError, match=lost) as caught:
            await target.drain()
    assert not isinstance(caught.value, ProvisioningError)
