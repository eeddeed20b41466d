"""What a client sees where standbys answer reads: a header that goes with it from answer to request."""

from collections.abc import AsyncGenerator

import httpx
import pytest

from anima.assembly import Anima
from anima.http.callers import CALLERS_MAX, NOBODYS, POSITION_HEADER, Callers
from anima.standbys import CallerHistory
from anima.strategy import FRONTIER
from tests.followed import Followed
from tests.memories import opened
from tests.service import client_of

ADD = "/api/v1/memories/add"
BOOTSTRAP = "/api/v1/memories/bootstrap?conversationId=c"


@pytest.fixture
async def replicated(followed: Followed) -> AsyncGenerator[Anima]:
    async with (
        followed.migrated() as url,
        opened(url, FRONTIER, replica_urls=followed.server.standby_urls(url)) as anima,
    ):
        yield anima


async def count_of(client: httpx.AsyncClient, position: str | None = None) -> tuple[int, str]:
    headers = {} if position is None else {POSITION_HEADER: position}
    answer = await client.get(BOOTSTRAP, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["distribution"]["total"], answer.headers[POSITION_HEADER]


async def test_a_process_alone_knows_its_callers_writes(followed: Followed, replicated: Anima) -> None:
    assert replicated.standbys is not None
    async with client_of(replicated) as client:
        await followed.stop_replaying()
        try:
            assert (await client.post(ADD, json={"content": "one"})).status_code == 201
            assert (await count_of(client))[0] == 1
            assert replicated.standbys.by_primary == 1
        finally:
            await followed.go_on()
        assert (await count_of(client))[0] == 1
        assert replicated.standbys.by_standbys == 1


async def test_the_header_has_any_process_know_what_another_wrote(followed: Followed, replicated: Anima) -> None:
    first, second = (Callers({NOBODYS: replicated}, is_alone=False) for _ in range(2))
    async with client_of(replicated, callers=first) as one, client_of(replicated, callers=second) as other:
        _, before = await count_of(other)
        await followed.caught_up()
        await followed.stop_replaying()
        try:
            written = (await one.post(ADD, json={"content": "one"})).headers[POSITION_HEADER]
            assert (await count_of(other, before))[0] == 0, "nothing of its own is missing there"
            assert (await count_of(other, written))[0] == 1
            assert (await count_of(other))[0] == 1, "of who sends nothing nobody knows what he wrote"
        finally:
            await followed.go_on()


@pytest.mark.parametrize("sent", ["", "-1", "1.5", "x", "٣", str(2**63)])
async def test_a_position_that_no_answer_said_is_refused(replicated: Anima, sent: str) -> None:
    async with client_of(replicated) as client:
        answer = await client.get(BOOTSTRAP, headers={POSITION_HEADER.encode(): sent.encode()})
    assert answer.status_code == 400
    assert answer.json()["error"]["details"]["issues"] == [
        {"path": POSITION_HEADER, "message": "is not what an earlier answer said"}
    ]


async def test_without_standbys_no_answer_has_the_header(database_url: str) -> None:
    async with opened(database_url, FRONTIER) as anima, client_of(anima) as client:
        assert POSITION_HEADER not in (await client.post(ADD, json={"content": "one"})).headers


def test_who_was_forgotten_is_taken_for_the_one_who_wrote_last(replicated: Anima) -> None:
    callers = Callers({NOBODYS: replicated})
    for number in range(CALLERS_MAX + 2):
        callers.known(f"key {number}").extend(number)
    assert len(callers.histories) == CALLERS_MAX
    assert callers.known("key 0") == CallerHistory(1)
