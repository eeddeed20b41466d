"""What the service measures: complete, of few series, true to what was done, and what the dashboard asks for."""

import json
import re
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from anima.assembly import Anima
from anima.http.app import Watchers
from anima.strategy import FRONTIER
from tests.memories import opened
from tests.service import client_of

DASHBOARD = Path(__file__).parents[4] / "docs" / "grafana" / "anima.json"

Series = dict[tuple[str, ...], float]


async def series_of(client: httpx.AsyncClient) -> Series:
    """Values by name and labels."""
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    return {
        (sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def use(client: httpx.AsyncClient) -> None:
    for _ in range(2):
        await client.post("/api/v1/memories/add", json={"content": "a day at sea"})
    await client.post("/api/v1/memories/query", json={"query": "a day at sea", "conversationId": "c"})
    await client.get("/api/v1/memories/bootstrap", params={"conversationId": "c"})


@pytest.fixture
def watchers() -> Watchers:
    return Watchers()


async def test_requests_statements_pool_cache_and_queue_are_counted(database_url: str, watchers: Watchers) -> None:
    async with (
        opened(database_url, FRONTIER, observer=watchers.metrics.observe_statement) as anima,
        client_of(anima, watchers) as client,
    ):
        await use(client)
        before = await series_of(client)
        await anima.background.drain()
        after = await series_of(client)
    requests = "anima_http_request_duration_seconds_count"
    assert before[requests, "method=POST", "route=/api/v1/memories/add", "status=201"] == 1
    assert before[requests, "method=POST", "route=/api/v1/memories/add", "status=200"] == 1
    statements = "anima_statement_duration_seconds_count"
    assert before[statements, "statement=add", "work=request"] == 2
    assert before["anima_http_request_part_seconds_total", "part=database", "route=/api/v1/memories/query"] > 0
    assert before["anima_cache_lookups_total", "outcome=hit"] == 2
    assert before["anima_cache_lookups_total", "outcome=miss"] == 1
    assert before["anima_pool_connections", "state=idle"] == 1
    assert before["anima_background_queued", "kind=consolidation"] == 1
    assert before["anima_background_oldest_age_seconds", "kind=consolidation"] > 0
    assert after["anima_background_queued", "kind=consolidation"] == 0
    assert after["anima_background_done_total", "kind=consolidation"] == 1
    assert after[statements, "statement=consolidation.match_written", "work=consolidation"] == 1
    assert after["anima_database_up",] == 1


async def test_a_client_cannot_add_series(client: httpx.AsyncClient) -> None:
    await series_of(client)
    before = None
    for number in range(20):
        await client.get(f"/nowhere/{number}")
        await client.request(f"METHOD{number}", "/health")
        await client.get("/health", params={"n": str(number)})
        before = before or len(await series_of(client))
    assert len(await series_of(client)) == before


async def test_the_dashboard_asks_for_nothing_that_is_not_there(database_url: str, watchers: Watchers) -> None:
    async with (
        opened(database_url, FRONTIER, observer=watchers.metrics.observe_statement) as anima,
        client_of(anima, watchers) as client,
    ):
        await use(client)
        # Once more, since a request is counted when it is answered.
        text = [(await client.get("/metrics")).text for _ in range(2)][-1]
    families = {f"anima_{name}" for name in re.findall(r"^# TYPE anima_(\w+)", text, re.MULTILINE)}
    present = families | {f"{family}_bucket" for family in families} | {f"{family}_count" for family in families}
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    asked = {name for expression in expressions for name in re.findall(r"\banima_\w+", expression)}
    assert len(asked) > 10
    assert asked - present == set()


async def test_measurements_are_answered_while_the_database_is_away(anima: Anima, client: httpx.AsyncClient) -> None:
    await anima.memory.database.pool.close()
    assert (await series_of(client))["anima_database_up",] == 0
    assert (await client.get("/ready")).status_code == 503
    assert (await client.get("/health")).status_code == 200
