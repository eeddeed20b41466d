"""What the guards let pass and what they tell those whom they turn away; behind them stands a route that echoes."""

import hashlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from anima.errors import InvalidInput
from anima.http.api_keys import new_key, read_keys
from anima.http.failures import HANDLERS
from anima.http.guards import GuardSettings, guard_settings, guarding
from anima.settings import Settings

KEY = new_key("tests")


async def echo(request: Request) -> Response:
    return JSONResponse({"bytes": len(await request.body()), "client": getattr(request.state, "client", None)})


@asynccontextmanager
async def client_behind(settings: GuardSettings, address: str = "10.0.0.1") -> AsyncGenerator[httpx.AsyncClient]:
    routes = [Route("/echo", echo, methods=["GET", "POST"]), Route("/health", echo)]
    async with guarding(settings) as middleware:
        app = Starlette(routes=routes, middleware=middleware, exception_handlers=HANDLERS)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            yield client


def settings_of(**variables: str) -> GuardSettings:
    return guard_settings(Settings.from_environment({f"ANIMA_{name}": text for name, text in variables.items()}))


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def code_of(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert body["success"] is False
    assert body["meta"]["requestId"]
    return answer.status_code, str(body["error"]["code"])


async def chunks(sizes: Sequence[int]) -> AsyncIterator[bytes]:
    for size in sizes:
        yield b"x" * size


async def test_without_settings_only_the_size_of_a_body_is_limited() -> None:
    async with client_behind(settings_of()) as client:
        assert (await client.post("/echo", content=b"x" * 1_048_576)).json() == {"bytes": 1_048_576, "client": None}


async def test_a_body_that_says_it_is_too_large_is_refused_and_its_connection_closed() -> None:
    async with client_behind(GuardSettings(body_bytes_max=100)) as client:
        assert (await client.post("/echo", content=b"x" * 100)).status_code == 200
        refused = await client.post("/echo", content=b"x" * 101)
    assert code_of(refused) == (413, "CONTENT_TOO_LARGE")
    assert refused.json()["error"]["message"] == "The body is larger than 100 bytes."
    assert refused.headers["connection"] == "close"


@pytest.mark.parametrize(("sizes", "status"), [((60, 40), 200), ((60, 40, 1), 413), ((1,) * 101, 413)])
async def test_a_body_in_chunks_is_refused_as_soon_as_it_is_too_large(sizes: Sequence[int], status: int) -> None:
    async with client_behind(GuardSettings(body_bytes_max=100)) as client:
        assert (await client.post("/echo", content=chunks(sizes))).status_code == status


@pytest.mark.parametrize("length", ["9" * 30, "²", "-5", "0x10"])
async def test_a_strange_length_is_no_way_around_the_limit(length: str) -> None:
    async with client_behind(GuardSettings(body_bytes_max=100)) as client:
        sent = await client.post("/echo", content=b"x" * 101, headers={b"Content-Length": length.encode()})
    assert sent.status_code == 413


async def test_a_key_lets_in_and_names_who_asks() -> None:
    async with client_behind(settings_of(API_KEYS=f" {KEY.entry} , {new_key('other').entry}")) as client:
        assert (await client.get("/echo", headers=bearer(KEY.key))).json()["client"] == "tests"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer(""),
        bearer("wrong"),
        bearer(KEY.key[:-1]),
        bearer(hashlib.sha256(KEY.key.encode()).hexdigest()),
        {"Authorization": KEY.key},
        {"Authorization": f"Basic {KEY.key}"},
        {"X-API-Key": KEY.key},
        {"Cookie": f"key={KEY.key}"},
        {"Authorization": b"Bearer \xff\xfe"},
    ],
    ids=["none", "empty", "wrong", "cut", "its hash", "no scheme", "basic", "other header", "cookie", "bytes"],
)
async def test_without_a_valid_key_in_the_header_nothing_is_answered(headers: dict[str, str]) -> None:
    async with client_behind(settings_of(API_KEYS=KEY.entry)) as client:
        refused = await client.get("/echo", headers=headers, params={"key": KEY.key, "api_key": KEY.key})
    assert code_of(refused) == (401, "UNAUTHORIZED")
    assert refused.headers["www-authenticate"] == "Bearer"
    assert KEY.key not in refused.text


async def test_whether_the_process_lives_is_told_without_a_key() -> None:
    async with client_behind(settings_of(API_KEYS=KEY.entry, RATE_LIMIT="1/hour")) as client:
        assert [(await client.get("/health")).status_code for _ in range(3)] == [200] * 3


@pytest.mark.parametrize(
    "entries",
    ["tests", f"{KEY.entry},", f"{KEY.entry},{KEY.entry}", f"a b:{'0' * 64}", KEY.key],
    ids=["a name", "an end", "twice", "a space", "a key"],
)
def test_wrong_entries_are_refused_by_their_number_and_not_quoted(entries: str) -> None:
    with pytest.raises(InvalidInput, match=r"number \d is not an entry") as refusal:
        read_keys(SecretStr(entries))
    assert KEY.key not in str(refusal.value)


def test_a_key_is_long_random_and_known_to_the_service_by_its_hash_alone() -> None:
    keys = {new_key("a").key for _ in range(100)}
    assert len(keys) == 100
    assert all(len(key) > 40 for key in keys)
    assert KEY.key not in KEY.entry
    assert read_keys(SecretStr(KEY.entry)) == {"tests": hashlib.sha256(KEY.key.encode()).hexdigest()}


async def test_a_client_over_its_limit_is_told_when_to_come_back() -> None:
    async with client_behind(settings_of(RATE_LIMIT="2/hour")) as client:
        assert [(await client.get("/echo")).status_code for _ in range(2)] == [200] * 2
        refused = await client.get("/echo")
    assert code_of(refused) == (429, "TOO_MANY_REQUESTS")
    assert 0 < int(refused.headers["retry-after"]) <= 3_600


async def test_each_key_has_a_limit_of_its_own_and_one_without_a_key_has_none() -> None:
    other = new_key("other")
    settings = settings_of(API_KEYS=f"{KEY.entry},{other.entry}", RATE_LIMIT="1/hour")
    async with client_behind(settings) as client:
        statuses = [
            (await client.get("/echo", headers=bearer(key))).status_code
            for key in (KEY.key, "wrong", "wrong", other.key, KEY.key)
        ]
    assert statuses == [200, 401, 401, 200, 429]


async def test_a_header_does_not_make_a_client_another_one() -> None:
    async with client_behind(settings_of(RATE_LIMIT="1/hour")) as client:
        forwarded = [{"X-Forwarded-For": f"10.0.0.{number}"} for number in range(2)]
        statuses = [(await client.get("/echo", headers=headers)).status_code for headers in forwarded]
    assert statuses == [200, 429]


@pytest.mark.parametrize("limit", ["many", "100", "-1/second", "1/fortnight"])
def test_a_limit_that_is_none_is_refused_at_the_start(limit: str) -> None:
    with pytest.raises(InvalidInput, match="is no rate limit"):
        settings_of(RATE_LIMIT=limit)


PREFLIGHT = {"Origin": "https://a.test", "Access-Control-Request-Method": "POST"}


async def test_pages_of_other_origins_are_off_unless_named() -> None:
    async with client_behind(settings_of()) as client:
        answer = await client.get("/echo", headers={"Origin": "https://a.test"})
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert (await client.options("/echo", headers=PREFLIGHT)).status_code == 405


async def test_a_named_origin_may_ask_first_without_a_key() -> None:
    settings = settings_of(CORS_ORIGINS="https://a.test, https://b.test", API_KEYS=KEY.entry)
    async with client_behind(settings) as client:
        permission = await client.options("/echo", headers=PREFLIGHT)
        assert permission.headers["access-control-allow-origin"] == "https://a.test"
        stranger = await client.options("/echo", headers={**PREFLIGHT, "Origin": "https://c.test"})
        assert "access-control-allow-origin" not in stranger.headers
        refused = await client.get("/echo", headers={"Origin": "https://a.test"})
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == "https://a.test"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_this_machine_alone_needs_no_key(host: str) -> None:
    assert settings_of(HOST=host).digests == {}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org"])
def test_other_machines_need_one_unless_that_is_said(host: str) -> None:
    with pytest.raises(InvalidInput, match=r"ANIMA_API_KEYS.*--without-keys"):
        settings_of(HOST=host)
    assert settings_of(HOST=host, WITHOUT_KEYS="1").digests == {}
    assert list(settings_of(HOST=host, API_KEYS=KEY.entry).digests) == ["tests"]


async def test_no_key_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with client_behind(settings_of(API_KEYS=KEY.entry, RATE_LIMIT="1/hour")) as client:
        for key in (KEY.key, KEY.key, f"wrong-{KEY.key}"):
            await client.get("/echo", headers=bearer(key))
    assert KEY.key not in "".join(repr(vars(record)) for record in caplog.records)
