"""What the providers over HTTP send, what they make of each answer, and when they ask again."""

import asyncio
import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from itertools import count

import httpx
import pytest
import stamina
from pydantic import SecretStr, ValidationError

from anima.embeddings.cache import CachedEmbeddings
from anima.embeddings.ollama import OllamaEmbeddings
from anima.embeddings.openai import OpenAIEmbeddings
from anima.embeddings.protocol import DIMENSIONS, EmbeddingSettings
from anima.errors import EmbeddingUnavailable, InvalidEmbedding, InvalidInput
from anima.spending import spending_of_request

KEY = "sk-never-to-be-shown"
NUMBERS = [0.5] * DIMENSIONS
SETTINGS = EmbeddingSettings(
    ollama_url="http://ollama.test:11434/", openai_url="https://openai.test/v1/", openai_key=SecretStr(KEY)
)

Provider = OllamaEmbeddings | OpenAIEmbeddings
Answer = Callable[[httpx.Request], httpx.Response]


class Server:
    """Keeps the requests; gives the answers in turn, the last one again and again."""

    def __init__(self, *answers: Answer) -> None:
        self.requests: list[httpx.Request] = []
        self._answers = list(answers)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        answer = self._answers[min(len(self.requests), len(self._answers) - 1)]
        self.requests.append(request)
        return answer(request)

    def ollama(self, settings: EmbeddingSettings = SETTINGS) -> OllamaEmbeddings:
        return OllamaEmbeddings(settings, transport=httpx.MockTransport(self))

    def openai(self, settings: EmbeddingSettings = SETTINGS) -> OpenAIEmbeddings:
        return OpenAIEmbeddings(settings, transport=httpx.MockTransport(self))


def vector(_request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"embeddings": [NUMBERS], "data": [{"embedding": NUMBERS}]})


def status(code: int) -> Answer:
    return lambda request: httpx.Response(code, json={"error": f"{request.headers} {request.content!r}"})


def failing(error: type[httpx.TransportError]) -> Answer:
    def fail(request: httpx.Request) -> httpx.Response:
        raise error(f"{request.headers}", request=request)

    return fail


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=100, cap=True):
        yield


async def test_ollama_is_asked_in_its_own_words() -> None:
    server = Server(vector)
    answer = await server.ollama().embed("café")
    assert answer.provider == "ollama"
    assert answer.vector.tolist() == NUMBERS
    (request,) = server.requests
    assert (request.method, str(request.url)) == ("POST", "http://ollama.test:11434/api/embed")
    assert json.loads(request.content) == {"model": "nomic-embed-text", "input": ["café"]}


async def test_openai_is_asked_in_its_own_words() -> None:
    server = Server(vector)
    answer = await server.openai().embed("café")
    assert answer.provider == "openai"
    (request,) = server.requests
    assert (request.method, str(request.url)) == ("POST", "https://openai.test/v1/embeddings")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert json.loads(request.content) == {"model": "text-embedding-3-small", "input": ["café"], "dimensions": 768}


def test_openai_without_a_key_says_what_to_do() -> None:
    with pytest.raises(InvalidInput, match=r"needs a key.*Set the key, or choose"):
        OpenAIEmbeddings(EmbeddingSettings())


@pytest.mark.parametrize(
    "transient",
    [status(500), status(503), status(429), failing(httpx.ConnectError), failing(httpx.ReadError)],
    ids=["500", "503", "429", "refused", "broken off"],
)
async def test_a_passing_failure_is_asked_again(transient: Answer) -> None:
    server = Server(transient, transient, vector)
    with spending_of_request() as spent:
        assert (await server.ollama().embed("a")).provider == "ollama"
    assert len(server.requests) == 3
    assert spent["retries"] > 0


async def test_an_answer_at_once_has_no_retries() -> None:
    with spending_of_request() as spent:
        await Server(vector).ollama().embed("a")
    assert "retries" not in spent


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (status(502), "answered with HTTP status 502\\. Its own log says why"),
        (failing(httpx.ConnectError), r"could not be reached \(ConnectError\)\. Start it with `ollama serve`"),
        (failing(httpx.RemoteProtocolError), r"could not be reached \(RemoteProtocolError\)\. Start it with"),
    ],
    ids=["502", "refused", "no HTTP"],
)
async def test_a_lasting_failure_ends_after_the_attempts_with_the_address_and_advice(answer: Answer, said: str) -> None:
    server = Server(answer)
    with pytest.raises(EmbeddingUnavailable, match=rf"ollama at http://ollama\.test:11434/.* {said}"):
        await server.ollama().embed("a")
    assert len(server.requests) == 3


async def test_each_attempt_has_its_own_time_limit() -> None:
    asked = count(1)

    async def silence(_request: httpx.Request) -> httpx.Response:
        next(asked)
        await asyncio.Event().wait()
        raise AssertionError

    settings = SETTINGS.model_copy(update={"timeout_s": 0.01, "load_timeout_s": 0.01, "attempts": 2})
    embeddings = OllamaEmbeddings(settings, transport=httpx.MockTransport(silence))
    with pytest.raises(EmbeddingUnavailable, match=r"did not answer within 0\.01 s"):
        await embeddings.embed("a")
    assert next(asked) == 3


def text(content: str, content_type: str = "application/json") -> Answer:
    return lambda _request: httpx.Response(200, text=content, headers={"content-type": content_type})


def garbled(_request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, stream=httpx.ByteStream(b"not gzip"), headers={"content-encoding": "gzip"})


def both(components: object) -> Answer:
    return text(json.dumps({"embeddings": [components], "data": [{"embedding": components}]}))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param(text("<html>Sign in</html>", "text/html"), r"not JSON \(text/html\)", id="HTML"),
        pytest.param(text(""), "not JSON", id="empty"),
        pytest.param(text('{"embedding": [0.5,'), "not JSON", id="cut off"),
        pytest.param(text("[" * 100_000), "not JSON", id="nested without end"),
        pytest.param(garbled, "cannot be decompressed", id="garbled"),
        pytest.param(text("{}"), "JSON without", id="no embedding"),
        pytest.param(text("[]"), "JSON without", id="an array"),
        pytest.param(text("null"), "JSON without", id="null"),
        pytest.param(both(None), "not a list of numbers", id="null embedding"),
        pytest.param(both([0.5] * 384), "384 components where 768 are needed", id="another dimension"),
        pytest.param(both([float("nan")] * 768), "not a finite number", id="NaN"),
        pytest.param(both([0] * 768), "norm is zero", id="zeros"),
    ],
)
@pytest.mark.parametrize("provider", [Server.ollama, Server.openai], ids=["ollama", "openai"])
async def test_an_answer_that_is_no_vector_is_an_error_and_not_asked_for_again(
    provider: Callable[[Server], Provider], answer: Answer, said: str
) -> None:
    server = Server(answer)
    with pytest.raises(InvalidEmbedding, match=said):
        await provider(server).embed("a")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [status(401), status(500), failing(httpx.LocalProtocolError), text(f"<html>{KEY} a secret memory"), both([])],
    ids=["401", "500", "bad header", "HTML", "no vector"],
)
async def test_the_key_and_the_text_stay_out_of_messages_and_logs(
    answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with pytest.raises((EmbeddingUnavailable, InvalidEmbedding)) as raised:
        await Server(answer).openai().embed("a secret memory")
    told = f"{raised.value}{caplog.text}{SETTINGS!r}"
    assert KEY not in told
    assert "secret memory" not in told


async def test_a_password_in_an_address_stays_out_of_messages() -> None:
    settings = EmbeddingSettings(ollama_url="http://user:pass-word@ollama.test/behind")
    with pytest.raises(EmbeddingUnavailable, match=r"at http://ollama\.test/behind/api") as raised:
        await Server(status(500)).ollama(settings).embed("a")
    assert "pass-word" not in str(raised.value)


async def test_waits_between_attempts_grow_and_are_jittered(monkeypatch: pytest.MonkeyPatch) -> None:
    waits_s: list[float] = []

    async def no_sleep(delay_s: float) -> None:
        waits_s.append(delay_s)

    monkeypatch.setattr(asyncio, "sleep", no_sleep)
    with stamina.set_testing(False), pytest.raises(EmbeddingUnavailable):
        await Server(status(503)).ollama().embed("a")
    first_s, second_s = waits_s
    assert 0.2 <= first_s <= 0.4 <= second_s <= 0.6


@pytest.mark.parametrize(
    "field",
    [
        {"ollama_url": "localhost:11434"},
        {"openai_url": "ftp://openai.test"},
        {"openai_key": "sk-never-to-be-shown\nX-Injected: 1"},
        {"openai_key": "  "},
        {"openai_key": "sk-never-to-be-shown-é"},
        {"timeout_s": 0},
        {"attempts": 0},
        {"provder": "ollama"},
    ],
    ids=str,
)
def test_settings_are_checked_and_their_errors_show_no_key(field: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as raised:
        EmbeddingSettings.model_validate(field)
    assert KEY not in str(raised.value)


def test_space_around_a_key_is_not_part_of_it() -> None:
    settings = EmbeddingSettings(openai_key=SecretStr(f" {KEY}\n"))
    assert settings.openai_key == SecretStr(KEY)


@pytest.mark.parametrize("provider", [Server.ollama, Server.openai], ids=["ollama", "openai"])
async def test_many_texts_go_in_calls_of_several_each_and_come_back_in_their_order(
    provider: Callable[[Server], Provider],
) -> None:
    def numbered(request: httpx.Request) -> httpx.Response:
        vectors = [[float(text), *[0.5] * (DIMENSIONS - 1)] for text in json.loads(request.content)["input"]]
        data = [{"embedding": vector, "index": place} for place, vector in enumerate(vectors)]
        return httpx.Response(200, json={"embeddings": vectors, "data": data})

    server = Server(numbered)
    answers = await provider(server).embed_many([str(number) for number in range(20)])
    assert [answer.vector[0] for answer in answers] == list(range(20))
    assert [len(json.loads(request.content)["input"]) for request in server.requests] == [16, 4]


@pytest.mark.parametrize("provider", [Server.ollama, Server.openai], ids=["ollama", "openai"])
async def test_an_answer_for_fewer_texts_is_not_spread_over_them(provider: Callable[[Server], Provider]) -> None:
    with pytest.raises(InvalidEmbedding, match="for each text"):
        await provider(Server(vector)).embed_many(["a", "b"])


@pytest.mark.parametrize("numbered", [True, False], ids=["in another order", "in order, without numbers"])
async def test_each_vector_is_given_to_the_text_that_it_is_of(*, numbered: bool) -> None:
    vectors = [[float(number), *[0.5] * (DIMENSIONS - 1)] for number in range(3)]
    data = [{"embedding": vectors[place]} | ({"index": place} if numbered else {}) for place in (2, 0, 1)]
    server = Server(lambda _request: httpx.Response(200, json={"data": data}))
    embedded = await server.openai().embed_many(["a", "b", "c"])
    assert [each.vector[0] for each in embedded] == ([0, 1, 2] if numbered else [2, 0, 1])


@pytest.mark.parametrize("places", [(0, 0), (1, 2), (-1, 0), (0, 0.5)])
async def test_a_text_that_no_vector_is_of_gets_none_of_anothers(places: tuple[float, float]) -> None:
    data = [{"embedding": NUMBERS, "index": place} for place in places]
    server = Server(lambda _request: httpx.Response(200, json={"data": data}))
    with pytest.raises(InvalidEmbedding, match="not a list of numbers"):
        await server.openai().embed_many(["a", "b"])


async def test_a_server_that_keeps_failing_is_left_alone_and_says_until_when() -> None:
    server = Server(status(503))
    embeddings = server.ollama(SETTINGS.model_copy(update={"failures_max": 4, "open_s": 60.0}))
    for _ in range(2):
        with pytest.raises(EmbeddingUnavailable):
            await embeddings.embed("a")
    with pytest.raises(EmbeddingUnavailable, match="left alone for 60 s") as rejection:
        await embeddings.embed("a")
    assert len(server.requests) == 4
    assert rejection.value.retry_after_s is not None
    assert 0 < rejection.value.retry_after_s <= 60
    (calls,) = embeddings.server_calls()
    assert (calls.circuit, calls.answered, calls.failed, calls.rejected) == ("open", 0, 4, 2)


async def test_garbage_is_an_answer_and_leaves_the_circuit_closed() -> None:
    embeddings = Server(text("<html>")).ollama()
    for _ in range(10):
        with pytest.raises(InvalidEmbedding):
            await embeddings.embed("a")
    (calls,) = embeddings.server_calls()
    assert (calls.circuit, calls.answered, calls.invalid, calls.failed) == ("closed", 10, 10, 0)


async def test_no_more_calls_than_allowed_are_under_way_at_once() -> None:
    two_are_asked, may_answer = asyncio.Event(), asyncio.Event()
    asked = count(1)

    async def held(request: httpx.Request) -> httpx.Response:
        if next(asked) == 2:
            two_are_asked.set()
        await may_answer.wait()
        return vector(request)

    settings = SETTINGS.model_copy(update={"calls_max": 2})
    embeddings = OllamaEmbeddings(settings, transport=httpx.MockTransport(held))
    asking = [asyncio.create_task(embeddings.embed("a")) for _ in range(5)]
    await two_are_asked.wait()
    assert embeddings.server_calls()[0].in_flight == 2
    may_answer.set()
    assert len(await asyncio.gather(*asking)) == 5
    assert embeddings.server_calls()[0].in_flight == 0


async def test_who_finds_no_place_in_time_is_told_so() -> None:
    async def silence(_request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    settings = SETTINGS.model_copy(update={"calls_max": 1, "timeout_s": 0.05, "load_timeout_s": 0.05})
    embeddings = OllamaEmbeddings(settings, transport=httpx.MockTransport(silence))
    async with embeddings._endpoint._slot():
        with pytest.raises(EmbeddingUnavailable, match=r"1 calls under way, and none ended within 0\.05 s") as busy:
            await embeddings.embed("a")
    assert busy.value.retry_after_s == 0.05
    assert embeddings.server_calls()[0].rejected == 1


async def test_no_record_of_any_logger_holds_a_key_a_password_or_a_text(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    settings = SETTINGS.model_copy(update={"openai_url": "http://user:pass-word@openai.test", "failures_max": 2})
    with stamina.set_testing(True, attempts=3, cap=True), pytest.raises(EmbeddingUnavailable):
        await Server(status(500)).openai(settings).embed("a secret memory")
    assert caplog.records
    logged = "".join(repr(vars(record)) for record in caplog.records)
    assert not [secret for secret in (KEY, "pass-word", "a secret memory") if secret in logged]


async def test_a_password_in_an_address_is_sent() -> None:
    server = Server(vector)
    await server.ollama(EmbeddingSettings(ollama_url="http://user:pass-word@ollama.test")).embed("a")
    (request,) = server.requests
    assert request.headers["authorization"] == "Basic " + b64encode(b"user:pass-word").decode()


async def test_what_the_cache_knows_is_answered_while_the_server_is_left_alone() -> None:
    server = Server(vector, status(503))
    embeddings = CachedEmbeddings(server.ollama(SETTINGS.model_copy(update={"failures_max": 1})))
    await embeddings.embed("known")
    for _ in range(2):
        with pytest.raises(EmbeddingUnavailable, match="left alone"):
            await embeddings.embed("unknown")
    assert (await embeddings.embed("known")).provider == "cache"
    assert embeddings.server_calls()[0].circuit == "open"
