"""The guards on a real socket and with a real Redis; and what the logs of a whole service hold."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from anima.embeddings.protocol import EmbeddingSettings, SharedCacheSettings
from anima.http.api_keys import new_key, read_keys
from anima.http.guards import GuardSettings
from anima.http.rate_limit import limiting
from harness.measuring.servers.provisioners._shared.databases import free_port
from tests.redis_server import RedisServer, redis_server
from tests.service import options_for, served


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    with redis_server(tmp_path) as server:
        await server.until_ready()
        yield server


@pytest.mark.needs("redis-server")
async def test_instances_count_a_client_together(redis: RedisServer) -> None:
    url = SecretStr(redis.url)
    async with limiting("2/hour", url) as first, limiting("2/hour", url) as second:
        assert await first.wait_s("a") is None
        assert await second.wait_s("a") is None
        assert (await first.wait_s("a") or 0) > 0
        assert await second.wait_s("b") is None


@pytest.mark.needs("redis-server")
async def test_a_redis_that_hangs_or_is_gone_lets_clients_pass(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anima.http.rate_limit.STORAGE_TIMEOUT_S", 0.1)
    redis.pause()
    for url in (redis.url, f"redis://127.0.0.1:{free_port('127.0.0.1')}/0"):
        async with limiting("1/hour", SecretStr(url)) as limiter:
            assert [await limiter.wait_s("a") for _ in range(3)] == [None] * 3
            assert limiter.circuit.state == "open"
    redis.resume()


async def test_a_body_without_end_is_cut_off(database_url: str) -> None:
    with served(options_for(database_url)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /api/v1/memories/add HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
        for _ in range(17):
            writer.write(chunk)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 413 ")
        assert b"connection: close" in head.lower()
        await reader.read()
        writer.close()


async def test_no_secret_is_in_any_log_line(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """All that any library says at any level, of requests that succeed and that fail everywhere they can."""
    caplog.set_level(logging.DEBUG)
    made = new_key("tests")
    options = replace(
        options_for(database_url),
        embeddings=EmbeddingSettings(
            provider="ollama",
            ollama_url=f"http://user:pass-word-1@127.0.0.1:{free_port('127.0.0.1')}",
            openai_url=f"http://127.0.0.1:{free_port('127.0.0.1')}",
            openai_key=SecretStr("sk-secret-2"),
            attempts=2,
        ),
        shared_cache=SharedCacheSettings(url=SecretStr(f"redis://:pass-word-3@127.0.0.1:{free_port('127.0.0.1')}/0")),
        guards=GuardSettings(
            read_keys(SecretStr(made.entry)),
            "3/hour",
            SecretStr(f"redis://:pass-word-4@127.0.0.1:{free_port('127.0.0.1')}/0"),
        ),
    )
    with served(options) as port:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            headers = {"Authorization": f"Bearer {made.key}"}
            added = await client.post("/api/v1/memories/add", json={"content": "a secret memory"}, headers=headers)
            asked = await client.post("/api/v1/memories/query", json={"query": "a secret wish"})
            loaded = await client.get("/api/v1/memories/bootstrap?conversationId=c", headers=headers)
    assert (added.status_code, asked.status_code, loaded.status_code) == (503, 401, 200)
    assert "Retry-After" in added.headers
    logged = "".join(repr(vars(record)) for record in caplog.records)
    secrets = ["pass-word", "sk-secret-2", made.key, "secret memory", "secret wish"]
    told = f"{logged}{added.text}{asked.text}{loaded.text}"
    assert [secret for secret in secrets if secret in told] == []
