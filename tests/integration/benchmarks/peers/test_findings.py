"""What docs/peers.md says of peers, in the versions that were measured: each finding, reproduced."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from peers import common, target
from peers.common import LIMIT, Embeddings, Peer, Setup, fill, questions, vectors

from harness.errors import UsageError
from harness.measuring.servers.provisioners.protocol import Server

SIZE = 300
SCANS = "SELECT indexrelname, idx_scan FROM pg_stat_user_indexes"
OTHERS = """
SELECT count(*) > 0 FROM pg_stat_activity
 WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


@pytest.fixture(autouse=True)
def _few_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "_all_asked", dict)


@pytest.fixture
async def url(server: Server) -> AsyncGenerator[str]:
    """Of an empty database whose sessions use an index wherever there is one that fits."""
    name = f"test_{uuid4().hex}"
    made = await server.create_database(name)
    connection = await asyncpg.connect(made)
    await connection.execute(f'ALTER DATABASE "{made.rpartition("/")[2].partition("?")[0]}" SET enable_seqscan = off')
    await connection.close()
    yield made
    await server.drop_database(name)


def made(name: str, url: str, *, tuned: bool = False) -> Any:
    try:
        kind: type[Peer] = target.peer_named(name)
        common.installed_version(kind)
    except UsageError as error:
        pytest.skip(str(error))
    return kind(Setup(url, 1, tuned, Embeddings(0)))


async def scans(url: str) -> Mapping[str, int]:
    """How often each index was used, once all sessions that used them have ended and told it."""
    connection = await asyncpg.connect(url)
    try:
        while await connection.fetchval(OTHERS):  # noqa: ASYNC110 -- the server cannot set an event here
            await asyncio.sleep(0.02)
        await connection.execute("SELECT pg_stat_clear_snapshot()")
        return {row["indexrelname"]: row["idx_scan"] for row in await connection.fetch(SCANS)}
    finally:
        await connection.close()


@pytest.mark.parametrize(("operators", "used"), [({}, 0), ({"hnsw_dist_method": "halfvec_cosine_ops"}, 1)])
async def test_an_index_of_half_vectors_by_llama_index_is_of_another_distance(
    url: str, operators: dict[str, str], used: int
) -> None:
    """`use_halfvec` makes an index for L2 unless an operator class is named, and queries order by cosine distance."""
    made("llama_index", url)
    from llama_index.core.schema import TextNode  # noqa: PLC0415 -- of an extra
    from llama_index.core.vector_stores.types import VectorStoreQuery  # noqa: PLC0415
    from llama_index.vector_stores.postgres import PGVectorStore  # noqa: PLC0415

    plain = url.partition("://")[2]
    store = PGVectorStore.from_params(
        connection_string=f"postgresql+psycopg2://{plain}",
        async_connection_string=f"postgresql+asyncpg://{plain.replace('sslmode=', 'ssl=')}",
        embed_dim=common.DIMENSIONS,
        use_halfvec=True,
        hnsw_kwargs={"hnsw_m": 16, "hnsw_ef_construction": 64, "hnsw_ef_search": 40, **operators},
    )
    embedded = [[float(each) for each in vector] for vector in vectors(50)]
    await store.async_add([TextNode(text=str(n), embedding=vector) for n, vector in enumerate(embedded)])
    found = await store.aquery(VectorStoreQuery(query_embedding=embedded[0], similarity_top_k=LIMIT))
    await store.close()
    assert len(found.nodes) == LIMIT
    assert (await scans(url))["data_llamaindex_embedding_idx"] == used


async def test_agno_makes_no_index_of_vectors_where_it_creates_its_table(url: str) -> None:
    await fill(made("agno", url), 2)
    assert not [name for name in await scans(url) if "hnsw" in name]


@pytest.mark.parametrize(
    ("driver", "said"), [("psycopg", r"syntax error at or near .\$1"), ("psycopg2", 'column "english" does not exist')]
)
async def test_agno_cannot_optimize(url: str, driver: str, said: str) -> None:
    """By psycopg 3, which binds on the server, values where the server takes none; by psycopg 2 the text index."""
    peer = made("agno", url)
    await fill(peer, 2)
    await peer.open_by(driver)
    with pytest.raises(Exception, match=said):
        await asyncio.to_thread(peer.store.optimize)
    await peer.close()


async def test_agno_returns_as_many_as_it_searches_broadly(url: str) -> None:
    """`HNSW()` has ef_search 5, so that 5 rows come back of 20."""
    peer = made("agno", url, tuned=True)
    await fill(peer, SIZE)
    await peer.connect()
    peer.store.vector_index = type(peer.store.vector_index)()
    found = await peer.search(questions()[0], None)
    await peer.close()
    assert len(found) == 5


async def test_mem0_finds_fewer_than_there_are_of_a_tenant(url: str) -> None:
    """pgvector filters what the index has found: of 40 candidates those of the tenant are left."""
    peer = made("mem0", url)
    await fill(peer, 4_000)
    connection = await asyncpg.connect(url)
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(f'ALTER DATABASE "{name}" SET enable_bitmapscan = off')
    await connection.close()
    await peer.connect()
    found = [len(await peer.search(question, common.tenant_of(7))) for question in questions()[:5]]
    await peer.close()
    assert max(found) < LIMIT
    assert (await scans(url))["mem0_hnsw_idx"] > 0
