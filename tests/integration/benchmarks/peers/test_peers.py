"""Each peer on a real server: filled in bulk as by its own interface, asked, and opened and closed as a target is."""

from collections.abc import AsyncGenerator, Callable
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from peers import behaviour, common, target
from peers.common import EVERYONE, LIMIT, Embeddings, Peer, Setup, fill, new_texts, questions, tenant_of

from harness.errors import UsageError
from harness.measuring.servers.provisioners import provisioner
from harness.measuring.servers.provisioners.protocol import DatabaseSettings, Server

SIZE = 120

Made = Callable[[str], Any]


@pytest.fixture(autouse=True)
def _few_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is embedded when it is asked for, so that a test waits for few."""
    monkeypatch.setattr(common, "_all_asked", dict)
    monkeypatch.setattr(common, "RECALL_QUERIES", 2)


@pytest.fixture
async def empty_url(server: Server) -> AsyncGenerator[str]:
    name = f"test_{uuid4().hex}"
    yield await server.create_database(name)
    await server.drop_database(name)


def made(variant: str, url: str) -> Peer:
    """Skips the test where the extra is not installed."""
    try:
        kind = target.peer_named(variant.removesuffix(target.TUNED))
        common.installed_version(kind)
    except UsageError as error:
        pytest.skip(str(error))
    return kind(Setup(url, 2, variant.endswith(target.TUNED), Embeddings(0)))


@pytest.mark.parametrize("variant", target.Peers.variants)
async def test_it_finds_what_is_there_and_keeps_what_is_added(variant: str, empty_url: str) -> None:
    peer = made(variant, empty_url)
    await fill(peer, SIZE)
    await peer.connect()
    try:
        facts = await common.facts_of(peer)
        found = await peer.search(questions()[0], None)
        text = new_texts()[3]
        await peer.add(text, tenant_of(3))
        await peer.drain()
        again = await peer.search(text, None)
        of_tenant = await peer.search(text, tenant_of(3)) if peer.filters else []
        of_all = await peer.search(text, EVERYONE) if peer.filters else again
    finally:
        await peer.close()
    assert (facts["rows"], facts["dimensions"], facts["distance"]) == (SIZE, common.DIMENSIONS, 0)
    assert all(share >= 0.9 for name, share in facts.items() if name.startswith("recall_"))
    assert len(found) == LIMIT
    assert again[0] == text
    assert text in of_all
    # Two or three of a tenant were there, and the one that was added.
    assert not peer.filters or (text in of_tenant and len(of_tenant) == 1 + len(range(3, SIZE, common.TENANTS)))


@pytest.mark.parametrize("name", [name for name in target.MODULES if name not in target.OURS])
async def test_what_was_loaded_in_bulk_looks_like_what_it_adds_itself(name: str, empty_url: str) -> None:
    peer = made(name, empty_url)
    await fill(peer, 2)
    await peer.connect()
    await peer.add(new_texts()[0], tenant_of(0))
    await peer.close()
    for table in peer.layout.table.replace(" AS v JOIN store AS s USING (prefix, key)", ",store").split(","):
        shapes = [_shape(row) for row in await _rows(empty_url, table)]
        assert len(shapes) == 3
        assert all(shape == shapes[0] for shape in shapes), table


async def _rows(url: str, table: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        rows: list[asyncpg.Record] = await connection.fetch(f"SELECT to_jsonb(t) AS row FROM {table} AS t")
        return rows
    finally:
        await connection.close()


def _shape(row: asyncpg.Record) -> Any:
    """The keys, and those of what is JSON within, with whether they have a value."""
    import json  # noqa: PLC0415 -- one test's

    def shaped(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: shaped(inner) for key, inner in value.items()}
        return value is not None

    return shaped(json.loads(row["row"]))


async def test_a_search_of_a_bare_table_writes_nothing_and_the_table_keeps_every_copy(empty_url: str) -> None:
    peer = made("asyncpg", empty_url)
    await fill(peer, SIZE)
    assert await behaviour.written_by_a_search(peer) == ()
    assert await behaviour.duplicates(peer) == (7, 0)


@pytest.mark.slow
async def test_a_search_of_frontier_writes_down_its_accesses_and_it_keeps_one_copy(empty_url: str) -> None:
    peer = made("frontier", empty_url)
    await fill(peer, SIZE)
    assert "memory_states" in await behaviour.written_by_a_search(peer)
    assert await behaviour.duplicates(peer) == (0, 0)


@pytest.mark.slow
async def test_what_was_answered_is_there_after_every_process_of_the_server_was_killed() -> None:
    starting = await provisioner(DatabaseSettings(provisioner="embedded"))
    async with starting.start({}) as own:
        assert (await behaviour.behaviour_of(own, "frontier")).lost == 0
