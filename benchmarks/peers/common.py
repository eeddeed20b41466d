"""What all peers have in common: the memories, who owns them, their embeddings by text, and how a peer is asked."""

import asyncio
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any, ClassVar, Final

import asyncpg
import numpy as np
import numpy.typing as npt
from pgvector.asyncpg import register_vector

from anima.embeddings.hashing import hashed_vector
from harness.errors import TargetError, UsageError
from harness.measuring.targets.anima.corpora.generated import GeneratedSettings
from harness.measuring.targets.protocol import Response
from harness.testing import operation

SEED: Final = 2
TENANTS: Final = 50
EVERYONE: Final = "everyone"
"""The owner that all memories have beside their tenant."""
LIMIT: Final = 20
DIMENSIONS: Final = 768
EF_SEARCH: Final = 200
"""How broadly the peers of the second column search an HNSW index: as much as finds what exact searches find, so that
their times may be ranked beside those. pgvector's own default is 40.
"""
EF_SEARCH_OF_100000: Final = 800
"""As much as that takes with a hundred thousand memories (docs/frontier.md)."""
ASKED: Final = 4_000
"""More questions, and more new memories, than a run asks."""
RECALL_QUERIES: Final = 20
EXTRA: Final = (
    "install it with: pip install 'anima-harness[bench,peers]', or from a checkout with requirements/peers.lock"
)

NUMBER: Final = {"sequence": {"start": 0, "step": 1}}

# Nothing of a run leaves the machine: what a peer would report to its makers is switched off before it is imported.
for _switch, _off in {
    "MEM0_TELEMETRY": "False",
    "MEM0_DISABLE_NOTICES": "True",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "AGNO_TELEMETRY": "false",
    "AGNO_API_RUNTIME": "prd",
    "LANGSMITH_TRACING": "false",
    "LANGCHAIN_TRACING_V2": "false",
    "ANONYMIZED_TELEMETRY": "False",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "OPENAI_API_KEY": "none is asked",
}.items():
    os.environ[_switch] = _off

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Note:
    """One memory that is there before a run."""

    text: str
    tenant: str


@cache
def notes(size: int) -> Sequence[Note]:
    memories = GeneratedSettings(size=size, seed=SEED).open().memories(size)
    return [Note(memory.content, tenant_of(number)) for number, memory in enumerate(memories)]


def tenant_of(number: int) -> str:
    return f"tenant{number % TENANTS:02d}"


@cache
def vectors(size: int) -> Floats:
    """Of the memories, in their order."""
    return np.stack([hashed_vector(note.text) for note in notes(size)])


@cache
def questions() -> Sequence[str]:
    """Each is asked once in a round, so that no cache knows its embedding."""
    return [query.query for query in GeneratedSettings(size=1, seed=SEED).open().queries(ASKED)]


@cache
def new_texts() -> Sequence[str]:
    return [memory.content for memory in GeneratedSettings(size=1, seed=SEED).open().new_memories(ASKED)]


class Embeddings:
    """The embedding of each text, known before anything is timed, and given after a wait as long as a server's."""

    def __init__(self, delay_s: float) -> None:
        self.delay_s = delay_s
        self._known = _all_asked()

    async def of(self, text: str) -> Floats:
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        return self.at_once(text)

    async def floats(self, text: str) -> list[float]:
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        return self.floats_at_once(text)

    def waited_for(self, text: str) -> list[float]:
        """For a peer that asks for it in a thread of its own."""
        if self.delay_s:
            time.sleep(self.delay_s)
        return self.floats_at_once(text)

    def at_once(self, text: str) -> Floats:
        return self._entry(text)[0]

    def floats_at_once(self, text: str) -> list[float]:
        return self._entry(text)[1]

    def _entry(self, text: str) -> tuple[Floats, list[float]]:
        if text not in self._known:
            self._known[text] = _both(text)
        return self._known[text]


def _both(text: str) -> tuple[Floats, list[float]]:
    vector = hashed_vector(text)
    return vector, [float(each) for each in vector]


@cache
def _all_asked() -> dict[str, tuple[Floats, list[float]]]:
    return {text: _both(text) for text in (*questions(), *new_texts())}


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a peer keeps its memories, as SQL."""

    table: str
    """Of the vectors, or a join with it."""
    text: str
    """What stands in it as a memory's text."""
    vector: str
    """The column that is searched."""
    tenant: str
    """A memory's tenant."""
    distance: str = "<=>"
    """The operator that the peer orders by."""


@dataclass(frozen=True, slots=True)
class Setup:
    """Where a peer is opened, for how many users, and in which column of the table."""

    url: str
    users: int
    tuned: bool
    embeddings: Embeddings
    ef_search: int = EF_SEARCH

    @property
    def hnsw(self) -> Mapping[str, str]:
        """What a session sets for its searches, where the peer has no setting of its own."""
        return {"hnsw.ef_search": str(self.ef_search), "hnsw.iterative_scan": "relaxed_order"}


class Peer(ABC):
    """One memory layer or vector store. Its subclasses say how it is made, filled and asked; all else is the same."""

    name: ClassVar[str]
    distribution: ClassVar[str]
    """What PyPI calls it."""
    written_for: ClassVar[str]
    """The version whose API is used, as major.minor."""
    columns: ClassVar[Mapping[str, str]]
    """How it is set up, by the column of the table: `defaults`, and `tuned` as its documentation advises."""
    records: ClassVar[str] = "nothing"
    """What is written down of an access."""
    filters: ClassVar[bool] = True
    """Whether a search can be held to one tenant."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.embeddings = setup.embeddings

    @property
    @abstractmethod
    def layout(self) -> Layout:
        """Where its memories are."""

    @abstractmethod
    async def make(self) -> None:
        """Makes its tables and indexes, by its own interface, and is closed afterwards."""

    @abstractmethod
    async def load(self, connection: "asyncpg.Connection[Any]", loaded: Sequence[Note], embedded: Floats) -> None:
        """Copies memories into its tables, as its own interface would have left them."""

    async def finish(self) -> None:  # noqa: B027 -- most have nothing to do
        """What its documentation has one do once the rows are there."""

    @abstractmethod
    async def connect(self) -> None:
        """Opens what it is asked through."""

    @abstractmethod
    async def close(self) -> None:
        """Leaves no connection and no task."""

    @abstractmethod
    async def add(self, text: str, tenant: str) -> None:
        """Keeps a memory."""

    @abstractmethod
    async def search(self, question: str, owner: str | None) -> Sequence[str]:
        """The texts of the twenty nearest: of all memories, of those of a tenant, or of those of everyone."""

    async def drain(self) -> None:  # noqa: B027 -- most leave nothing
        """Returns when nothing is left to do of what was asked."""

    async def exact(self, connection: "asyncpg.Connection[Any]", question: str, tenant: str | None) -> Sequence[str]:
        """What a search that reads every row finds."""
        layout = self.layout
        where = "" if tenant is None else f"WHERE {layout.tenant} = $2"
        statement = f"""
            SELECT {layout.text} FROM {layout.table} {where} ORDER BY {layout.vector} {layout.distance} $1 LIMIT {LIMIT}
        """  # noqa: S608 -- of constants
        values = [self.embeddings.at_once(question)] + ([] if tenant is None else [tenant])
        return [row[0] for row in await connection.fetch(statement, *values)]


def installed_version(peer: type[Peer]) -> str:
    """Raises `UsageError` where it is not installed, or is another than the one that the peer was written for."""
    try:
        found = metadata.version(peer.distribution)
    except metadata.PackageNotFoundError:
        raise UsageError(
            f"{peer.name} needs {peer.distribution}, of the extra `peers`, which is not installed: {EXTRA}."
        ) from None
    if not f"{found}.".startswith(f"{peer.written_for}."):
        raise UsageError(
            f"{peer.name} was written for {peer.distribution} {peer.written_for}, and {found} is installed, whose API "
            f"may be another: {EXTRA}."
        )
    return found


@asynccontextmanager
async def reading_all(url: str) -> Any:  # noqa: ANN401 -- a context manager of a connection
    """A connection that uses no index to search, with its vectors as arrays."""
    connection = await asyncpg.connect(url)
    try:
        await register_vector(connection)
        await connection.execute(
            "SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off"
        )
        yield connection
    finally:
        await connection.close()


VECTOR_INDEXES: Final = """
SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition
  FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_am ON pg_am.oid = relam
 WHERE amname IN ('hnsw', 'ivfflat', 'gin')
"""


@asynccontextmanager
async def without_slow_indexes(connection: "asyncpg.Connection[Any]") -> Any:  # noqa: ANN401 -- a context manager
    """What is slow to fill row by row is built afterwards, by the very definition that it had."""
    found = await connection.fetch(VECTOR_INDEXES)
    for index in found:
        await connection.execute(f"DROP INDEX {index['name']}")
    yield
    await connection.execute("SET maintenance_work_mem = '2GB'")
    for index in found:
        await connection.execute(index["definition"])


class PeerTarget:
    """The public protocol of class targets over a peer: what each operation asks, and what is told of it."""

    peer: ClassVar[type[Peer]]
    variants: ClassVar[Sequence[str]] = ("defaults", "tuned")
    size: ClassVar[int] = 10_000
    ef_search: ClassVar[int] = EF_SEARCH
    embedding_s: ClassVar[float] = 0.0
    """How long a text's embedding is waited for."""

    def peer_of(self, variant: str) -> tuple[type[Peer], bool]:
        return self.peer, variant == "tuned"

    async def prepare(self, url: str, variant: str) -> None:
        """Fills the variant's own database."""
        await fill(self._opened(url, 1, variant), self.size)

    async def open(self, url: str, users: int, variant: str) -> None:
        self.opened = self._opened(url, users, variant)
        await self.opened.connect()
        self.facts = await facts_of(self.opened)

    def _opened(self, url: str, users: int, variant: str) -> Peer:
        kind, tuned = self.peer_of(variant)
        installed_version(kind)
        return kind(Setup(url, users, tuned, Embeddings(self.embedding_s), self.ef_search))

    async def close(self) -> None:
        await self.opened.close()

    async def drain(self) -> None:
        await self.opened.drain()

    async def statistics(self) -> Mapping[str, float]:
        return self.facts

    @operation(number=NUMBER)
    async def search(self, number: int) -> Response:
        return await self._search(number, None)

    @operation(number=NUMBER)
    async def search_tenant(self, number: int) -> Response:
        """Of one tenant of fifty."""
        return await self._search(1_000 + number, tenant_of(number))

    @operation(number=NUMBER)
    async def search_everyone(self, number: int) -> Response:
        """Of the one owner that every memory has."""
        return await self._search(2_000 + number, EVERYONE)

    @operation(number=NUMBER)
    async def add(self, number: int) -> Response:
        await self.opened.add(new_texts()[number], tenant_of(number))
        return Response(results=1)

    async def _search(self, number: int, owner: str | None) -> Response:
        if owner is not None and not self.opened.filters:
            raise TargetError("not offered", f"{self.opened.name} has no filter by owner.")
        return Response(results=len(await self.opened.search(questions()[number], owner)))


async def fill(peer: Peer, size: int) -> None:
    """By its own tables and indexes; the rows are copied, which its own interface would take hours for."""
    await peer.make()
    connection = await asyncpg.connect(peer.setup.url)
    try:
        await connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        await register_vector(connection)
        async with without_slow_indexes(connection):
            await peer.load(connection, notes(size), await asyncio.to_thread(vectors, size))
        await peer.finish()
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


async def facts_of(peer: Peer) -> Mapping[str, float]:
    """What has to be alike for a comparison, and how much of an exact search each search finds.

    The exact one is asked first: who records accesses ranks what was returned higher from then on.
    """
    layout = peer.layout
    async with reading_all(peer.setup.url) as connection:
        row = await connection.fetchrow(f"""
            SELECT count(*) AS rows, sum(hashtext({layout.text})::bigint) AS texts,
                   min(vector_dims({layout.vector})) AS dimensions
              FROM {layout.table}
        """)  # noqa: S608 -- of constants
        facts = {
            "rows": float(row["rows"]),
            "texts": float(row["texts"] % 1_000_000_007),
            "dimensions": float(row["dimensions"]),
            "distance": float(("<=>", "<->", "<#>").index(layout.distance)),
        }
        for name, owner in (("search", None), ("search_tenant", tenant_of), ("search_everyone", EVERYONE)):
            if owner is not None and not peer.filters:
                continue
            shares = []
            for number in range(RECALL_QUERIES):
                asked = owner(number) if callable(owner) else owner
                question = questions()[-1 - number]
                wanted = await peer.exact(connection, question, None if asked == EVERYONE else asked)
                found = await peer.search(question, asked)
                await peer.drain()
                shares.append(len(set(wanted) & set(found)) / len(wanted))
            facts[f"recall_{name}"] = sum(shares) / len(shares)
    return facts
