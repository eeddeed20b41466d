"""What the HTTP target sends, what it reads of the answers, and how it names failures."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from harness.errors import HarnessError, ProvisioningError, TargetError, UsageError
from harness.measuring.operations import Request
from harness.measuring.targets.anima.served import OpenServed, ServedTarget, _drained, served_in
from harness.measuring.targets.anima.target import AnimaTarget
from harness.measuring.targets.protocol import EXTERNAL, OpenTarget, Response, TargetContext, TargetStatistics

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ADD = Request("add", {"content": "a", "is_catalyst": False, "tags": ("x",)})
QUERY = Request("query", {"query": "q", "limit": 20, "similarity_threshold": 0.5, "conversation_id": "test-1"})
BOOTSTRAP = Request("bootstrap", {"conversation_id": "test 1", "limit": 50, "include_active": True})


@asynccontextmanager
async def target(handler: Handler) -> AsyncIterator[OpenTarget]:
    """The variant `external` on a server whose every answer the handler gives."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(application) as server:
        target = ServedTarget(AnimaTarget(), str(server.make_url("/")))
        async with target.open(TargetContext(EXTERNAL, "postgresql://none")) as opened:
            yield opened


def answering(body: object, status: int = 200, **headers: str) -> Handler:
    async def answer(_request: web.Request) -> web.Response:
        return web.json_response(body, status=status, headers=headers)

    return answer


async def performed(request: Request, handler: Handler) -> Response:
    async with target(handler) as opened:
        return await opened.perform(request)


async def failed(request: Request, handler: Handler) -> TargetError:
    with pytest.raises(TargetError) as error:
        await performed(request, handler)
    return error.value


@pytest.mark.parametrize(
    ("request_", "method", "url", "body"),
    [
        (ADD, "POST", "/api/v1/memories/add", {"content": "a", "isCatalyst": False, "tags": ["x"]}),
        (
            QUERY,
            "POST",
            "/api/v1/memories/query",
            {"query": "q", "limit": 20, "similarityThreshold": 0.5, "conversationId": "test-1"},
        ),
        (
            BOOTSTRAP,
            "GET",
            "/api/v1/memories/bootstrap?conversationId=test+1&limit=50&includeActive=true",
            None,
        ),
    ],
    ids=["add", "query", "bootstrap"],
)
async def test_a_request_is_sent_in_the_contracts_words(request_: Request, method: str, url: str, body: object) -> None:
    seen: list[object] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.method, str(request.rel_url), await request.json() if request.can_read_body else None))
        return web.json_response({"data": {}, "meta": {}})

    await performed(request_, answer)
    assert seen == [(method, url, body)]


async def test_an_answer_is_read_as_far_as_it_is_counted() -> None:
    added = {"data": {"memory": {"id": 1}, "isDuplicate": False}, "meta": {"embeddingProvider": "ollama"}}
    assert await performed(ADD, answering(added, 201, **{"X-Response-Time": "12ms"})) == Response(
        results=1, promotions=0, embedding="ollama", server_s=0.012
    )
    found = {"data": {"memories": [], "count": 7}, "meta": {"embeddingProvider": "cache", "promotions": [{}, {}]}}
    assert await performed(QUERY, answering(found)) == Response(results=7, promotions=2, embedding="cache")
    loaded = {"data": {"memories": {}, "distribution": {"active": 3, "total": 4}}, "meta": {}}
    assert await performed(BOOTSTRAP, answering(loaded)) == Response(results=4, promotions=0)


async def test_a_failure_is_named_by_its_status_and_code() -> None:
    body = {"success": False, "error": {"code": "DATABASE_BUSY", "message": "Try again later."}}
    error = await failed(QUERY, answering(body, 503))
    assert (error.kind, str(error)) == ("503 DATABASE_BUSY", "query: Try again later.")
    assert (await failed(QUERY, answering(["a page"], 502))).kind == "502"
    assert (await failed(QUERY, answering({"data": {}, "meta": {}}, 202))).kind == "202"


@pytest.mark.parametrize("text", ["<html>", "{}", "[]", '{"data": {"count": "many"}, "meta": {}}'])
async def test_what_is_not_the_contracts_json_is_an_error_sample(text: str) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=text)

    assert (await failed(QUERY, answer)).kind == "not the contract's JSON"


async def test_a_connection_that_breaks_off_is_an_error_sample() -> None:
    async def hang_up(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    assert (await failed(QUERY, hang_up)).kind == "ServerDisconnectedError"


async def test_nobody_waits_for_an_answer_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.measuring.targets.anima.served.REQUEST_TIMEOUT_S", 0.05)
    may_end = asyncio.Event()

    async def silence(_request: web.Request) -> web.Response:
        await may_end.wait()
        return web.Response()

    async with target(silence) as opened:
        with pytest.raises(TargetError, match=r"no answer in 0\.05 s") as error:
            await opened.perform(QUERY)
        may_end.set()
    assert error.value.kind == "timeout"


async def test_priming_asks_for_each_text_where_there_is_a_cache() -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        if request.path.endswith("cache-stats"):
            return web.json_response({"cache": {"hits": 0, "misses": 0}})
        question = await request.json()
        assert (question["tiers"], question["similarityThreshold"]) == (["network"], 1.0)
        asked.append(question["query"])
        return web.json_response({"data": {"count": 0}, "meta": {}})

    async with target(answer) as opened:
        await opened.prime(["a", "b", "x" * 5_001, "c"])
    assert sorted(asked) == ["Is this the service?", "a", "b", "c"]


async def test_without_a_cache_nothing_is_primed() -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        told: dict[str, object] = {"cache": None} if request.path.endswith("cache-stats") else {"data": {}, "meta": {}}
        return web.json_response(told)

    async with target(answer) as opened:
        await opened.prime(["a"])
    assert asked == ["/api/v1/memories/query", "/api/v1/meta/cache-stats"]


async def test_a_service_that_cannot_be_primed_ends_the_run() -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.path.endswith("cache-stats"):
            return web.json_response({"cache": {}})
        is_first = (await request.json())["query"] != "a"
        return web.json_response({"data": {}, "meta": {}}, status=200 if is_first else 500)

    async with target(answer) as opened:
        with pytest.raises(ProvisioningError, match="could not be primed: query: HTTP status 500"):
            await opened.prime(["a"])


@pytest.mark.parametrize(
    ("status", "text", "headers", "sentence"),
    [
        (401, "", {}, "asks for an API key .HTTP status 401.. Put one into the variable HARNESS_SERVICE_KEY"),
        (403, "", {}, "asks for an API key"),
        (404, "<html>", {}, "answers with HTTP status 404. It is another server"),
        (405, "", {}, "HTTP status 405. It is another server"),
        (200, "<html>", {}, "something else than the contract's JSON. It is another server"),
        (200, "{}", {}, "something else than the contract's JSON"),
        (308, "", {"Location": "https://elsewhere/"}, "sends on to https://elsewhere/ .HTTP status 308."),
        (503, "", {}, "fails at a plain question already .HTTP status 503."),
    ],
)
async def test_a_server_that_is_not_what_is_measured_is_told_before_anything_is(
    status: int, text: str, headers: dict[str, str], sentence: str
) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=text, headers=headers)

    async with target(answer) as opened:
        with pytest.raises(ProvisioningError, match=sentence):
            await opened.prime([])


async def test_a_service_that_refuses_the_question_itself_is_one() -> None:
    async with target(answering({"error": {"code": "INVALID_INPUT", "message": "Ask more."}}, 400)) as opened:
        await opened.prime([])


@pytest.mark.parametrize(
    ("listener", "sentence"),
    [(None, "Nothing answers at"), (b"+PONG\r\n", "does not answer as a service does"), (b"", "does not answer as")],
    ids=["nothing listens", "another protocol", "it hangs up"],
)
async def test_where_no_http_is_spoken_a_sentence_says_so(listener: bytes | None, sentence: str) -> None:
    async def speak(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(listener or b"")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        if listener is None:
            server.close()
        target = ServedTarget(AnimaTarget(), f"http://127.0.0.1:{port}")
        async with target.open(TargetContext(EXTERNAL, "postgresql://none")) as opened:
            with pytest.raises(ProvisioningError, match=sentence):
                await opened.prime([])


async def test_tls_on_a_port_of_plain_http_is_told_as_such() -> None:
    async with TestServer(web.Application()) as server:
        url = str(server.make_url("/")).replace("http://", "https://")
        async with ServedTarget(AnimaTarget(), url).open(TargetContext(EXTERNAL, "")) as opened:
            with pytest.raises(ProvisioningError, match=r"cannot be spoken to by TLS .* write http://"):
                await opened.prime([])


async def test_a_key_comes_from_the_environment_and_is_sent_to_a_foreign_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HARNESS_SERVICE_KEY", "planted\n")

    async def answer(request: web.Request) -> web.Response:
        return web.json_response(
            {"data": {}, "meta": {}}, status=204 if "Authorization" not in request.headers else 401
        )

    async with target(answer) as opened:
        with pytest.raises(ProvisioningError, match="refuses the key in HARNESS_SERVICE_KEY") as error:
            await opened.prime([])
    assert "planted" not in str(error.value)
    monkeypatch.setenv("HARNESS_SERVICE_KEY", "two\nlines")
    with pytest.raises(UsageError, match="HARNESS_SERVICE_KEY holds what no header can carry"):
        await performed(QUERY, answer)


@pytest.mark.parametrize("slash", ["", "/"])
async def test_paths_stand_below_the_prefix(slash: str) -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.json_response({"data": {}, "meta": {}})

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(application) as server:
        url = f"{server.make_url('/some/prefix')}{slash}"
        async with ServedTarget(AnimaTarget(), url).open(TargetContext(EXTERNAL, "")) as opened:
            for request in (ADD, QUERY, BOOTSTRAP):
                await opened.perform(request)
            await opened.statistics()
    assert [path.removeprefix("/some/prefix") for path in asked] == [
        *(f"/api/v1/memories/{operation}" for operation in ("add", "query", "bootstrap")),
        "/api/v1/meta/metrics",
        "/api/v1/meta/cache-stats",
        "/metrics",
    ]


@pytest.mark.parametrize(
    ("status", "text"), [(404, ""), (200, "<html>"), (200, '{"cache": {"hits": "many"}}'), (302, ""), (200, "x" * 200)]
)
async def test_what_a_server_does_not_tell_is_not_told(status: int, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.measuring.answers.ANSWER_BYTES_MAX", 100)

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=text)

    async with target(answer) as opened:
        assert await opened.statistics() == TargetStatistics()


async def test_a_server_that_is_away_tells_nothing_and_its_requests_are_errors() -> None:
    async with target(answering({"cache": {"hits": 3}})) as opened:
        before = await opened.statistics()
        assert isinstance(opened, OpenServed)
        gone = replace(opened, url="http://127.0.0.1:9")
        with pytest.raises(TargetError) as error:
            await gone.perform(QUERY)
        assert error.value.kind == "ClientConnectorError"
        assert (await gone.statistics()).since(before) == TargetStatistics()


def test_counters_that_began_anew_say_nothing_of_the_time_between() -> None:
    before = TargetStatistics(cache={"hits": 5, "misses": 1}, served={"query 200": 6})
    after = TargetStatistics(cache={"hits": 2, "misses": 3}, served={"query 200": 9, "query 503": 1})
    assert after.since(before) == TargetStatistics(served={"query 200": 3, "query 503": 1})


async def test_an_answer_that_would_fill_the_memory_is_an_error_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.measuring.answers.ANSWER_BYTES_MAX", 100)
    assert (await failed(QUERY, answering({"data": "x" * 101}))).kind == "answer too long"


async def test_a_kind_of_failure_is_no_longer_than_a_name() -> None:
    body = {"error": {"code": "X" * 500, "message": "m"}}
    assert len((await failed(QUERY, answering(body, 503))).kind) == 60


async def test_a_number_that_no_time_has_is_no_time() -> None:
    found = {"data": {"count": 1}, "meta": {}}
    assert (await performed(QUERY, answering(found, 200, **{"X-Response-Time": "9" * 5_000 + "ms"}))).server_s is None


async def test_background_work_that_does_not_get_less_is_not_waited_for_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moments = iter(float(second) for second in range(1_000))
    monkeypatch.setattr("harness.measuring.targets.anima.served.CLOCK", lambda: next(moments))
    monkeypatch.setattr("harness.measuring.targets.anima.served.DRAIN_POLL_S", 0)
    due = [3, 2, *[2] * 60, 1, 0]

    async def count() -> int:
        return due.pop(0)

    await _drained(count)
    assert due == []
    due.extend([5] * 200)
    with pytest.raises(HarnessError, match="5 pieces have been due for 120 s"):
        await _drained(count)


async def test_a_server_that_runs_already_has_to_be_named() -> None:
    with pytest.raises(UsageError, match="--set service_url="):
        async with ServedTarget(AnimaTarget()).open(TargetContext(EXTERNAL, "postgresql://none")):
            pass


async def test_work_that_another_server_has_accepted_is_not_waited_for() -> None:
    async with target(answering({})) as opened:
        assert isinstance(opened, OpenServed)
        await opened.drain()


EXPOSITION = """
# HELP anima_http_request_duration_seconds Time to the end of an answer.
# TYPE anima_http_request_duration_seconds histogram
anima_http_request_duration_seconds_bucket{le="+Inf",method="POST",route="/api/v1/memories/query",status="200"} 7.0
anima_http_request_duration_seconds_count{method="POST",route="/api/v1/memories/query",status="200"} 7.0
anima_http_request_duration_seconds_sum{method="POST",route="/api/v1/memories/query",status="200"} 0.5
anima_http_request_duration_seconds_count{method="POST",route="/api/v1/memories/query",status="503"} 2.0
anima_http_request_duration_seconds_count{method="GET",route="/health",status="200"} 9.0
"""


def test_what_the_service_served_is_read_of_its_own_metrics() -> None:
    assert served_in(EXPOSITION) == {"query 200": 7, "query 503": 2}
    assert served_in("python_info 1.0\n") == {}
