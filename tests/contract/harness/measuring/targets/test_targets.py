"""What every target keeps: opened, asked, cancelled, drained, counted and closed with nothing left."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from harness.errors import TargetError
from harness.measuring.operations import Request
from harness.measuring.scenario import Scenario
from harness.measuring.scenario_files import parsed
from harness.measuring.servers.provisioners.protocol import Server
from harness.measuring.targets import CLASS, TARGETS, open_target
from harness.measuring.targets.protocol import TargetContext
from harness.testing import operation
from tests.waiting import until

PHASES = [{"requests": 4}]
ELSEWHERE: Mapping[str, str] = {
    "anima": "tests/integration/harness/measuring/targets/anima",
    "anima-http": "tests/integration/harness/measuring/targets/anima",
    "http": "its own tests, with a service",
    "null": "it has no operation that fails or waits",
    "planted": "the target in front of which it stands",
}
"""Targets whose scenarios need more than a database, and where they are tested."""


class Asked:
    """A class that is measured, with one connection."""

    async def open(self, url: str) -> None:
        self.pool = await asyncpg.create_pool(url, min_size=1, max_size=2)

    async def close(self) -> None:
        await self.pool.close()

    @operation(number={"uniform": {"min": 1, "max": 9}})
    async def ask(self, number: int) -> None:
        await self.pool.fetch("SELECT $1::int", number)

    @operation()
    async def wait(self) -> None:
        await self.pool.fetch("SELECT pg_sleep(60)")

    @operation()
    async def fail(self) -> None:
        await self.pool.fetch("SELECT 1 / 0")


SCENARIOS: Mapping[str, dict[str, Any]] = {
    "sql": {
        "name": "asked",
        "target": "sql",
        "phases": PHASES,
        "operations": {
            "ask": {"sql": "SELECT $1::int", "arguments": [{"uniform": {"min": 1, "max": 9}}]},
            "wait": {"sql": "SELECT pg_sleep(60)"},
            "fail": {"sql": "SELECT 1 / (length('') * 1)"},
        },
    },
    CLASS: {"name": "asked", "target": f"{__name__}:Asked", "phases": PHASES},
}


def test_every_target_is_held_to_the_contract_or_says_where() -> None:
    assert sorted([*SCENARIOS, *ELSEWHERE]) == sorted(TARGETS)


@pytest.fixture(params=SCENARIOS)
def scenario(request: pytest.FixtureRequest) -> Scenario:
    return parsed(SCENARIOS[request.param], Path())


@pytest.fixture
async def prepared_url(server: Server, scenario: Scenario) -> AsyncGenerator[str]:
    name = f"test_{uuid4().hex}"
    url = await server.create_database(name)
    target = open_target(scenario)
    await target.prepare(url, target.schema_version(scenario.baseline))
    yield url
    await server.drop_database(name)


async def sessions(server: Server, url: str, like: str = "%") -> int:
    """Of others, in the database of this URL."""
    connection = await asyncpg.connect(server.admin_url)
    try:
        found: int = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND query LIKE $2",
            url.rsplit("/", 1)[1].partition("?")[0],
            like,
        )
    finally:
        await connection.close()
    return found


async def test_a_request_is_answered_and_what_it_costs_is_told_or_unknown(
    scenario: Scenario, prepared_url: str
) -> None:
    async with open_target(scenario).open(TargetContext("current", prepared_url)) as target:
        response = await target.perform(drawn(scenario))
    assert response.statements in (1, None)
    assert response.rows in (1, None)


async def test_failures_have_a_class_and_the_next_request_is_answered(scenario: Scenario, prepared_url: str) -> None:
    async with open_target(scenario).open(TargetContext("current", prepared_url)) as target:
        for operation_name in ("fail", "no_such_operation"):
            with pytest.raises(TargetError) as failed:
                await target.perform(Request(operation_name, {}))
            assert failed.value.kind
        await target.perform(drawn(scenario))


async def test_after_a_cancelled_request_the_next_one_is_answered(
    scenario: Scenario, prepared_url: str, server: Server
) -> None:
    async with open_target(scenario).open(TargetContext("current", prepared_url)) as target:
        waiting = asyncio.ensure_future(target.perform(Request("wait", {})))
        await until(lambda: _is_waiting(server, prepared_url))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await target.perform(drawn(scenario))


async def test_it_is_drained_counted_and_closed_with_nothing_left(
    scenario: Scenario, prepared_url: str, server: Server
) -> None:
    before = asyncio.all_tasks()
    async with open_target(scenario).open(TargetContext("current", prepared_url, users=2)) as target:
        await target.perform(drawn(scenario))
        await target.drain()
        statistics = await target.statistics()
        assert statistics.since(statistics) == statistics
        assert await sessions(server, prepared_url) > 0
    assert asyncio.all_tasks() == before
    await until(lambda: _has_none(server, prepared_url))


async def _is_waiting(server: Server, url: str) -> bool:
    return await sessions(server, url, "%pg_sleep(60)%") > 0


async def _has_none(server: Server, url: str) -> bool:
    return await sessions(server, url) == 0


def drawn(scenario: Scenario) -> Request:
    """An `ask`, as the scenario draws it."""
    requests = (each for workload in scenario.workloads() for each in workload.by_phase["mix"])
    return next(request for request in requests if request.operation == "ask")
