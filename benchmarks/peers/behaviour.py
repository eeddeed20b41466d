"""What no latency shows: what a search writes down, what identical adds leave, what a killed server loses."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import asyncpg

from harness.measuring.servers.provisioners.protocol import Server
from peers.common import Embeddings, Peer, Setup, fill, installed_version, new_texts, questions, tenant_of
from peers.target import TUNED, peer_named

SIZE: Final = 200
SIDE_BY_SIDE: Final = 8
ADDED: Final = 20
WRITTEN: Final = """
SELECT relname FROM pg_stat_user_tables WHERE n_tup_ins + n_tup_upd + n_tup_del > 0 ORDER BY relname
"""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Of one peer."""

    version: str
    written_by_a_search: tuple[str, ...]
    """The tables in which a search inserts, updates or deletes rows."""
    duplicates: int
    """Rows of one text that was added eight times at once, beyond the first."""
    refused: int
    """How many of the eight adds ended in an error."""
    lost: int
    """Of twenty memories whose add was answered, those that are not there after every process was killed."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


async def behaviour_of(server: Server, variant: str) -> Behaviour:
    kind = peer_named(variant.removesuffix(TUNED))
    url = await server.create_database(f"behaviour_{variant.replace('-', '_')}")
    peer = kind(Setup(url, SIDE_BY_SIDE, variant.endswith(TUNED), Embeddings(0)))
    await fill(peer, SIZE)
    written = await written_by_a_search(peer)
    copies, refused = await duplicates(peer)
    return Behaviour(installed_version(kind), written, copies, refused, await lost(server, peer))


async def written_by_a_search(peer: Peer) -> tuple[str, ...]:
    """A session tells the server what it wrote when it ends, so it is closed before that is read."""
    connection = await asyncpg.connect(peer.setup.url)
    try:
        await connection.execute("SELECT pg_stat_reset()")
        await peer.connect()
        for question in questions()[:3]:
            await peer.search(question, None)
        await peer.drain()
        await peer.close()
        while await connection.fetchval(  # noqa: ASYNC110 -- the server cannot set an event here
            "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() "
            "AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        ):
            await asyncio.sleep(0.05)
        await connection.execute("SELECT pg_stat_clear_snapshot()")
        return tuple(row[0] for row in await connection.fetch(WRITTEN) if not row[0].startswith("pgqueuer"))
    finally:
        await connection.close()


async def duplicates(peer: Peer) -> tuple[int, int]:
    """Rows beyond the first, and adds that were refused."""
    text = new_texts()[0]
    await peer.connect()
    adds = (peer.add(text, tenant_of(0)) for _ in range(SIDE_BY_SIDE))
    ended = await asyncio.gather(*adds, return_exceptions=True)
    await peer.drain()
    await peer.close()
    rows = len([each for each in await _texts(peer) if each == text])
    return rows - 1, len([each for each in ended if isinstance(each, BaseException)])


async def lost(server: Server, peer: Peer) -> int:
    added = new_texts()[1 : 1 + ADDED]
    await peer.connect()
    for number, text in enumerate(added):
        await peer.add(text, tenant_of(number))
    async with server.disrupted("kill"):
        pass
    try:
        await peer.close()
    except Exception as error:  # noqa: BLE001 -- what it was connected to is gone
        del error
    kept = set(await _texts(peer))
    return len([text for text in added if text not in kept])


async def _texts(peer: Peer) -> Sequence[str]:
    connection = await asyncpg.connect(peer.setup.url)
    try:
        rows = await connection.fetch(f"SELECT {peer.layout.text} FROM {peer.layout.table}")  # noqa: S608 -- constants
        return [row[0] for row in rows]
    finally:
        await connection.close()
