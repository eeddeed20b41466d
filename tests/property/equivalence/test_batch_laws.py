"""A batch is one set: how it is cut into statements, in which order and how often its ids come changes no table."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from anima.access_records import ACCESS_RECORDS
from anima.access_records.protocol import Access, AccessRecords
from anima.associations import ASSOCIATIONS
from anima.associations.batched import BatchedAssociations
from anima.associations.protocol import Associations, CoOccurrence
from anima.database import Session
from anima.model import Promotion, Tier
from harness.measuring.servers.provisioners.protocol import Server
from tests.memories import NOON, plant, session_on, tables

MEMORIES = [UUID(int=number) for number in range(100)]
HISTORIES = [(Tier.ACTIVE, 3), (Tier.ACTIVE, 4), (Tier.THREAD, 18), (Tier.THREAD, 19), (Tier.NETWORK, 40)]
AT = NOON + timedelta(hours=1)

some_ids = st.lists(st.sampled_from(MEMORIES[:12]), max_size=30)

Tables = dict[str, list[str]]


@pytest.fixture(scope="module")
def session(runner: asyncio.Runner, server: Server, template: str) -> Generator[Session]:
    """In a transaction, so that the server's time stands still too."""
    name = f"laws_{uuid4().hex}"
    stack = AsyncExitStack()

    async def prepared() -> Session:
        session = await stack.enter_async_context(session_on(await server.clone_database(template, name)))
        await stack.enter_async_context(session.transaction())
        for number, memory_id in enumerate(MEMORIES):
            tier, access_count = HISTORIES[number % len(HISTORIES)]
            await plant(session, memory_id=memory_id, tier=tier, access_count=access_count, phi=4.85)
        # It takes a second write of one moment for a write that forgot the time.
        await session.connection.execute("ALTER TABLE memories DISABLE TRIGGER memories_set_updated_at")
        # The server's clock is ahead of this test's, and of two times of a memory the later counts.
        await session.connection.execute("UPDATE memories SET updated_at = created_at")
        return session

    yield runner.run(prepared())
    runner.run(stack.aclose())
    runner.run(server.drop_database(name))


async def written(session: Session, *writes: Callable[[], Awaitable[object]]) -> Tables:
    """What the tables are after these, which are then taken back."""
    savepoint = session.connection.transaction()
    await savepoint.start()
    try:
        for write in writes:
            await write()
        return await tables(session)
    finally:
        await savepoint.rollback()


def associated(
    runner: asyncio.Runner, session: Session, associations: Associations, *batches: Sequence[UUID]
) -> Tables:
    """One conversation after the other."""
    co_occurrences = [CoOccurrence(ids, f"conversation {number}", AT) for number, ids in enumerate(batches)]
    writes = [lambda each=each: associations.record(session, each) for each in co_occurrences]
    return runner.run(written(session, *writes))


def accessed(
    runner: asyncio.Runner, session: Session, records: AccessRecords, ids: list[UUID], conversation_id: str | None
) -> tuple[Tables, list[tuple[Promotion, ...]]]:
    """The tables after two accesses, and the promotions of each."""
    promotions: list[tuple[Promotion, ...]] = []

    async def record() -> None:
        promotions.append(await records.record(session, Access(ids, conversation_id, AT)))

    return runner.run(written(session, record, record)), promotions


@given(chunk=st.integers(1, 70), first=some_ids, second=some_ids)
@example(chunk=1, first=MEMORIES[:12], second=MEMORIES[:12])
@example(chunk=1000, first=MEMORIES, second=MEMORIES[:2])
@example(chunk=99, first=MEMORIES, second=[])
@pytest.mark.slow
def test_any_chunk_gives_the_tables_of_one_pair_at_a_time(
    runner: asyncio.Runner, session: Session, chunk: int, first: list[UUID], second: list[UUID]
) -> None:
    batched = BatchedAssociations(pairs_per_statement=chunk)
    expected = associated(runner, session, ASSOCIATIONS["per_pair"], first, second)
    assert associated(runner, session, batched, first, second) == expected


@pytest.mark.parametrize("associations", ASSOCIATIONS.values(), ids=ASSOCIATIONS)
@given(ids=some_ids)
@example(ids=[])
@example(ids=MEMORIES[:1] * 2)
@example(ids=MEMORIES[12::-1] * 2)
def test_co_occurrence_is_of_a_set(
    runner: asyncio.Runner, session: Session, associations: Associations, ids: list[UUID]
) -> None:
    assert associated(runner, session, associations, ids) == associated(runner, session, associations, sorted(set(ids)))


@pytest.mark.slow
@pytest.mark.parametrize("records", ACCESS_RECORDS.values(), ids=ACCESS_RECORDS)
@given(ids=some_ids, conversation_id=st.none() | st.just("c"))
@example(ids=[], conversation_id="c")
@example(ids=MEMORIES[:1] * 2, conversation_id="c")
@example(ids=MEMORIES[::-1] * 2, conversation_id="c")
def test_an_access_is_of_a_set(
    runner: asyncio.Runner, session: Session, records: AccessRecords, ids: list[UUID], conversation_id: str | None
) -> None:
    """And both ways to record it write and return the same, twice in a row."""
    expected = accessed(runner, session, ACCESS_RECORDS["per_memory"], sorted(set(ids)), conversation_id)
    assert accessed(runner, session, records, ids, conversation_id) == expected
