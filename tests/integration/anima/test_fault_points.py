"""A process that dies between any two statements leaves the tables as if it had not begun, or as if it had ended.

The points are enumerated: each handler and request is run once to see its statements, then killed after each of them.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final
from uuid import UUID, uuid4

import pytest

from anima.assembly import Anima
from anima.database import Executed, Session
from anima.errors import DatabaseUnavailable
from anima.model import NewMemory, Query
from anima.strategy import BATCHED, Strategy
from anima.work import AnyWork, Consolidate, DetectCatalyst, RecordCoOccurrence
from harness.measuring.servers.provisioners.protocol import Server
from tests.memories import AT_098, EAST, NOON, PLACED, leaning, opened, plant, session_on, tables, value
from tests.waiting import until

OLDER, NEWER, SHARED, OTHER = (UUID(int=number) for number in range(1, 5))
LATER: Final = NOON + timedelta(hours=1)

HANDLED: Final[dict[str, tuple[Strategy, AnyWork]]] = {
    "co-occurrence, batched": (
        BATCHED,
        RecordCoOccurrence(memory_ids=(SHARED, OTHER, NEWER), conversation_id="c", at=LATER),
    ),
    "co-occurrence, per pair": (
        replace(BATCHED, associations="per_pair"),
        RecordCoOccurrence(memory_ids=(SHARED, OTHER, NEWER), conversation_id="c", at=LATER),
    ),
    "consolidation, nearest": (BATCHED, Consolidate(memory_id=NEWER, at=LATER)),
    "consolidation, full scan": (
        replace(BATCHED, consolidation="full_scan"),
        Consolidate(memory_id=NEWER, at=LATER),
    ),
    "catalyst detection": (BATCHED, DetectCatalyst(memory_id=OTHER, at=LATER)),
}


class Killed(BaseException):
    """The process ends here; nothing may catch it and go on."""


@dataclass
class Fault:
    """Cuts every connection, and ends the caller, right after the `point`th wait for the server."""

    point: int = 0
    seen: list[str] = field(default_factory=list)
    anima: Anima | None = None

    def __call__(self, executed: Executed) -> None:
        self.seen.append(executed.name)
        if len(self.seen) == self.point:
            assert self.anima is not None
            self.anima.memory.database.pool.terminate()
            raise Killed


async def die(url: str, strategy: Strategy, fault: Fault, act: Callable[[Anima], Awaitable[object]]) -> None:
    """Acts until the fault ends it, and waits until the server has noticed."""
    async with opened(url, strategy, {"east": EAST}, observer=fault) as anima:
        fault.anima = anima
        with suppress(Killed, DatabaseUnavailable):
            await act(anima)
    async with session_on(url) as session:
        await until(lambda: alone(session))


async def alone(session: Session) -> bool:
    """Whether no other connection to this database is left, and so no transaction of one."""
    others = "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    return bool(await value(session, others))


async def read(url: str) -> dict[str, list[str]]:
    async with session_on(url) as session:
        return await tables(session)


@pytest.fixture
async def copy(database_url: str, server: Server) -> AsyncGenerator[Callable[[], Awaitable[str]]]:
    """Copies the test's database, to see there what happens without a fault."""
    name = f"test_{uuid4().hex}"

    async def clone() -> str:
        return await server.clone_database(database_url.rpartition("/")[2].partition("?")[0], name)

    yield clone
    await server.drop_database(name)


async def prepare(url: str, work: AnyWork) -> None:
    """Memories that any kind of work has something to do with, and the work."""
    async with session_on(url) as session:
        await plant(session, EAST, memory_id=OLDER)
        await plant(session, AT_098, memory_id=NEWER, created_at=LATER, is_catalyst=True)
        await plant(session, leaning(0.3), memory_id=SHARED)
        await plant(session, leaning(0.2), memory_id=OTHER, content="a breakthrough")
        for pair in ((OLDER, SHARED), (NEWER, SHARED), (NEWER, OTHER)):
            await session.connection.execute(
                "INSERT INTO memory_associations (memory_a_id, memory_b_id, strength) VALUES ($1, $2, 0)", *pair
            )
    async with opened(url, BATCHED) as anima, anima.memory.database.session() as session:
        await anima.background.accept(session, [work])


@pytest.mark.slow
@pytest.mark.parametrize("handled", HANDLED)
async def test_a_worker_that_dies_at_any_point_has_done_its_work_once_after_a_restart(
    database_url: str, copy: Callable[[], Awaitable[str]], handled: str
) -> None:
    strategy, work = HANDLED[handled]

    async def run_once(anima: Anima) -> None:
        await anima.background.run_once(work.kind)

    await prepare(database_url, work)
    before = await read(database_url)
    undisturbed, reference = Fault(), await copy()
    async with opened(reference, strategy, observer=undisturbed) as anima:
        await run_once(anima)
    done_once = await read(reference)
    assert undisturbed.seen[-1] == "commit"
    assert done_once != before

    for point in range(1, len(undisturbed.seen)):
        fault = Fault(point)
        await die(database_url, strategy, fault, run_once)
        assert fault.seen[:point] == undisturbed.seen[:point]
        assert await read(database_url) == before, f"killed after {undisturbed.seen[point - 1]}"
    await die(database_url, strategy, Fault(len(undisturbed.seen)), run_once)
    assert await read(database_url) == done_once

    async with opened(database_url, strategy) as anima:
        assert await anima.background.drain() == 0
    assert await read(database_url) == done_once


async def add(anima: Anima) -> None:
    await anima.memory.add(NewMemory(content="a day"))


async def query(anima: Anima) -> None:
    await anima.memory.query(Query(query="east", conversation_id="c"))


WRITTEN = """
    SELECT (SELECT count(*) FROM memories WHERE content = 'a day'), (SELECT sum(access_count) FROM current_memories),
        (SELECT count(*) FROM current_access_log), (SELECT count(*) FROM tier_promotions),
        (SELECT count(*) FROM current_associations),
        (SELECT count(*) FROM pgqueuer) + (SELECT count(*) FROM memory_recalls)
"""


async def written(url: str) -> tuple[int, ...]:
    async with session_on(url) as session:
        row = await session.connection.fetchrow(WRITTEN)
    assert row is not None
    return tuple(map(int, row))


@pytest.mark.parametrize("request_", [add, query])
@pytest.mark.parametrize("placed", ["batched", "frontier", "naive-background"])
async def test_a_request_that_dies_at_any_point_has_done_nothing_or_has_had_its_work_accepted(
    database_url: str, copy: Callable[[], Awaitable[str]], placed: str, request_: Callable[[Anima], Awaitable[None]]
) -> None:
    strategy = PLACED[placed]
    async with session_on(database_url) as session:
        await plant(session, EAST, access_count=4)
        await plant(session, leaning(0.9), access_count=19)
    before = await written(database_url)
    undisturbed, reference = Fault(), await copy()
    async with opened(reference, strategy, {"east": EAST}, observer=undisturbed) as anima:
        await request_(anima)
    done = await written(reference)
    assert done[-1] > 0

    for point in range(1, len(undisturbed.seen)):
        await die(database_url, strategy, Fault(point), request_)
        assert await written(database_url) == before, f"killed after {undisturbed.seen[point - 1]}"
    await die(database_url, strategy, Fault(len(undisturbed.seen)), request_)
    assert await written(database_url) == done


WORKER_THAT_STOPS_IN_THE_MIDDLE = """
import asyncio, signal, sys
from anima.strategy import BATCHED
from tests.memories import opened

def stop(executed):
    if executed.name == "merge.absorb":
        print("half merged", flush=True)
        signal.pause()

async def work():
    async with opened(sys.argv[1], BATCHED, observer=stop) as anima:
        await anima.background.run(asyncio.Event())

asyncio.run(work())
"""


@pytest.mark.slow
async def test_a_worker_process_killed_in_the_middle_of_a_merge_leaves_it_to_the_next(
    database_url: str, copy: Callable[[], Awaitable[str]]
) -> None:
    await prepare(database_url, Consolidate(memory_id=NEWER, at=LATER))
    before, reference = await read(database_url), await copy()
    async with opened(reference, BATCHED) as anima:
        await anima.background.drain()

    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER_THAT_STOPS_IN_THE_MIDDLE, database_url, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert worker.stdout is not None
        assert await worker.stdout.readline() == b"half merged\n"
    finally:
        worker.kill()
        await worker.wait()
    async with session_on(database_url) as session:
        await until(lambda: alone(session))
    assert await read(database_url) == before

    async with opened(database_url, BATCHED) as anima:
        assert await anima.background.drain() == 0
    assert await read(database_url) == await read(reference)
