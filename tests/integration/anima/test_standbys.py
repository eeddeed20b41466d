"""Reads on standbys: who may be answered by one, and what happens to one that falls behind, ends or is promoted."""

from collections.abc import AsyncGenerator

import pytest

from anima.assembly import Anima
from anima.database import Executed
from anima.errors import DatabaseUnavailable
from anima.model import BootstrapRequest, NewMemory, Query
from anima.standbys import CallerHistory
from anima.strategy import BATCHED, FRONTIER, NAIVE, Strategy
from harness.measuring.servers.provisioners._shared.databases import connected
from harness.measuring.servers.provisioners.embedded import EmbeddedProvisioner
from tests.conftest import THROWAWAY_SETTINGS
from tests.followed import Followed
from tests.memories import opened
from tests.waiting import until

pytestmark = pytest.mark.slow

EACH = pytest.mark.parametrize("strategy", [NAIVE, BATCHED, FRONTIER], ids=lambda strategy: strategy.name)
BOOTSTRAP = BootstrapRequest(conversation_id="c")
ALL = Query(query="a walk by the river", similarity_threshold=0, conversation_id="c")


@pytest.fixture
async def url(followed: Followed) -> AsyncGenerator[str]:
    async with followed.migrated() as url:
        yield url


async def contents(anima: Anima, history: CallerHistory) -> set[str]:
    bootstrap = await anima.of_caller(history).bootstrap(BOOTSTRAP)
    return {memory.content for memory in bootstrap.active}


def answered(anima: Anima) -> tuple[int, int]:
    """By standbys, by the primary."""
    assert anima.standbys is not None
    return anima.standbys.by_standbys, anima.standbys.by_primary


@EACH
async def test_a_caller_reads_own_writes_while_a_standby_lags(followed: Followed, url: str, strategy: Strategy) -> None:
    async with opened(url, strategy, replica_urls=followed.server.standby_urls(url)) as anima:
        writer, reader = CallerHistory(), CallerHistory()
        await anima.of_caller(writer).add(NewMemory(content="a walk by the river"))
        await followed.caught_up()
        assert await contents(anima, writer) == {"a walk by the river"}
        await followed.caught_up()
        assert answered(anima) == (1, 0)
        await followed.stop_replaying()
        try:
            await anima.of_caller(writer).add(NewMemory(content="something else entirely"))
            assert await contents(anima, writer) == {"a walk by the river", "something else entirely"}
            assert answered(anima) == (1, 1)
            assert await contents(anima, reader) == {"a walk by the river"}
            assert answered(anima) == (2, 1)
        finally:
            await followed.go_on()
        await contents(anima, CallerHistory(writer.position))
        assert answered(anima) == (3, 1)


@EACH
async def test_what_is_recorded_counts_on_from_the_primary_whatever_the_standby_said(
    followed: Followed, url: str, strategy: Strategy
) -> None:
    async with opened(url, strategy, replica_urls=followed.server.standby_urls(url)) as anima:
        await anima.memory.add(NewMemory(content="a walk by the river"))
        await anima.background.drain()
        await followed.caught_up()
        await followed.stop_replaying()
        try:
            stale = [(await anima.of_caller(CallerHistory()).query(ALL)) for _ in range(5)]
        finally:
            await followed.go_on()
        assert answered(anima) == (5, 0)
        assert [found.memories[0].memory.access_count for found in stale] == [0, 0, 0, 0, 0]
        assert [len(found.promotions) for found in stale] == [0, 0, 0, 0, 1]
        assert stale[-1].memories[0].memory.tier == "thread"
        (found,) = (await anima.memory.query(ALL)).memories
        assert (found.memory.access_count, found.memory.tier) == (5, "thread")


async def test_a_query_is_a_search_there_and_a_record_here(followed: Followed, url: str) -> None:
    seen: list[Executed] = []
    standbys = followed.server.standby_urls(url)
    async with opened(url, FRONTIER, observer=seen.append, replica_urls=standbys) as anima:
        caller = anima.of_caller(CallerHistory())
        await caller.add(NewMemory(content="a walk by the river"))
        assert [executed.name for executed in seen] == ["add", "standby.written"]
        await followed.caught_up()
        await caller.query(ALL)
        seen.clear()
        await followed.caught_up()
        await caller.query(ALL)
        assert [executed.name for executed in seen] == [
            "standby.replayed",
            "query.search",
            "query.record",
            "standby.written",
        ]


async def test_a_standby_that_ends_is_left_out_and_taken_back(followed: Followed, url: str) -> None:
    async with opened(url, FRONTIER, replica_urls=followed.server.standby_urls(url)) as anima:
        caller = CallerHistory()
        await anima.of_caller(caller).add(NewMemory(content="a walk by the river"))
        await followed.caught_up()
        assert await contents(anima, caller) == {"a walk by the river"}
        assert answered(anima) == (1, 0)
        async with followed.standby.disrupted("kill"):
            for _ in range(3):
                assert await contents(anima, caller) == {"a walk by the river"}
            assert answered(anima) == (1, 3)

        async def is_taken_back() -> bool:
            assert await contents(anima, caller) == {"a walk by the river"}
            return answered(anima)[0] == 2

        await until(is_taken_back)


async def test_a_service_begins_without_its_standby_and_finds_it_later(followed: Followed, url: str) -> None:
    async with (
        followed.standby.disrupted("restart"),
        opened(url, FRONTIER, replica_urls=followed.server.standby_urls(url)) as anima,
    ):
        assert await contents(anima, CallerHistory()) == set()
        assert answered(anima) == (0, 1)


async def test_a_promoted_standby_takes_the_writes_and_is_no_standby_any_more() -> None:
    async with EmbeddedProvisioner(standbys=1).start(THROWAWAY_SETTINGS | {"synchronous_commit": "on"}) as server:
        pair = Followed(server)
        await pair.prepare()
        async with pair.migrated() as url:
            (standby_url,) = server.standby_urls(url)
            async with opened(of_both(url, standby_url), FRONTIER, replica_urls=[standby_url]) as anima:
                caller = CallerHistory()
                await anima.of_caller(caller).add(NewMemory(content="before"))
                await pair.caught_up()
                async with server.disrupted("kill"):
                    async with connected(pair.standby.admin_url) as connection:
                        assert await connection.fetchval("SELECT pg_promote()")
                    await until(lambda: takes_writes(anima))
                    await anima.of_caller(caller).add(NewMemory(content="after"))
                    assert await contents(anima, caller) == {"before", "after"}
                    assert answered(anima) == (0, 1)


def of_both(url: str, standby_url: str) -> str:
    """As an operator names a pair, of which the one that takes writes is wanted."""
    hosts, standby_host = (each.partition("@")[2].partition("/")[0] for each in (url, standby_url))
    return url.replace(hosts, f"{hosts},{standby_host}").replace("session_attrs=any", "session_attrs=read-write")


async def takes_writes(anima: Anima) -> bool:
    try:
        return await anima.memory.database.takes_writes()
    except DatabaseUnavailable:
        return False
