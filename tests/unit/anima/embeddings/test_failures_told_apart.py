"""Whose failure an answer is: the server's, the text's, or that of how the service is set up; and how long it waits."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest
import stamina
from pydantic import SecretStr

from anima.embeddings.http_call import COLD_AFTER_S, CONTROL_TEXT
from anima.embeddings.http_meaning import RETRY_AFTER_S_MAX, Meaning, meaning_of, retry_after_s
from anima.embeddings.ollama import OllamaEmbeddings
from anima.embeddings.openai import OpenAIEmbeddings
from anima.embeddings.protocol import DIMENSIONS, EmbeddingSettings
from anima.errors import EmbeddingMisconfigured, EmbeddingRefused, EmbeddingUnavailable

SETTINGS = EmbeddingSettings(
    ollama_url="http://ollama.test:11434", openai_url="https://openai.test/v1", openai_key=SecretStr("key")
)
Answer = Callable[[], httpx.Response]
Provider = OllamaEmbeddings | OpenAIEmbeddings


class Server:
    """Answers each text as the test says, others with a vector; its clock moves when the test moves it."""

    def __init__(self, answers: dict[str, Answer] | None = None, *, others: Answer | None = None) -> None:
        self.answers = answers or {}
        self.others = others
        self.texts: list[str] = []
        self.now_s = 1000.0

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        texts = json.loads(request.content)["input"]
        self.texts += texts
        for text in texts:
            answer = self.answers.get(text, self.others)
            if answer is not None:
                return answer()
        vectors = [[0.5] * DIMENSIONS for _ in texts]
        return httpx.Response(200, json={"embeddings": vectors, "data": [{"embedding": each} for each in vectors]})

    def ollama(self, **settings: float) -> OllamaEmbeddings:
        chosen = SETTINGS.model_copy(update=settings)
        return OllamaEmbeddings(chosen, transport=httpx.MockTransport(self), clock=lambda: self.now_s)

    def openai(self, **settings: float) -> OpenAIEmbeddings:
        chosen = SETTINGS.model_copy(update=settings)
        return OpenAIEmbeddings(chosen, transport=httpx.MockTransport(self), clock=lambda: self.now_s)


@dataclass(frozen=True)
class Answering:
    """An error as a server words it: in JSON's `error`, or as a page of another kind."""

    status: int
    error: object = ""
    page: str | None = None
    headers: tuple[tuple[str, str], ...] = ()

    def __call__(self) -> httpx.Response:
        if self.page is not None:
            return httpx.Response(self.status, text=self.page)
        return httpx.Response(self.status, json={"error": self.error}, headers=dict(self.headers))


def answering(status: int, error: object = "", **headers: str) -> Answering:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Answering(status, error, headers=named)


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=100, cap=True):
        yield


async def fails(embeddings: Provider, text: str) -> Exception:
    with pytest.raises((EmbeddingRefused, EmbeddingUnavailable)) as raised:
        await embeddings.embed(text)
    return raised.value


@pytest.mark.parametrize("provider", [Server.ollama, Server.openai], ids=["ollama", "openai"])
@pytest.mark.parametrize(
    ("answer", "asked"),
    [
        (answering(400, "the input length exceeds the context length"), ["bad"]),
        (answering(400, {"message": "This model's maximum context length is 8192 tokens, however you …"}), ["bad"]),
        (answering(413, "Input validation error: `inputs` must have less than 512 tokens. Given: 600"), ["bad"]),
        (answering(422, "no reason that is known"), ["bad", CONTROL_TEXT]),
        (answering(500, "failed to encode response: json: unsupported value: NaN"), ["bad", CONTROL_TEXT]),
        (answering(500, "the input length exceeds the context length"), ["bad", CONTROL_TEXT]),
        (answering(500, {"message": "input is too large to process. increase the batch size"}), ["bad", CONTROL_TEXT]),
        (answering(500, "no reason that is known"), ["bad"] * 3 + [CONTROL_TEXT]),
        (Answering(500, page="Internal Server Error"), ["bad"] * 3 + [CONTROL_TEXT]),
    ],
)
async def test_a_text_that_is_refused_is_no_reason_to_leave_the_server_alone(
    provider: Callable[..., Provider], answer: Answer, asked: list[str]
) -> None:
    server = Server({"bad": answer})
    embeddings = provider(server, failures_max=1)
    for _ in range(10):
        assert isinstance(await fails(embeddings, "bad"), EmbeddingRefused)
        if server.texts[0] == "bad":
            assert server.texts == asked
            server.texts = ["seen"]
    await embeddings.embed("good")
    assert embeddings.server_calls()[0].circuit == "closed"


async def test_a_server_that_embeds_others_meanwhile_is_not_asked_for_a_control_text() -> None:
    server = Server()
    embeddings = server.ollama()

    def fail() -> httpx.Response:
        server.now_s += 1
        return httpx.Response(500)

    server.answers["bad"] = fail
    await embeddings.embed("good")
    server.answers["refused"] = answering(400)
    assert isinstance(await fails(embeddings, "refused"), EmbeddingRefused)
    assert CONTROL_TEXT not in server.texts
    assert isinstance(await fails(embeddings, "bad"), EmbeddingRefused)
    assert server.texts.count(CONTROL_TEXT) == 1


async def test_one_refused_text_of_several_is_told_as_such() -> None:
    server = Server({"bad": answering(400, "input is too long")})
    with pytest.raises(EmbeddingRefused):
        await server.ollama().embed_many(["good", "bad"])


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429, 408, 529])
async def test_a_server_that_fails_for_every_text_is_left_alone(status: int) -> None:
    server = Server(others=answering(status))
    embeddings = server.ollama(failures_max=2, open_s=10.0)
    for number in range(2):
        failure = await fails(embeddings, f"text {number}")
        assert type(failure) is EmbeddingUnavailable
    assert embeddings.server_calls()[0].circuit == "open"
    asked = len(server.texts)
    failure = await fails(embeddings, "another")
    assert isinstance(failure, EmbeddingUnavailable)
    assert failure.retry_after_s == 10.0
    assert len(server.texts) == asked
    server.now_s += 10.0
    server.others = None
    await embeddings.embed("another")


@pytest.mark.parametrize(
    ("provider", "answer", "advice"),
    [
        (
            Server.ollama,
            answering(404, 'model "nomic-embed-text" not found, try pulling it first'),
            "`ollama pull nomic",
        ),
        (Server.ollama, Answering(404, page="404 page not found"), "Check ANIMA_OLLAMA_URL"),
        (Server.ollama, answering(401, "unauthorized"), "the password that it asks for into ANIMA_OLLAMA_URL"),
        (Server.ollama, answering(302, location="https://elsewhere.test"), "Check ANIMA_OLLAMA_URL"),
        (Server.ollama, answering(400, '"llama3" does not support embeddings'), "`ollama pull nomic"),
        (Server.openai, answering(401, {"code": "invalid_api_key", "message": "Incorrect"}), "Check ANIMA_OPENAI_KEY"),
        (Server.openai, answering(403, {"message": "Country not supported"}), "Check ANIMA_OPENAI_KEY"),
        (Server.openai, answering(404, {"code": "model_not_found", "message": "…"}), "serves text-embedding-3-small"),
        (Server.openai, answering(400, {"message": "dimensions is not supported"}), "with 768 dimensions"),
        (Server.openai, answering(429, {"code": "insufficient_quota", "message": "…"}), "no quota left"),
        (Server.openai, answering(405), "Check ANIMA_OPENAI_URL"),
    ],
)
async def test_a_server_that_turns_every_text_away_is_told_with_the_setting_to_change(
    provider: Callable[..., Provider], answer: Answer, advice: str
) -> None:
    server = Server(others=answer)
    embeddings = provider(server, failures_max=1)
    for _ in range(3):
        failure = await fails(embeddings, "text")
        assert isinstance(failure, EmbeddingMisconfigured)
        assert advice in str(failure)
        assert "ollama serve" not in str(failure)
        assert failure.retry_after_s is None
    assert server.texts.count("text") == 3
    assert embeddings.server_calls()[0].circuit == "closed"
    server.others = None
    await embeddings.embed("text")


@pytest.mark.parametrize("status", [429, 503])
async def test_no_call_is_made_before_the_time_that_the_server_asks_for_is_over(status: int) -> None:
    server = Server(others=answering(status, retry_after="20"))
    embeddings = server.ollama()
    failure = await fails(embeddings, "a")
    assert isinstance(failure, EmbeddingUnavailable)
    assert failure.retry_after_s == 20.0
    server.now_s += 19.5
    failure = await fails(embeddings, "b")
    assert isinstance(failure, EmbeddingUnavailable)
    assert failure.retry_after_s == 0.5
    assert server.texts == ["a"]
    server.now_s += 0.5
    server.others = None
    await asyncio.gather(*[embeddings.embed(text) for text in "cde"])
    assert embeddings.server_calls()[0].circuit == "closed"


async def test_a_short_pause_that_the_server_asks_for_is_made_within_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(others=answering(429, retry_after="1"))
    waits_s: list[float] = []

    async def sleep(delay_s: float) -> None:
        waits_s.append(delay_s)
        server.now_s += delay_s
        server.others = None

    monkeypatch.setattr(asyncio, "sleep", sleep)
    with stamina.set_testing(False):
        await server.ollama().embed("a")
    assert waits_s == [1.0]
    assert server.texts == ["a", "a"]


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 2.5 "}, 2.5),
        ({"retry-after": "0"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "299"}, 299.0),
        ({"retry-after": "3600"}, RETRY_AFTER_S_MAX),
        ({"retry-after": "1" + "0" * 20}, RETRY_AFTER_S_MAX),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT", "date": "Fri, 31 Dec 1999 23:59:29 GMT"}, 30.0),
        ({"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"}, None),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, RETRY_AFTER_S_MAX),
    ],
    ids=str,
)
def test_how_long_a_server_asks_to_be_left_alone(headers: dict[str, str], wait_s: float | None) -> None:
    assert retry_after_s(httpx.Response(503, headers=headers)) == wait_s


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        (answering(500, "context deadline exceeded"), "perhaps_text"),
        (answering(500, "llama runner process has terminated: exit status 2"), "perhaps_text"),
        (answering(422, {"message": "odd", "input": "a text about the context length"}), "perhaps_text"),
        (answering(424, "inference failed"), "perhaps_text"),
        (answering(429, "Rate limit reached; maximum tokens per minute exceeded"), "server"),
        (answering(402, "payment required"), "quota"),
        (Answering(400, page="<html>"), "perhaps_text"),
        (Answering(404, page='["model"]'), "address"),
        (Answering(404, page="[" * 100_000), "address"),
        (Answering(204), "answer"),
    ],
)
def test_bodies_are_read_with_care(answer: Answer, meaning: Meaning) -> None:
    assert meaning_of(answer()) == meaning


class SlowServer(Server):
    """Answers when the test lets it, and knows who has left before."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.loaded = asyncio.Event()
        self.left = asyncio.Event()
        self.aborted = 0

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.set()
        try:
            await self.loaded.wait()
        except asyncio.CancelledError:
            self.aborted += 1
            self.left.set()
            raise
        return await super().__call__(request)


async def test_the_first_call_has_the_time_that_a_model_takes_to_load() -> None:
    server = SlowServer()
    embeddings = server.ollama(timeout_s=0.01)
    assert embeddings._endpoint._limit_s() == 60.0
    asking = asyncio.create_task(embeddings.embed("a"))
    await server.asked.wait()
    server.loaded.set()
    await asking
    assert server.aborted == 0
    assert embeddings._endpoint._limit_s() == 0.01
    server.now_s += COLD_AFTER_S + 1
    assert embeddings._endpoint._limit_s() == 60.0


async def test_a_call_that_takes_too_long_is_followed_by_one_with_the_time_to_load() -> None:
    server = SlowServer()
    server.loaded.set()
    embeddings = server.ollama(timeout_s=0.02, load_timeout_s=60.0)
    await embeddings.embed("a")
    server.loaded.clear()

    async def load() -> None:
        await server.left.wait()
        server.loaded.set()

    await asyncio.gather(embeddings.embed("b"), load())
    assert server.aborted == 1
    assert server.texts == ["a", "b"]


async def test_a_load_that_takes_longer_than_its_limit_is_one_failure_and_says_which_setting() -> None:
    server = SlowServer()
    failure = await fails(server.ollama(timeout_s=0.001, load_timeout_s=0.01), "a")
    assert "did not answer within 0.01 s. If it has to load its model for longer, set ANIMA_EMBEDDING_LOAD" in str(
        failure
    )
    assert server.aborted == 1


async def test_who_leaves_while_the_model_is_loaded_does_not_end_the_load() -> None:
    server = SlowServer()
    embeddings = server.ollama()
    asking = asyncio.create_task(embeddings.embed("a"))
    await server.asked.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    server.loaded.set()
    (load,) = embeddings._endpoint._loads
    await load
    assert (server.aborted, server.texts) == (0, ["a"])
    assert embeddings._endpoint._limit_s() == 5.0


async def test_closing_ends_a_load_that_is_under_way() -> None:
    server = SlowServer()
    embeddings = server.ollama()
    asking = asyncio.create_task(embeddings.embed("a"))
    await server.asked.wait()
    await embeddings.aclose()
    assert server.aborted == 1
    with pytest.raises(asyncio.CancelledError):
        await asking


@pytest.mark.parametrize(
    ("address", "asked"),
    [
        ("http://h.test", "http://h.test/api/embed"),
        ("http://h.test/", "http://h.test/api/embed"),
        ("http://h.test/behind/a%2Fb//", "http://h.test/behind/a%2Fb/api/embed"),
        ("http://h.test/v1?api-version=2024-02-01", "http://h.test/v1/api/embed?api-version=2024-02-01"),
        ("http://h.test/v1/?a=b/&c=%26/", "http://h.test/v1/api/embed?a=b/&c=%26/"),
        ("http://h.test?key=x#part", "http://h.test/api/embed?key=x"),
    ],
)
async def test_an_address_keeps_its_path_and_its_query(address: str, asked: str) -> None:
    urls: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        urls.append(str(request.url))
        vector = [0.5] * DIMENSIONS
        return httpx.Response(200, json={"embeddings": [vector], "data": [{"embedding": vector}]})

    settings = EmbeddingSettings(ollama_url=address, openai_url=address, openai_key=SecretStr("key"))
    await OllamaEmbeddings(settings, transport=httpx.MockTransport(answer)).embed("a")
    await OpenAIEmbeddings(settings, transport=httpx.MockTransport(answer)).embed("a")
    assert urls == [asked, asked.replace("/api/embed", "/embeddings")]
