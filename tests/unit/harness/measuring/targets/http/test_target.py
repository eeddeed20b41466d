"""What a service is sent, what is kept of its answers, and how its failures are called."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from harness.errors import HarnessError, ProvisioningError, TargetError
from harness.measuring import scenario_files
from harness.measuring.exchanges import listening
from harness.measuring.operations import Request
from harness.measuring.targets.http.scenario import HttpScenario, OwnService
from harness.measuring.targets.http.target import HttpTarget, OpenHttp
from harness.measuring.targets.protocol import TargetContext

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

CREATE = {
    "method": "POST",
    "path": "/notes/{kind}",
    "query": {"tag": ["a b", {"literal": {"value": "{kind}"}}]},
    "headers": {"X-Kind": "kind {kind}"},
    "json": {"n": "{n}", "drawn": {"words": {"count": 1}}},
    "values": {"kind": {"uniform": {"of": ["a/b"]}}, "n": {"sequence": {}}},
    "expect": {"status": 201, "json": {"n": "{n}"}},
}
READ = {"path": "/notes/{create.id}"}


@asynccontextmanager
async def opened(handler: Handler, **operations: Mapping[str, Any]) -> AsyncIterator[tuple[OpenHttp, HttpScenario]]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(application) as server:
        document = {
            "name": "notes",
            "target": "http",
            "service": {"url": str(server.make_url("/")), "timeout_s": 30},
            "operations": operations,
            "phases": [{"requests": 10, "time_s": 5}],
        }
        scenario = scenario_files.parsed(document)
        assert isinstance(scenario, HttpScenario)
        async with HttpTarget(scenario).open(TargetContext("current", "postgresql://none", users=2)) as target:
            yield target, scenario


def answering(body: object, status: int = 200) -> Handler:
    async def answer(_request: web.Request) -> web.Response:
        return web.json_response(body, status=status)

    return answer


async def failed(handler: Handler, **operation: Any) -> TargetError:
    async with opened(handler, read={"path": "/", **operation}) as (target, _):
        with pytest.raises(TargetError) as error:
            await target.perform(Request("read", {}))
    return error.value


async def test_a_request_is_filled_and_its_answer_goes_into_the_next() -> None:
    seen: list[tuple[str, str, str | None, Any]] = []

    async def notes(request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        seen.append((request.method, request.raw_path, request.headers.get("X-Kind"), body))
        return web.json_response({"id": 40 + (body or {}).get("n", 0), "n": (body or {}).get("n")}, status=201)

    async with opened(notes, create=CREATE, read={**READ, "expect": {"status": 201}}) as (target, scenario):
        await target.perform(next(scenario.operations["create"].requests("create", 1)))
        await target.perform(Request("read", {}))
    (method, path, kind, body), (_, read, _, _) = seen
    assert (method, path, kind) == ("POST", "/notes/a%2Fb?tag=a+b&tag=%7Bkind%7D", "kind a/b")
    assert body["n"] == 1
    assert body["drawn"].isalpha()
    assert read == "/notes/41"


async def test_each_user_begins_with_what_others_take_and_no_request_of_the_run_is_repeated() -> None:
    sent: list[int] = []

    async def notes(request: web.Request) -> web.Response:
        if request.method == "POST":
            sent.append((await request.json())["n"])
            return web.json_response({"id": sent[-1], "n": sent[-1]}, status=201)
        return web.json_response({"asked": request.path})

    async with opened(notes, create=CREATE, read=READ) as (target, _):
        await target.prime([])
        await target.perform(Request("read", {}))
        await target.drain()
    assert sent == [11, 12]


async def test_a_user_keeps_its_cookies_to_itself_and_follows_redirects() -> None:
    async def notes(request: web.Request) -> web.Response:
        if request.path == "/login":
            response = web.Response(status=303, headers={"Location": "/home"})
            response.set_cookie("session", "anna")
            return response
        return web.json_response({"session": request.cookies.get("session", "")})

    read = {"path": "/home", "expect": {"json": {"session": "anna"}}}
    async with opened(notes, login={"method": "POST", "path": "/login"}, read=read) as (target, _):
        await target.perform(Request("login", {}))
        await target.perform(Request("read", {}))
        target.idle.clear()
        with pytest.raises(TargetError, match=r'json\.session is "" instead of "anna"'):
            await target.perform(Request("read", {}))


@pytest.mark.parametrize(
    ("answer", "operation", "kind", "told"),
    [
        (
            answering({"error": "no"}, 422),
            {},
            "status 422",
            'HTTP status 422 instead of one of success: {"error": "no"}',
        ),
        (answering({}, 200), {"expect": {"status": [201, 204]}}, "status 200", "HTTP status 200 instead of 201 or 204"),
        (answering({"a": 1}), {"expect": {"json": {"a": 2}}}, "wrong answer", "json.a is 1 instead of 2"),
    ],
)
async def test_another_answer_is_a_failure_with_its_place(
    answer: Handler, operation: dict[str, Any], kind: str, told: str
) -> None:
    error = await failed(answer, **operation)
    assert error.kind == kind
    assert str(error).startswith(f"operations.read: {told}")


async def test_what_is_not_json_is_a_wrong_answer() -> None:
    async def html(_request: web.Request) -> web.Response:
        return web.Response(text="<html>")

    error = await failed(html, expect={"json": {"a": 1}})
    assert (error.kind, "the answer is not JSON" in str(error)) == ("wrong answer", True)


async def test_an_answer_that_would_fill_the_memory_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.measuring.answers.ANSWER_BYTES_MAX", 100)
    error = await failed(answering("x" * 200))
    assert (error.kind, str(error)) == ("answer too long", "operations.read: /: an answer of over 100 bytes.")


async def test_a_redirect_to_another_service_is_not_followed() -> None:
    async def elsewhere(_request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "http://127.0.0.1:9/login"})

    error = await failed(elsewhere)
    assert error.kind == "redirected elsewhere"
    assert "/ redirects to http://127.0.0.1:9/login, which is another service" in str(error)


async def test_a_connection_that_breaks_is_called_so() -> None:
    async def broken(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    assert (await failed(broken)).kind == "broken connection"


async def test_a_service_that_is_away_refuses_and_cannot_be_met(unused_tcp_port: int) -> None:
    async with opened(answering({}), read={"path": "/"}) as (target, _):
        target.url = f"http://127.0.0.1:{unused_tcp_port}"
        with pytest.raises(TargetError) as error:
            await target.perform(Request("read", {}))
        with pytest.raises(ProvisioningError, match="Start the service, or correct the address"):
            await target.prime([])
    assert error.value.kind == "refused"


async def test_an_operation_that_never_succeeds_ends_the_run() -> None:
    async with opened(answering({"why": "no"}, 500), read={"path": "/"}) as (target, _):
        for _ in range(19):
            with pytest.raises(TargetError):
                await target.perform(Request("read", {}))
        with pytest.raises(HarnessError, match=r"Each of 19 requests failed, none succeeded: operations\.read: "):
            await target.drain()
        with pytest.raises(HarnessError, match="Each of 20 requests failed") as error:
            await target.perform(Request("read", {}))
    assert not isinstance(error.value, TargetError)


async def test_an_operation_that_succeeded_once_may_fail() -> None:
    statuses = iter([200, *[500] * 30])

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=next(statuses))

    async with opened(answer, read={"path": "/"}) as (target, _):
        await target.perform(Request("read", {}))
        for _ in range(30):
            with pytest.raises(TargetError):
                await target.perform(Request("read", {}))
        await target.drain()


async def test_a_secret_is_sent_and_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTES_LOGIN", "planted-value")

    async def echo(request: web.Request) -> web.Response:
        return web.Response(text=request.headers["X-Login"], status=403)

    error = await failed(echo, headers={"X-Login": "{env.NOTES_LOGIN}"})
    assert str(error) == "operations.read: HTTP status 403 instead of one of success: …."


async def test_what_nobody_counted_is_not_told() -> None:
    async with opened(answering({}), read={"path": "/"}) as (target, _):
        response = await target.perform(Request("read", {}))
        assert (response.statements, response.rows, response.round_trips) == (None, None, None)
        assert await target.report_statistics() is False


async def test_what_is_sent_and_what_comes_back_is_shown_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTES_ID", "k3y-of-the-notes")
    lines: list[tuple[bool, str]] = []

    async def notes(request: web.Request) -> web.Response:
        return web.json_response({"echo": request.headers["X-Id"]}, status=418)

    operation = {
        "method": "POST",
        "path": "/notes",
        "query": {"tag": ["a", "b"]},
        "headers": {"X-Id": "{env.NOTES_ID}"},
        "form": {"title": "{title}"},
        "values": {"title": {"uniform": {"of": ["first"]}}},
    }
    async with opened(notes, create=operation) as (target, scenario):
        request = next(scenario.operations["create"].requests("create", 1))
        with listening(lambda line: lines.append((line.came_back, line.text))), pytest.raises(TargetError):
            await target.perform(request)
        with pytest.raises(TargetError):
            await target.perform(request)
    assert lines == [
        (False, f'POST {target.url}/notes?tag=a&tag=b X-Id: … {{"title": "first"}}'),
        (True, 'HTTP status 418: {"echo": "…"}'),
    ]


async def test_a_service_is_there_once_it_answers_and_ready_once_it_says_so_where_that_is_stated() -> None:
    async with opened(answering({}, status=401), read={"path": "/"}) as (target, _):
        await target.prime([])
        target.service = OwnService(url=target.url, ready="/health")
        with pytest.raises(ProvisioningError, match="/health answers with HTTP status 401"):
            await target.prime([])
