"""What the HTTP target sends, what it reads of the answers, and how it names failures."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from harness.errors import ProvisioningError, TargetError, UsageError
from harness.targets import TARGETS
from harness.targets.http import EXTERNAL, OpenHttp, served_in
from harness.targets.protocol import OpenTarget, Request, Response, TargetContext

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
        context = TargetContext(EXTERNAL, "postgresql://none", service_url=str(server.make_url("/")))
        async with TARGETS["http"]().open(context) as opened:
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
    monkeypatch.setattr("harness.targets.http.REQUEST_TIMEOUT_S", 0.05)
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
    assert sorted(asked) == ["a", "b", "c"]


async def test_without_a_cache_nothing_is_primed() -> None:
    async with target(answering({"cache": None, "recommendation": ""})) as opened:
        await opened.prime(["a"])


async def test_a_service_that_cannot_be_primed_ends_the_run() -> None:
    async def answer(request: web.Request) -> web.Response:
        is_cache = request.path.endswith("cache-stats")
        return web.json_response({"cache": {}}) if is_cache else web.json_response({}, status=500)

    async with target(answer) as opened:
        with pytest.raises(ProvisioningError, match="could not be primed: query: HTTP status 500"):
            await opened.prime(["a"])


async def test_a_server_that_runs_already_has_to_be_named() -> None:
    with pytest.raises(UsageError, match="--set service_url="):
        async with TARGETS["http"]().open(TargetContext(EXTERNAL, "postgresql://none")):
            pass


async def test_work_that_another_server_has_accepted_is_not_waited_for() -> None:
    async with target(answering({})) as opened:
        assert isinstance(opened, OpenHttp)
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
