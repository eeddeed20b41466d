"""The whole system in a schema of its own, beside another one in the same database."""

from urllib.parse import quote

import pytest

from anima.assembly import Anima
from anima.database import Session
from anima.migrations import all_migrations, migrate, status
from anima.model import BootstrapRequest, NewMemory, Query
from anima.strategy import BATCHED, FRONTIER, NAIVE, Strategy
from tests.memories import AT_098, EAST, opened, rows, session_on, tables, value

pytestmark = pytest.mark.slow

VECTORS = {"first": EAST, "second": AT_098}
PATHS = {
    "the schema, and public for the extension": "own,public",
    "the schema alone": "own",
    "a schema whose name needs quotes": '"Their Own"',
}


@pytest.fixture(params=PATHS)
async def own_url(request: pytest.FixtureRequest, empty_url: str) -> str:
    """The URL of a database with pgvector in `public`, that leads into a schema of its own."""
    path = PATHS[request.param]
    async with session_on(empty_url) as session:
        await session.connection.execute(f"CREATE SCHEMA {path.partition(',')[0]}")
    escaped = path.replace(" ", "\\ ")
    return f"{empty_url}&options={quote(f'-csearch_path={escaped}')}"


async def use(anima: Anima) -> None:
    for content in ("first", "second", "a breakthrough"):
        await anima.memory.add(NewMemory(content=content))
    await anima.background.drain()
    for _ in range(5):
        await anima.memory.query(Query(query="first", similarity_threshold=0.0, conversation_id="c"))
    await anima.memory.bootstrap(BootstrapRequest(conversation_id="c"))
    assert await anima.background.drain() == 0


@pytest.mark.parametrize("strategy", [NAIVE, BATCHED, FRONTIER], ids=["naive", "batched", "frontier"])
async def test_everything_works_in_a_schema_of_its_own(own_url: str, empty_url: str, strategy: Strategy) -> None:
    assert len(await migrate(own_url)) == len(all_migrations())
    async with opened(own_url, strategy, VECTORS) as anima:
        await use(anima)
    async with session_on(own_url) as session:
        written = await tables(session)
    assert len(written["memory_associations"]) == 1
    assert len(written["tier_promotions"]) == 2
    async with session_on(empty_url) as session:
        assert await own_objects(session, "public") == []


async def own_objects(session: Session, schema: str) -> list[str]:
    """Relations and types of that schema that no extension brought."""
    found = await rows(
        session,
        "SELECT relname FROM pg_class WHERE relnamespace = $1::regnamespace"
        " AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')",
        schema,
    )
    return [row["relname"] for row in found]


async def test_a_system_in_public_is_neither_seen_nor_touched(own_url: str, empty_url: str) -> None:
    await migrate(empty_url)
    async with opened(empty_url, BATCHED, VECTORS) as anima:
        await use(anima)
    async with session_on(empty_url) as session:
        before = await tables(session)

    assert not any(known.applied for known in await status(own_url))
    assert len(await migrate(own_url)) == len(all_migrations())
    assert all(known.applied for known in await status(own_url))
    async with opened(own_url, BATCHED, VECTORS) as anima:
        await use(anima)

    async with session_on(empty_url) as session:
        assert await tables(session) == before


async def test_an_invalid_index_of_another_schema_is_left_to_its_owner(own_url: str, empty_url: str) -> None:
    await migrate(empty_url)
    async with session_on(empty_url) as session:
        await session.connection.execute("CREATE INDEX idx_memories_tier_accessed ON memories (tier)")
        await session.connection.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_memories_tier_accessed'::regclass"
        )
        await migrate(own_url)
        assert await value(session, "SELECT to_regclass('public.idx_memories_tier_accessed')") is not None


async def test_the_schema_can_be_removed_with_all_that_is_in_it(own_url: str, empty_url: str) -> None:
    await migrate(own_url)
    async with session_on(empty_url) as session:
        schema = await value(session, "SELECT nspname FROM pg_namespace WHERE nspname ILIKE '%own'")
        await session.connection.execute(f'DROP SCHEMA "{schema}" CASCADE')
        assert await value(session, "SELECT count(*) FROM pg_extension WHERE extname = 'vector'") == 1
