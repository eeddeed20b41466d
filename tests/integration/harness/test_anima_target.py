"""What the target tells of the memory system beside its answers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from harness.corpora.generated import GeneratedSettings
from harness.targets.anima import AnimaTarget
from harness.targets.protocol import OpenTarget, Request, TargetContext

MEMORIES = 300
QUERY = Request("query", {"query": "oranges from the market", "limit": 20, "similarity_threshold": 0.0})


@asynccontextmanager
async def opened(database_url: str, variant: str) -> AsyncIterator[OpenTarget]:
    async with AnimaTarget().open(TargetContext(variant, database_url)) as target:
        for memory in GeneratedSettings(size=MEMORIES).open().memories(MEMORIES):
            await target.perform(Request("add", {"content": memory.content}))
        await target.drain()
        yield target


async def test_the_plans_are_those_of_the_statements_that_it_executed(database_url: str) -> None:
    async with opened(database_url, "batched") as target:
        await target.perform(QUERY)
        plans = {plan.statement: plan for plan in await target.plans()}
    assert plans["query.search_once"].scans or plans["query.search_once"].indexes
    assert plans["access.record"].indexes == ("memories_pkey",)
    assert "query.search" not in plans
    assert not {"begin", "commit"} & plans.keys()


async def test_exact_search_recalls_all_and_an_approximate_one_a_share_and_both_leave_no_trace(
    database_url: str,
) -> None:
    asked = [Request("query", QUERY.arguments | {"query": text}) for text in ("a boat at sea", "the hill")]
    nothing = Request("query", QUERY.arguments | {"similarity_threshold": 1.0})
    async with opened(database_url, "batched") as target:
        assert await target.recalls([*asked, nothing]) == (1.0, 1.0)
    async with AnimaTarget().open(TargetContext("approximate", database_url)) as target:
        recalls = await target.recalls(asked)
    assert len(recalls) == len(asked)
    assert all(0 < recall <= 1 for recall in recalls)
    connection = await asyncpg.connect(database_url)
    assert await connection.fetchval("SELECT count(*) FROM memory_access_log") == 0
    await connection.close()
