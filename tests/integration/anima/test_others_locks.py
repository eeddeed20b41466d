"""A client of its own changes and deletes memories, in one order or another, beside `frontier`: nothing deadlocks.

Who waits is held there by a session that has what it waits for, so that each case meets as it is written.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Final
from uuid import UUID

import pytest

from anima import merges
from anima.chores import APART, FOLD, REKEY
from anima.consolidations import CONSOLIDATIONS
from anima.database import Session
from anima.model import Query
from anima.strategy import FRONTIER
from tests.memories import AT_098, EAST, NOON, leaning, opened, plant, rows, session_on, value
from tests.waiting import until

FIRST, SECOND = UUID(int=1), UUID(int=2)
ONE, ALL = "UPDATE memories SET deleted_at = now() WHERE id = $1", "UPDATE memories SET deleted_at = now()"
WAITING: Final = """
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
"""
ORDERS: Final = [(FIRST, SECOND), (SECOND, FIRST)]


async def wait_for_waiting(session: Session, count: int) -> None:
    async def are_waiting() -> bool:
        return bool(await value(session, WAITING) == count)

    await until(are_waiting)


@asynccontextmanager
async def begun(url: str) -> AsyncGenerator[Session]:
    """In a transaction; a deadlock would be noticed at once, and not after a second."""
    async with session_on(url) as session:
        await session.connection.execute("SET deadlock_timeout = '10ms'")
        async with session.transaction():
            yield session


async def plant_both(session: Session) -> None:
    """The second lies before the first in the table, so that a change of both comes to it first."""
    await plant(session, AT_098, memory_id=SECOND, created_at=NOON + timedelta(minutes=1))
    await plant(session, EAST, memory_id=FIRST)


async def fold(url: str, session: Session) -> Callable[[], Awaitable[object]]:
    async with opened(url, FRONTIER, {"east": EAST}) as anima:
        await anima.memory.query(Query(query="east", similarity_threshold=0.1, conversation_id="c"))
    return partial(APART[FOLD].do, session)


async def rekey(url: str, session: Session) -> Callable[[], Awaitable[object]]:
    async with session_on(url) as other:
        await other.connection.execute("UPDATE memory_states SET resonance_phi = 1")
    return partial(APART[REKEY].do, session)


async def consolidate(url: str, session: Session) -> Callable[[], Awaitable[object]]:
    del url

    async def merge() -> None:
        async with session.transaction():
            await merges.consolidate(session, CONSOLIDATIONS["augmented"], SECOND, NOON)

    return merge


WORK: Final = {"fold": fold, "rekey": rekey, "consolidate": consolidate}


@pytest.mark.parametrize("order", ORDERS, ids=["first first", "second first"])
@pytest.mark.parametrize("name", WORK)
async def test_a_client_that_deletes_one_by_one_beside_background_work_never_deadlocks(
    database_url: str, session: Session, name: str, order: Sequence[UUID]
) -> None:
    """The work finds one of two rows locked, and then its client wants the other."""
    await plant_both(session)
    async with session_on(database_url) as working:
        await working.connection.execute("SET deadlock_timeout = '10ms'")
        work = await WORK[name](database_url, working)
        async with asyncio.TaskGroup() as group, begun(database_url) as deleting:
            await deleting.connection.execute(ONE, order[0])
            task = group.create_task(_as_coroutine(work))

            await until(partial(_has_met, session, task))
            await deleting.connection.execute(ONE, order[1])
        await work()
    assert await value(session, "SELECT count(*) FROM memories WHERE deleted_at IS NULL") == 0
    assert [await chore.left(session) for chore in APART.values()] == [0, 0]


async def _as_coroutine(work: Callable[[], Awaitable[object]]) -> None:
    await work()


async def test_one_statement_that_deletes_both_locks_them_in_the_order_of_queries(
    database_url: str, session: Session
) -> None:
    """It has the state of the second, and waits; a query has that of the first, and waits for the second."""
    await plant_both(session)
    async with asyncio.TaskGroup() as group, begun(database_url) as holding:
        await holding.connection.execute("SELECT FROM memory_keys WHERE id = $1 FOR UPDATE", SECOND)
        group.create_task(_execute(database_url, ALL))
        await wait_for_waiting(session, 1)
        recorded = group.create_task(
            _execute(database_url, "SELECT record_accesses($1, NULL, now(), false)", [FIRST, SECOND])
        )
        await wait_for_waiting(session, 2)
    assert await recorded == 0
    assert await value(session, "SELECT count(*) FROM memories WHERE deleted_at IS NULL") == 0


async def test_one_statement_that_deletes_both_waits_for_new_keys_and_they_not_for_it(
    database_url: str, session: Session
) -> None:
    """New keys are being written, and wait for a state if they ever do; it has another state, and wants a key."""
    await plant_both(session)
    async with session_on(database_url) as working, asyncio.TaskGroup() as group, begun(database_url) as holding:
        await working.connection.execute("SET deadlock_timeout = '10ms'")
        work = await rekey(database_url, working)
        await holding.connection.execute("SELECT FROM memory_states WHERE id = $1 FOR UPDATE", FIRST)
        task = group.create_task(_as_coroutine(work))

        await until(partial(_has_met, session, task))
        group.create_task(_execute(database_url, ALL))
        await wait_for_waiting(session, 1 if task.done() else 2)
    assert await rows(session, "SELECT id FROM memory_keys") == []


async def _has_met(session: Session, work: asyncio.Task[None]) -> bool:
    """It waits for what another has, or has done what it could."""
    return work.done() or bool(await value(session, WAITING))


async def _execute(url: str, sql: str, *arguments: object) -> int:
    """How many rows it gave."""
    async with session_on(url) as session:
        await session.connection.execute("SET deadlock_timeout = '10ms'")
        return len(await session.connection.fetch(sql, *arguments))


async def test_a_key_that_was_renewed_while_its_state_was_locked_is_not_written_again(
    database_url: str, session: Session
) -> None:
    """A query has the state: the key is there, and its phi is written down when the query is done."""
    await plant(session, leaning(0.9), memory_id=FIRST)
    work = await rekey(database_url, session)
    async with begun(database_url) as asking:
        await asking.connection.execute("SELECT FROM memory_states WHERE id = $1 FOR UPDATE", FIRST)
        await work()
        assert await APART[REKEY].left(session) == 1
        written = await value(session, "SELECT xmin::text FROM memory_keys WHERE id = $1", FIRST)
    assert await work() == 1
    assert await value(session, "SELECT xmin::text FROM memory_keys WHERE id = $1", FIRST) == written
    assert await value(session, "SELECT key_phi FROM memory_states") == pytest.approx(1.5)
    assert await APART[REKEY].left(session) == 0
