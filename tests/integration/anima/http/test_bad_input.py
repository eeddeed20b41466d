"""What a client may get wrong, and what it is told: never a 500, and never more than its own mistake."""

import gzip

import httpx
import pytest

ADD = "/api/v1/memories/add"
QUERY = "/api/v1/memories/query"
BOOTSTRAP = "/api/v1/memories/bootstrap"


def issues_of(answer: httpx.Response) -> dict[str, str]:
    """Messages by path."""
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["code"] == "VALIDATION_ERROR"
    return {issue["path"]: issue["message"] for issue in error["details"]["issues"]}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"content": ',
        b'{"content": "a"} b',
        b"\xff\xfe",
        b'"text"',
        b"[]",
        b"null",
        b'{"content": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b'{"content": "\\ud800"}',
        b'{"content": "a", "n": ' + b"9" * 10_000 + b"}",
        b'{"content": "a", "n": NaN}',
    ],
    ids=["empty", "cut", "more", "not UTF-8", "text", "list", "null", "deep", "surrogate", "huge", "NaN"],
)
async def test_a_body_that_is_no_json_object_is_refused_as_a_whole(client: httpx.AsyncClient, body: bytes) -> None:
    assert set(issues_of(await client.post(ADD, content=body))) == {""}


@pytest.mark.parametrize("path", [ADD, QUERY])
@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip", "GZIP"])
async def test_a_compressed_body_is_refused_as_such(client: httpx.AsyncClient, path: str, coding: str) -> None:
    answer = await client.post(path, content=gzip.compress(b'{"content": "a"}'), headers={"Content-Encoding": coding})
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert answer.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("headers", [{}, {"Content-Encoding": "identity"}], ids=["unsaid", "identity"])
async def test_the_mark_that_some_clients_send_is_passed_over(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    content = b"\xef\xbb\xbf" + b'{"content": "\xef\xbb\xbfa day"}'
    answer = await client.post(ADD, content=content, headers=headers)
    assert (answer.status_code, answer.json()["data"]["memory"]["content"]) == (201, "\ufeffa day")


@pytest.mark.parametrize(
    ("path", "body", "wrong"),
    [
        (ADD, {}, {"content"}),
        (ADD, {"content": ""}, {"content"}),
        (ADD, {"content": None}, {"content"}),
        (ADD, {"content": 5}, {"content"}),
        (ADD, {"content": "a\0b"}, {"content"}),
        (ADD, {"content": "a" * 50_001, "category": "c" * 101}, {"content", "category"}),
        (ADD, {"content": "a", "tags": ["t", ""]}, {"tags.1"}),
        (ADD, {"content": "a", "tags": ["t"] * 21}, {"tags"}),
        (ADD, {"content": "a", "tags": "t"}, {"tags"}),
        (ADD, {"content": "a", "isCatalyst": "true"}, {"isCatalyst"}),
        (QUERY, {"query": "q", "limit": 0, "similarityThreshold": 1.5}, {"limit", "similarityThreshold"}),
        (QUERY, {"query": "q", "limit": 10**400}, {"limit"}),
        (QUERY, {"query": "q", "limit": True}, {"limit"}),
        (QUERY, {"query": "q", "tiers": ["active", "lost"]}, {"tiers.1"}),
        (QUERY, {"query": "q", "conversationId": ""}, {"conversationId"}),
    ],
)
async def test_each_wrong_field_is_named(
    client: httpx.AsyncClient, path: str, body: dict[str, object], wrong: set[str]
) -> None:
    assert set(issues_of(await client.post(path, json=body))) == wrong


async def test_an_infinite_threshold_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post(QUERY, content=b'{"query": "q", "similarityThreshold": 1e999}')
    assert set(issues_of(answer)) == {"similarityThreshold"}


@pytest.mark.parametrize(
    ("parameters", "wrong"),
    [
        ("", {"conversationId"}),
        ("conversationId=", {"conversationId"}),
        ("conversationId=c&limit=201", {"limit"}),
        ("conversationId=c&limit=ten", {"limit"}),
        ("conversationId=c&limit=", {"limit"}),
        ("conversationId=c&includeActive=yes&activeLimit=-1", {"includeActive", "activeLimit"}),
        ("conversationId=c&limit=1&limit=2", {"limit"}),
        ("conversationId=a%00b", {"conversationId"}),
    ],
)
async def test_each_wrong_parameter_is_named(client: httpx.AsyncClient, parameters: str, wrong: set[str]) -> None:
    assert set(issues_of(await client.get(f"{BOOTSTRAP}?{parameters}"))) == wrong


async def test_a_refusal_does_not_repeat_what_was_sent(client: httpx.AsyncClient) -> None:
    answer = await client.post(ADD, json={"content": "a", "category": "private" * 20})
    assert "private" not in answer.text
