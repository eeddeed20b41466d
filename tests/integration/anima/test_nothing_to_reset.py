"""A connection is given back without a reset (docs/decisions/0013), so no operation leaves anything in its session."""

import pytest

from anima.database import PoolSettings, Session, open_database
from anima.model import BootstrapRequest, NewMemory, Query
from anima.strategy import BATCHED, FRONTIER, NAIVE, Strategy
from tests.memories import opened, rows

LEFT = """
    SELECT
        (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory') AS locks,
        (SELECT count(*) FROM pg_cursors WHERE statement NOT LIKE '%pg_cursors%') AS cursors,
        (SELECT count(*) FROM pg_listening_channels()) AS channels,
        (SELECT jsonb_object_agg(name, setting) FROM pg_settings WHERE source = 'session') AS settings
"""


async def left(session: Session) -> dict[str, object]:
    await session.connection.fetchval("SELECT '[1]'::vector")  # The extension's settings are told once it is loaded.
    (found,) = await rows(session, LEFT)
    return found


@pytest.mark.parametrize("strategy", [NAIVE, BATCHED, FRONTIER], ids=lambda strategy: strategy.name)
async def test_no_operation_leaves_anything_in_its_session(
    database_url: str, strategy: Strategy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anima.recalls.one_statement.RANKED_AT_ONCE", -1)
    async with open_database(database_url, PoolSettings(1)) as database, database.session() as session:
        fresh = await left(session)
    async with opened(database_url, strategy) as anima:
        for content in ("a breakthrough", "another"):
            await anima.memory.add(NewMemory(content=content))
        await anima.memory.query(Query(query="a breakthrough", similarity_threshold=0, conversation_id="c"))
        await anima.memory.bootstrap(BootstrapRequest(conversation_id="c"))
        await anima.background.drain()
        pool = anima.memory.database.pool
        held = [await pool.acquire() for _ in range(pool.get_idle_size())]
        found = [await left(Session(connection)) for connection in held]
        for connection in held:
            await pool.release(connection)
    assert found == [fresh] * len(found) != []
