import asyncio
import json
import math
import random
import socket
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from pydantic import TypeAdapter, ValidationError
from starlette.types import Message

from harness.measuring.servers.embedding_api import _listening, application, random_vector
from harness.measuring.servers.embedding_server import (
    DIMENSIONS,
    FAULT_KINDS,
    NO_LATENCY,
    EmbeddingFaults,
    FaultKind,
    FixedLatency,
    LatencyModel,
    LogNormalLatency,
    ServerSettings,
)

GUIDE = LogNormalLatency(p50_s=2.8, p95_s=4.5, min_s=2.0, max_s=5.0)


class RecordedSleep:
    """Takes no time; keeps what it was asked to wait."""

    def __init__(self) -> None:
        self.delays_s: list[float] = []

    async def __call__(self, delay_s: float) -> None:
        self.delays_s.append(delay_s)


@asynccontextmanager
async def client(settings: ServerSettings, sleep: RecordedSleep | None = None) -> AsyncIterator[httpx.AsyncClient]:
    app = application(settings, random_vector, sleep=sleep or RecordedSleep())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as opened:
        yield opened


async def asked(http: httpx.AsyncClient, text: str) -> httpx.Response:
    return await http.post("/api/embeddings", json={"model": "nomic-embed-text", "prompt": text})


async def test_one_text_has_one_vector() -> None:
    async with client(ServerSettings()) as http:
        answer = await asked(http, "a")
    assert answer.status_code == 200
    assert answer.json() == {"embedding": random_vector("a")}


async def test_a_batch_has_a_vector_for_each_text_in_order() -> None:
    async with client(ServerSettings()) as http:
        batch = await http.post("/api/embed", json={"model": "m", "input": ["a", "b"]})
        single = await http.post("/api/embed", json={"model": "m", "input": "b"})
    assert batch.json() == {"embeddings": [random_vector("a"), random_vector("b")]}
    assert single.json() == {"embeddings": [random_vector("b")]}


async def test_it_lists_the_model_that_a_client_looks_for() -> None:
    async with client(ServerSettings()) as http:
        answer = await http.get("/api/tags")
    assert answer.json()["models"][0]["name"] == "nomic-embed-text:latest"


async def test_another_path_is_not_found_and_another_method_not_allowed() -> None:
    async with client(ServerSettings()) as http:
        assert (await http.post("/v1/embeddings", json={})).status_code == 404
        assert (await http.get("/api/embeddings")).status_code == 405


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/api/embeddings", "not JSON"),
        ("/api/embeddings", "[]"),
        ("/api/embeddings", '{"prompt": 1}'),
        ("/api/embed", '{"prompt": "a"}'),
        ("/api/embed", '{"input": []}'),
        ("/api/embed", '{"input": ["a", 1]}'),
    ],
)
async def test_a_request_that_cannot_be_followed_is_refused_in_a_sentence(path: str, content: str) -> None:
    async with client(ServerSettings()) as http:
        answer = await http.post(path, content=content)
    assert answer.status_code == 400
    assert "is not a JSON object with" in answer.json()["error"]


def test_the_vector_of_a_text_is_a_direction_of_its_own() -> None:
    one, other = random_vector("a"), random_vector("b")
    assert len(one) == DIMENSIONS
    assert one == random_vector("a")
    assert abs(statistics.correlation(one, other)) < 0.2


async def test_delays_of_different_requests_overlap() -> None:
    everybody_waits = asyncio.Barrier(10)

    async def sleep_until_all_do(_delay_s: float) -> None:
        await everybody_waits.wait()

    app = application(ServerSettings(), random_vector, sleep=sleep_until_all_do)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as http:
        async with asyncio.timeout(30):
            answers = await asyncio.gather(*(asked(http, f"text {number}") for number in range(10)))
    assert {answer.status_code for answer in answers} == {200}


async def delays_s(settings: ServerSettings, *texts: str) -> list[float]:
    sleep = RecordedSleep()
    async with client(settings, sleep) as http:
        for text in texts:
            await asked(http, text)
    return sleep.delays_s


async def test_a_fixed_delay_is_the_same_for_all() -> None:
    assert await delays_s(ServerSettings(latency=FixedLatency(delay_s=0.25)), "a", "b", "a") == [0.25] * 3
    assert await delays_s(ServerSettings(), "a") == [0.0]


async def test_a_delay_depends_on_seed_text_and_repetition_and_not_on_what_else_is_asked() -> None:
    settings = ServerSettings(latency=GUIDE)
    first, second, again = await delays_s(settings, "a", "b", "a")
    assert len({first, second, again}) == 3
    assert await delays_s(settings, "b", "c", "a", "a") == [second, *await delays_s(settings, "c"), first, again]
    assert await delays_s(settings.model_copy(update={"seed": 1}), "a") != [first]


async def test_faults_leave_the_delays_as_they_are() -> None:
    texts = [f"text {number}" for number in range(20)]
    faulty = ServerSettings(latency=GUIDE, faults=EmbeddingFaults(http_500=0.5))
    assert await delays_s(faulty, *texts) == await delays_s(ServerSettings(latency=GUIDE), *texts)


def test_log_normal_delays_have_the_quantiles_that_were_asked_for() -> None:
    model = LogNormalLatency(p50_s=2.0, p95_s=6.0)
    generator = random.Random(1)
    quantiles = statistics.quantiles((model.draw_s(generator) for _ in range(20_000)), n=20)
    assert quantiles[9] == pytest.approx(2.0, rel=0.03)
    assert quantiles[18] == pytest.approx(6.0, rel=0.05)


def test_log_normal_delays_stay_inside_their_limits() -> None:
    generator = random.Random(1)
    draws = [GUIDE.draw_s(generator) for _ in range(2_000)]
    assert min(draws) == 2.0
    assert max(draws) == 5.0


@pytest.mark.parametrize(
    "model",
    [
        {"kind": "log_normal", "p50_s": 2.0, "p95_s": 1.0},
        {"kind": "log_normal", "p50_s": 2.0, "p95_s": 3.0, "min_s": 5.0, "max_s": 4.0},
        {"kind": "log_normal", "p50_s": 0.0, "p95_s": 3.0},
        {"kind": "fixed", "delay_s": -1.0},
        {"kind": "fixed", "delay_s": math.inf},
        {"kind": "normal", "p50_s": 1.0},
    ],
    ids=str,
)
def test_a_latency_model_that_cannot_be_is_refused(model: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter[LatencyModel](LatencyModel).validate_python(model)


async def test_an_injected_server_error_is_one() -> None:
    answer = await _only_answer("http_500")
    assert answer.status_code == 500


async def test_an_injected_wrong_dimension_is_one() -> None:
    assert len((await _only_answer("wrong_dimension")).json()["embedding"]) == DIMENSIONS - 1


async def test_an_injected_nan_is_one() -> None:
    vector = json.loads((await _only_answer("nan")).text)["embedding"]
    assert len(vector) == DIMENSIONS
    assert math.isnan(vector[0])


async def test_an_injected_page_is_html_that_says_it_worked() -> None:
    answer = await _only_answer("html")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")


async def _only_answer(fault: FaultKind) -> httpx.Response:
    async with client(ServerSettings(faults=EmbeddingFaults.model_validate({fault: 1.0}))) as http:
        return await asked(http, "a")


async def test_a_hanging_request_ends_only_when_its_client_goes_away() -> None:
    waits, gone = asyncio.Event(), asyncio.Event()
    messages: list[Message] = [{"type": "http.request", "body": b'{"prompt": "a"}'}]
    sent: list[Message] = []

    async def receive() -> Message:
        if messages:
            return messages.pop()
        waits.set()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    app = application(ServerSettings(faults=EmbeddingFaults(hang=1.0)), random_vector, sleep=RecordedSleep())
    scope = {"type": "http", "method": "POST", "path": "/api/embeddings", "headers": [], "query_string": b""}
    request = asyncio.create_task(app(scope, receive, send))
    await asyncio.wait([request, asyncio.create_task(waits.wait())], return_when=asyncio.FIRST_COMPLETED)
    assert not request.done()
    assert sent == []
    gone.set()
    await request


async def test_faults_come_at_their_rate_and_at_the_same_requests_each_time() -> None:
    settings = ServerSettings(faults=EmbeddingFaults(http_500=0.2, html=0.1))

    async def outcomes() -> list[tuple[int, str]]:
        async with client(settings) as http:
            answers = [await asked(http, f"text {number}") for number in range(300)]
        return [(answer.status_code, answer.headers["content-type"].split(";")[0]) for answer in answers]

    drawn = await outcomes()
    assert 40 <= drawn.count((500, "application/json")) <= 80
    assert 15 <= drawn.count((200, "text/html")) <= 45
    assert await outcomes() == drawn


def test_faults_cannot_add_up_to_more_than_all_requests() -> None:
    with pytest.raises(ValidationError, match=r"add up to 1\.2"):
        EmbeddingFaults(http_500=0.6, hang=0.6)
    everything_fails = EmbeddingFaults.model_validate(dict.fromkeys(FAULT_KINDS, 1 / len(FAULT_KINDS)))
    assert {everything_fails.draw(random.Random(seed)) for seed in range(200)} == set(FAULT_KINDS)


def test_no_latency_is_no_delay() -> None:
    assert NO_LATENCY.draw_s(random.Random(1)) == 0.0


def test_an_answer_is_sent_without_waiting_for_the_client_to_acknowledge_its_head() -> None:
    with _listening(0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
