"""Embeddings fail under the service: who is told what, and that a client's bad text is no other client's failure."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
import pytest

from anima.assembly import open_anima
from anima.embeddings.hashing import hashed_vector
from anima.embeddings.ollama import OllamaEmbeddings
from anima.embeddings.protocol import EmbeddingSettings
from anima.strategy import FRONTIER, NAIVE, Strategy
from tests.service import client_of

ADD, QUERY = "/api/v1/memories/add", "/api/v1/memories/query"


def ollama(request: httpx.Request) -> httpx.Response:
    texts = json.loads(request.content)["input"]
    if any("NaN" in text for text in texts):
        return httpx.Response(500, json={"error": "failed to encode response: json: unsupported value: NaN"})
    if any("busy" in text for text in texts):
        return httpx.Response(429, json={"error": "rate"}, headers={"Retry-After": "20"})
    return httpx.Response(200, json={"embeddings": [hashed_vector(text).tolist() for text in texts]})


@asynccontextmanager
async def client_on(url: str, strategy: Strategy) -> AsyncGenerator[httpx.AsyncClient]:
    provider = OllamaEmbeddings(
        EmbeddingSettings(failures_max=1), transport=httpx.MockTransport(ollama), clock=lambda: 0.0
    )
    async with open_anima(url, strategy, provider) as anima, client_of(anima) as client:
        yield client


@pytest.mark.parametrize("strategy", [FRONTIER, NAIVE], ids=["frontier", "naive"])
async def test_a_bad_text_is_refused_for_its_sender_alone(database_url: str, strategy: Strategy) -> None:
    async with client_on(database_url, strategy) as client:
        for _ in range(3):
            for path, name in ((ADD, "content"), (QUERY, "query")):
                refused = await client.post(path, json={name: "gives NaN"})
                assert (refused.status_code, refused.json()["error"]["code"]) == (422, "EMBEDDING_REFUSED")
                assert "retry-after" not in refused.headers
        assert (await client.post(ADD, json={"content": "another normal memory"})).status_code == 201


async def test_a_client_is_told_to_wait_for_as_long_as_the_provider_asks(database_url: str) -> None:
    async with client_on(database_url, FRONTIER) as client:
        for content in ("busy", "another"):
            busy = await client.post(ADD, json={"content": content})
            assert (busy.status_code, busy.json()["error"]["code"]) == (503, "EMBEDDING_UNAVAILABLE")
            assert busy.headers["retry-after"] == "20"
