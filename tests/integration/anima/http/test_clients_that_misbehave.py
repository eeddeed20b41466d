"""Clients that dawdle or leave, over real sockets; and many of all kinds, after whom nothing is left behind."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator
from random import Random
from typing import Any, Final

import pytest
from starlette.types import ASGIApp, Message

from anima.assembly import Anima
from anima.database import Session
from anima.http.app import application
from anima.http.callers import NOBODYS, Callers
from anima.http.protocol import TimedHttpProtocol
from tests.memories import plant, session_on, value
from tests.service import options_for, served
from tests.waiting import until

ADD = b"POST /api/v1/memories/add HTTP/1.1\r\nHost: service\r\nContent-Length: %d\r\n\r\n%s"
LOCK_WAITS = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
IN_TRANSACTION = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'
"""


@pytest.fixture
async def port(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[int]:
    monkeypatch.setattr(TimedHttpProtocol, "request_timeout_s", 0.2)
    service = served(options_for(database_url))
    yield await asyncio.to_thread(service.__enter__)
    await asyncio.to_thread(service.__exit__, None, None, None)


async def exchange(port: int, sent: bytes) -> bytes:
    """What comes back until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    try:
        async with asyncio.timeout(60):
            return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    "sent",
    [b"", b"POST /api/v1/memories/add HTTP/1.1\r\nHost: serv", ADD % (100, b'{"content": ')],
    ids=["nothing", "half a head", "half a body"],
)
async def test_a_request_that_never_ends_is_ended(port: int, sent: bytes) -> None:
    assert await exchange(port, sent) == b""
    assert b'{"status":"ok"}' in await exchange(port, b"GET /health HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n")


async def test_a_client_that_hangs_up_leaves_no_transaction_behind(
    database_url: str, port: int, session: Session
) -> None:
    memory_id = await plant(session, content="a day")
    body = json.dumps({"content": "a day"}).encode()

    async def waits(count: int) -> bool:
        return bool(await value(session, LOCK_WAITS) == count)

    async with session_on(database_url) as holder, holder.transaction():
        await holder.connection.execute("SELECT FROM memory_states WHERE id = $1 FOR UPDATE", memory_id)
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(ADD % (len(body), body))
        await until(lambda: waits(1))
        writer.close()
        await writer.wait_closed()
        await until(lambda: waits(0))
    assert await value(session, "SELECT access_count FROM memory_states WHERE id = $1", memory_id) == 0


Drawn = tuple[str, str, bytes]


def drawn_request(random: Random) -> Drawn:
    """One in eight is a good one, so that 10,000 take seconds."""
    good = random.random() < 0.125
    kind = random.randrange(5)
    if good and kind < 2:
        return "POST", "/api/v1/memories/query", json.dumps({"query": f"day {random.randrange(9)}"}).encode()
    if good:
        return "POST", "/api/v1/memories/add", json.dumps({"content": f"day {random.randrange(50)}"}).encode()
    bad: Final[tuple[Drawn, ...]] = (
        ("POST", "/api/v1/memories/add", b'{"content": '),
        ("POST", "/api/v1/memories/query", b'{"query": "", "limit": 0}'),
        ("GET", "/api/v1/memories/add", b""),
        ("GET", "/api/v1/memories/bootstrap", b""),
        ("GET", "/nowhere", b""),
    )
    return bad[kind]


async def ask(app: ASGIApp, drawn: Drawn, *, leaves: bool) -> int:
    """The status of the answer. A client that leaves does so as soon as it has sent its request."""
    method, path, body = drawn
    incoming: list[Message] = [{"type": "http.request", "body": body}]
    if leaves:
        incoming.append({"type": "http.disconnect"})
    statuses: list[int] = []

    async def receive() -> Message:
        if incoming:
            return incoming.pop(0)
        return await asyncio.Future()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("service", 80),
        "root_path": "",
    }
    await app(scope, receive, send)
    (status,) = statuses
    return status


@pytest.mark.slow
async def test_ten_thousand_good_and_bad_requests_leave_nothing_behind(anima: Anima, session: Session) -> None:
    app = application(Callers({NOBODYS: anima}))
    tasks_before = len(asyncio.all_tasks())
    random = Random(1)
    requests = [(drawn_request(random), random.random() < 0.02) for _ in range(10_000)]
    statuses: Counter[int] = Counter()

    async def client(number: int) -> None:
        for drawn, leaves in requests[number::50]:
            statuses[await ask(app, drawn, leaves=leaves)] += 1

    async with asyncio.TaskGroup() as clients:
        for number in range(50):
            clients.create_task(client(number))
    assert statuses.total() == 10_000
    assert set(statuses) == {200, 201, 400, 404, 405, 499}
    pool = anima.memory.database.pool_statistics()
    assert (pool.idle, pool.waiting) == (pool.size, 0)
    assert len(asyncio.all_tasks()) == tasks_before
    assert await value(session, IN_TRANSACTION) == 0
