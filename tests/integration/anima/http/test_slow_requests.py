"""Slow requests are logged with where their time went, and without what they said."""

import asyncio
import json
import logging

import pytest

from anima.embeddings.protocol import Embedded
from anima.http.app import Watchers
from anima.http.timing import SlowRequestLog
from anima.strategy import FRONTIER
from tests.memories import StatedEmbeddings, opened
from tests.service import client_of


async def test_a_slow_request_is_one_line_of_json(
    database_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    embed = StatedEmbeddings.embed

    async def embed_later(self: StatedEmbeddings, text: str) -> Embedded:
        await asyncio.sleep(0.02)
        return await embed(self, text)

    monkeypatch.setattr(StatedEmbeddings, "embed", embed_later)
    watchers = Watchers(requests=[SlowRequestLog(limit_ms=10)])
    async with opened(database_url, FRONTIER) as anima, client_of(anima, watchers) as client:
        with caplog.at_level(logging.WARNING, "anima.http.timing"):
            answer = await client.post("/api/v1/memories/add", json={"content": "a secret"})
    (line,) = (json.loads(record.message) for record in caplog.records)
    assert "secret" not in caplog.text
    assert line["request_id"] == answer.json()["meta"]["requestId"]
    stated = {"event": "slow_request", "method": "POST", "route": "/api/v1/memories/add", "status": 201}
    assert line | stated == line
    assert line["embedding_ms"] >= 19
    assert line["embedding_ms"] + line["pool_ms"] + line["database_ms"] <= line["elapsed_ms"] + 1


async def test_a_quick_request_leaves_no_line(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    watchers = Watchers(requests=[SlowRequestLog(limit_ms=600_000)])
    async with opened(database_url, FRONTIER) as anima, client_of(anima, watchers) as client:
        await client.get("/health")
    assert caplog.records == []
