"""The answers are those of section 7 of the contract, key by key."""

import re
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx
import pytest

ROW = {
    "id",
    "content",
    "content_hash",
    "tier",
    "tier_last_updated",
    "access_count",
    "last_accessed",
    "accessed_in_conversation_ids",
    "category",
    "tags",
    "source",
    "resonance_phi",
    "is_catalyst",
    "metadata",
    "created_at",
    "updated_at",
}


in_each_strategy = pytest.mark.parametrize("strategy", ["batched", "approximate", "frontier"], indirect=True)


def checked_meta(answer: httpx.Response) -> dict[str, Any]:
    """Its `meta`, without what every answer has."""
    meta: dict[str, Any] = answer.json()["meta"]
    UUID(meta.pop("requestId"))
    assert datetime.fromisoformat(meta.pop("timestamp")).tzinfo
    return meta


async def add(client: httpx.AsyncClient, content: str, **fields: object) -> httpx.Response:
    return await client.post("/api/v1/memories/add", json={"content": content, **fields})


@in_each_strategy
async def test_a_new_memory_is_201_and_its_duplicate_200(client: httpx.AsyncClient) -> None:
    fields = {"category": "test", "tags": ["a", "b"], "source": "s", "isCatalyst": True}
    first = await add(client, "a day at sea", **fields)
    assert first.status_code == 201
    assert list(first.json()) == ["success", "data", "meta"]
    data = first.json()["data"]
    assert set(data) == {"memory", "isDuplicate", "message"}
    assert set(data["memory"]) == ROW
    assert data["isDuplicate"] is False
    assert (
        data["memory"] | {"category": "test", "tags": ["a", "b"], "source": "s", "is_catalyst": True} == data["memory"]
    )
    assert checked_meta(first) == {"embeddingProvider": "stated"}
    second = await add(client, "a day at sea")
    assert (second.status_code, second.json()["data"]["isDuplicate"]) == (200, True)
    assert second.json()["data"]["memory"]["access_count"] == 1
    assert checked_meta(second) == {"embeddingProvider": "cache"}


@in_each_strategy
async def test_a_query_answers_with_rows_time_and_promotions(client: httpx.AsyncClient) -> None:
    await add(client, "a day at sea")
    question = {"query": "a day at sea", "limit": 5, "similarityThreshold": 0.1, "conversationId": "test-1"}
    for _ in range(4):
        assert (await client.post("/api/v1/memories/query", json=question)).status_code == 200
    answer = await client.post("/api/v1/memories/query", json=question)
    data = answer.json()["data"]
    assert (set(data), data["count"], data["query"]) == ({"memories", "count", "query"}, 1, "a day at sea")
    assert set(data["memories"][0]) == ROW | {"similarity", "structural_weight"}
    meta = checked_meta(answer)
    assert meta.pop("queryTime") > 0
    promotion = {"memoryId": data["memories"][0]["id"], "fromTier": "active", "toTier": "thread"}
    assert meta == {"embeddingProvider": "cache", "promotions": [promotion]}
    again = await client.post("/api/v1/memories/query", json=question)
    assert "promotions" not in again.json()["meta"]


@in_each_strategy
async def test_bootstrap_answers_by_tier(client: httpx.AsyncClient) -> None:
    await add(client, "a day at sea")
    parameters = {"conversationId": "test-1", "limit": "10", "includeThread": "false"}
    answer = await client.get("/api/v1/memories/bootstrap", params=parameters)
    data = answer.json()["data"]
    assert set(data["memories"]) == {"active", "thread", "stable"}
    assert set(data["memories"]["active"][0]) == ROW
    assert data["distribution"] == {"active": 1, "thread": 0, "stable": 0, "total": 1}
    assert checked_meta(answer) == {}


async def test_null_means_absent_and_unknown_fields_are_ignored(client: httpx.AsyncClient) -> None:
    answer = await add(client, "a day", category=None, tags=None, isCatalyst=None, is_catalyst=True, colour="red")
    assert answer.status_code == 201
    assert answer.json()["data"]["memory"]["is_catalyst"] is False


async def test_cache_stats_and_metrics_have_the_keys_of_the_guide(client: httpx.AsyncClient) -> None:
    await add(client, "a day")
    await add(client, "a day")
    stats = (await client.get("/api/v1/meta/cache-stats")).json()
    assert set(stats) == {"cache", "recommendation"}
    expected = {"hits": 1, "misses": 1, "hitRate": 0.5, "size": 1, "maxSize": 10_000}
    assert stats["cache"] | expected == stats["cache"]
    metrics = (await client.get("/api/v1/meta/metrics")).json()
    assert metrics["cache"] == {
        "hits": 1,
        "misses": 1,
        "hitRate": "0.500",
        "size": 1,
        "maxSize": 10_000,
        "status": "warming up",
    }
    database = metrics["database"]
    assert set(database) == {"totalConnections", "idleConnections", "waitingConnections", "status"}
    assert (database["totalConnections"], database["status"]) == (1, "healthy")
    assert datetime.fromisoformat(metrics["timestamp"]).tzinfo


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "NOT_FOUND"),
        ("GET", "/api/v1/memories/add", 405, "METHOD_NOT_ALLOWED"),
        ("DELETE", "/health", 405, "METHOD_NOT_ALLOWED"),
    ],
)
async def test_what_http_rules_out_is_told_in_the_same_envelope(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == status
    assert list(answer.json()) == ["success", "error", "meta"]
    assert (answer.json()["success"], answer.json()["error"]["code"]) == (False, code)
    assert checked_meta(answer) == {}
    assert ("allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize(
    "path", ["/health", "/ready", "/nowhere", "/api/v1/memories/bootstrap", "/api/v1/meta/metrics"]
)
async def test_every_answer_says_how_long_it_took(client: httpx.AsyncClient, path: str) -> None:
    assert re.fullmatch(r"\d+ms", (await client.get(path)).headers["x-response-time"])
