"""What every target keeps: opened, asked, cancelled, drained, counted and closed with nothing left."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import BaseTestServer, TestServer

from harness.errors import TargetError
from harness.measuring.operations import Request
from harness.measuring.scenario import Scenario
from harness.measuring.scenario_files import parsed
from harness.measuring.server_log import ServerLog
from harness.measuring.servers.provisioners.protocol import Server
from harness.measuring.targets import CLASS, TARGETS, open_target
from harness.measuring.targets.protocol import TargetContext
from harness.testing import operation
from tests.waiting import until

PHASES = [{"requests": 4}]
NUMBER = {"uniform": {"min": 1, "max": 9}}
POOL = web.AppKey("pool", asyncpg.Pool)
ELSEWHERE: Mapping[str, str] = {
    "anima": "tests/integration/harness/measuring/targets/anima",
    "anima-http": "tests/integration/harness/measuring/targets/anima",
    "null": "it has no operation that fails or waits",
    "planted": "the target in front of which it stands",
}
"""Targets whose scenarios need more than a database, and where they are tested."""


SLEEP = "SELECT pg_sleep(60)"
REFUSED = "SELECT 1 / 0"


class Asked:
    """A class that is measured, with few connections; some of its operations are not as they should be."""

    async def open(self, url: str) -> None:
        self.pool = await asyncpg.create_pool(url, min_size=1, max_size=2)

    async def close(self) -> None:
        await self.pool.close()

    @operation(number={"uniform": {"min": 1, "max": 9}})
    async def ask(self, number: int) -> None:
        await self.pool.fetch("SELECT $1::int", number)

    @operation()
    async def wait(self) -> None:
        await self.pool.fetch(SLEEP)

    @operation()
    async def fail(self) -> None:
        await self.pool.fetch(REFUSED)

    @operation()
    async def lie(self) -> None:
        assert await self.pool.fetchval("SELECT 1 WHERE false") == 1, "nothing was found"

    @operation()
    async def swallow(self) -> None:
        with contextlib.suppress(asyncpg.PostgresError):
            await self.pool.fetch(REFUSED)


async def served(request: web.Request) -> web.Response:
    """The same as a service, which says 200 whatever happens but where it breaks off."""
    pool: asyncpg.Pool[asyncpg.Record] = request.app[POOL]
    match request.path:
        case "/ask":
            return web.json_response({"number": await pool.fetchval("SELECT $1::int", int(request.query["number"]))})
        case "/wait":
            await pool.fetch(SLEEP)
        case "/fail":
            await pool.fetch(REFUSED)
        case "/lie":
            return web.json_response({"error": "nothing was found"})
        case _:
            with contextlib.suppress(asyncpg.PostgresError):
                await pool.fetch(REFUSED)
    return web.json_response({"done": True})


SCENARIOS: Mapping[str, dict[str, Any]] = {
    "sql": {
        "name": "asked",
        "target": "sql",
        "phases": PHASES,
        "operations": {
            "ask": {"sql": "SELECT $1::int", "arguments": [NUMBER]},
            "wait": {"sql": SLEEP},
            "fail": {"sql": "SELECT 1 / (length('') * 1)"},
            "lie": {"sql": "SELECT 1 WHERE false", "expect": {"rows": 1}},
        },
    },
    "http": {
        "name": "asked",
        "target": "http",
        "phases": PHASES,
        "operations": {
            "ask": {"path": "/ask", "query": {"number": NUMBER}},
            "wait": {"path": "/wait"},
            "fail": {"path": "/fail"},
            "lie": {"path": "/lie", "expect": {"status": 200, "json": {"done": True}}},
            "swallow": {"path": "/swallow"},
        },
    },
    CLASS: {"name": "asked", "target": f"{__name__}:Asked", "phases": PHASES},
}


def test_every_target_is_held_to_the_contract_or_says_where() -> None:
    assert sorted([*SCENARIOS, *ELSEWHERE]) == sorted(TARGETS)


@pytest.fixture(params=SCENARIOS)
def named(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
async def database(server: Server) -> AsyncGenerator[str]:
    name = f"test_{uuid4().hex}"
    yield await server.create_database(name)
    await server.drop_database(name)


@pytest.fixture
async def service(named: str, database: str) -> AsyncGenerator[BaseTestServer | None]:
    """On the database, for the target that has one."""
    if named != "http":
        yield None
        return
    application = web.Application()
    application.router.add_get("/{path}", served)
    application[POOL] = await asyncpg.create_pool(database, min_size=1, max_size=10)
    async with TestServer(application) as started:
        yield started
    application[POOL].terminate()


@pytest.fixture
def scenario(named: str, service: BaseTestServer | None) -> Scenario:
    stated = SCENARIOS[named]
    return parsed(stated | ({"service": {"url": str(service.make_url("/"))[:-1]}} if service else {}), Path())


@pytest.fixture
async def prepared_url(scenario: Scenario, database: str) -> str:
    target = open_target(scenario)
    await target.prepare(database, target.schema_version(scenario.baseline))
    return database


SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND query LIKE $2"


def name_of(url: str) -> str:
    return url.rsplit("/", 1)[1].partition("?")[0]


async def sessions(server: Server, url: str, like: str = "%") -> int:
    """Of others, in the database of this URL."""
    connection = await asyncpg.connect(server.admin_url)
    try:
        found: int = await connection.fetchval(SESSIONS, name_of(url), like)
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


async def test_after_cancelled_requests_as_many_as_before_are_answered_at_once(
    scenario: Scenario, prepared_url: str, server: Server
) -> None:
    async with open_target(scenario).open(TargetContext("current", prepared_url, users=2)) as target:
        for _ in range(3):
            waiting = asyncio.ensure_future(target.perform(Request("wait", {})))
            await until(lambda: _is_waiting(server, prepared_url))
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        await asyncio.gather(*(target.perform(drawn(scenario)) for _ in range(2)))


async def test_a_slow_request_holds_up_none_of_another_user(
    scenario: Scenario, prepared_url: str, server: Server
) -> None:
    async with open_target(scenario).open(TargetContext("current", prepared_url, users=2)) as target:
        slow = asyncio.ensure_future(target.perform(Request("wait", {})))
        await until(lambda: _is_waiting(server, prepared_url))
        await target.perform(drawn(scenario))
        assert not slow.done()
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow


async def test_what_lies_about_its_success_is_found_by_what_is_expected(scenario: Scenario, prepared_url: str) -> None:
    async with open_target(scenario).open(TargetContext("current", prepared_url)) as target:
        with pytest.raises(TargetError) as failed:
            await target.perform(Request("lie", {}))
        assert failed.value.kind == "wrong answer"
        await target.perform(drawn(scenario))


async def test_what_swallows_its_errors_is_found_by_what_the_server_says(
    scenario: Scenario, prepared_url: str, server: Server, named: str
) -> None:
    if named == "sql":
        pytest.skip("its failures are the server's own words, which nothing can swallow")
    log = ServerLog(server.log_on, name_of(prepared_url))
    async with open_target(scenario).open(TargetContext("current", prepared_url)) as target:
        assert await log.failed() == 0
        await target.perform(Request("swallow", {}))
        await target.perform(drawn(scenario))
    assert (await log.failed(), log.last_failure) == (1, "division by zero")


async def test_it_is_drained_counted_and_closed_with_nothing_left(
    scenario: Scenario, prepared_url: str, server: Server, service: BaseTestServer | None
) -> None:
    before = asyncio.all_tasks()
    kept = await sessions(server, prepared_url) if service else 0
    async with open_target(scenario).open(TargetContext("current", prepared_url, users=2)) as target:
        await target.perform(drawn(scenario))
        await target.drain()
        statistics = await target.statistics()
        assert statistics.since(statistics) == statistics
        assert await sessions(server, prepared_url) > 0
    await until(lambda: _goes_on_with(before))
    await until(lambda: _has(server, prepared_url, kept))


ENDED = """
SELECT count(pg_terminate_backend(pid, 5000)) AS sessions FROM pg_stat_activity
 WHERE datname = $1 AND backend_type = 'client backend'
"""


async def test_after_its_sessions_were_ended_and_opened_again_a_request_is_answered(
    scenario: Scenario, prepared_url: str, server: Server, named: str
) -> None:
    if named == "http":
        pytest.skip("the sessions are the service's")
    async with open_target(scenario).open(TargetContext("current", prepared_url, users=2)) as target:
        await target.perform(drawn(scenario))
        connection = await asyncpg.connect(server.admin_url)
        assert await connection.fetchval(ENDED, name_of(prepared_url)) > 0
        await connection.close()
        await target.reconnect()
        assert await sessions(server, prepared_url) > 0
        await target.perform(drawn(scenario))


async def _is_waiting(server: Server, url: str) -> bool:
    return await sessions(server, url, "%pg_sleep(60)%") > 0


async def _goes_on_with(tasks: set["asyncio.Task[object]"]) -> bool:
    """A service in this process ends what it has begun for a connection a moment after that is closed."""
    return asyncio.all_tasks() == tasks


async def _has(server: Server, url: str, count: int) -> bool:
    return await sessions(server, url) == count


def drawn(scenario: Scenario) -> Request:
    """An `ask`, as the scenario draws it."""
    requests = (each for workload in scenario.workloads() for each in workload.by_phase["mix"])
    return next(request for request in requests if request.operation == "ask")
