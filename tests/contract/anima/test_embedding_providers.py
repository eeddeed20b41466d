"""What every provider of the registry promises. A new one is tested without an edit here.

Providers that ask a server are given one whose answers hold a vector wherever a known interface has it; one that
needs no server never notices.
"""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import stamina
from pydantic import SecretStr

from anima.embeddings import PROVIDERS
from anima.embeddings.protocol import DIMENSIONS, EmbeddingProvider, EmbeddingSettings
from anima.errors import EmbeddingUnavailable, InvalidEmbedding, InvalidInput

ATTEMPTS = 3


class StubServer(ThreadingHTTPServer):
    """Answers every request with `status`, and with a vector for each of its texts or `page`; counts the requests."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests = 0
        self.status = 200
        self.page: bytes | None = None
        self.vector: object = [1.0, -2.0] * (DIMENSIONS // 2)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def body_for(self, request: bytes) -> bytes:
        if self.page is not None:
            return self.page
        vectors = [self.vector for _ in json.loads(request)["input"]]
        return json.dumps({"embeddings": vectors, "data": [{"embedding": vector} for vector in vectors]}).encode()


class _Handler(BaseHTTPRequestHandler):
    server: StubServer

    def do_POST(self) -> None:
        self.server.requests += 1
        body = self.server.body_for(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(self.server.status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the name that the base class gives it
        pass


@pytest.fixture
def server() -> Iterator[StubServer]:
    with StubServer() as stub:
        thread = threading.Thread(target=stub.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield stub
        stub.shutdown()
        thread.join()


@pytest.fixture(params=PROVIDERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def made(name: str, settings: EmbeddingSettings) -> EmbeddingProvider:
    try:
        return PROVIDERS[name](settings)
    except InvalidInput as error:
        if "Install the extra" in str(error):
            pytest.skip(str(error))
        raise


@pytest.fixture
async def provider(name: str, server: StubServer) -> AsyncIterator[EmbeddingProvider]:
    settings = EmbeddingSettings(
        provider=name,
        ollama_url=server.url,
        openai_url=server.url,
        openai_key=SecretStr("key"),
        attempts=ATTEMPTS,
    )
    provider = made(name, settings)
    with stamina.set_testing(True, attempts=ATTEMPTS):
        yield provider
    await provider.aclose()


async def test_its_vectors_are_usable_and_read_only(provider: EmbeddingProvider) -> None:
    vector = (await provider.embed("Anna plays tennis.")).vector
    assert vector.shape == (DIMENSIONS,)
    assert vector.dtype == np.float32
    assert np.isfinite(vector).all()
    assert float(np.linalg.norm(vector)) > 0.0
    assert not vector.flags.writeable


async def test_it_says_who_answered_by_the_name_it_is_registered_under(provider: EmbeddingProvider, name: str) -> None:
    assert provider.name == name
    assert (await provider.embed("Anna plays tennis.")).provider == name


async def test_it_names_its_model(provider: EmbeddingProvider) -> None:
    assert provider.model


async def test_the_same_text_has_the_same_vector(provider: EmbeddingProvider) -> None:
    one, other = [await provider.embed("Anna plays tennis.") for _ in range(2)]
    assert one.vector.tolist() == other.vector.tolist()


@pytest.mark.parametrize("text", ["a", "!?", "naïve 猫 🎾", "x" * 50_000, "word " * 10_000])
async def test_any_valid_text_has_a_vector(provider: EmbeddingProvider, text: str) -> None:
    assert (await provider.embed(text)).vector.shape == (DIMENSIONS,)


async def test_many_may_ask_at_once(provider: EmbeddingProvider) -> None:
    answers = await asyncio.gather(*(provider.embed(f"text {number}") for number in range(50)))
    assert {answer.provider for answer in answers} == {provider.name}


@pytest.mark.parametrize("count", [0, 1, 40])
async def test_many_texts_at_once_have_the_vectors_that_each_has_alone(
    provider: EmbeddingProvider, server: StubServer, count: int
) -> None:
    texts = [f"text {number}" for number in range(count)]
    together = await provider.embed_many(texts)
    assert server.requests <= (count + 15) // 16
    alone = [await provider.embed(text) for text in texts]
    assert [answer.vector.tolist() for answer in together] == [answer.vector.tolist() for answer in alone]


async def test_it_counts_what_it_asked_of_a_server(provider: EmbeddingProvider, server: StubServer) -> None:
    await provider.embed("Anna plays tennis.")
    assert [calls.answered for calls in provider.server_calls()] == [1] * server.requests


@pytest.mark.parametrize(
    "vector",
    [[0.5] * 384, [float("nan")] * DIMENSIONS, [0.0] * DIMENSIONS, ["0.5"] * DIMENSIONS, None],
    ids=["dimension", "NaN", "zero", "strings", "null"],
)
async def test_a_servers_unusable_vector_is_never_passed_on(
    provider: EmbeddingProvider, server: StubServer, vector: object
) -> None:
    server.vector = vector
    await _assert_fails_if_it_asks(provider, server, InvalidEmbedding, requests=1)


async def test_a_servers_page_is_never_taken_for_a_vector(provider: EmbeddingProvider, server: StubServer) -> None:
    server.page = b"<!DOCTYPE html><title>Sign in</title>"
    await _assert_fails_if_it_asks(provider, server, InvalidEmbedding, requests=1)


@pytest.mark.parametrize("status", [429, 502, 503])
async def test_a_server_that_cannot_answer_now_is_asked_again(
    provider: EmbeddingProvider, server: StubServer, status: int
) -> None:
    server.status = status
    await _assert_fails_if_it_asks(provider, server, EmbeddingUnavailable, requests=ATTEMPTS)


async def test_a_server_on_this_machine_is_asked_directly_whatever_the_environment_names(
    name: str, server: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "[::1]")
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent")
    settings = EmbeddingSettings(
        provider=name, ollama_url=server.url, openai_url=server.url, openai_key=SecretStr("key"), attempts=1
    )
    async with aclosing(made(name, settings)) as provider:
        assert (await provider.embed("Anna plays tennis.")).provider == name


async def _assert_fails_if_it_asks(
    provider: EmbeddingProvider, server: StubServer, error: type[Exception], *, requests: int
) -> None:
    """A provider that asks fails with `error` after so many requests; one that does not ask just answers."""
    try:
        await provider.embed("Anna plays tennis.")
    except error:
        assert server.requests == requests
    else:
        assert server.requests == 0
