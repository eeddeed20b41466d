"""What `frontier` costs beside the bare statements that it is held to, in one run and in turns, as ratios.

    python benchmarks/frontier.py DIRECTORY --size 10000 --size 100000 --phi skewed --phi uniform

`DIRECTORY` keeps the prepared memories (prepared_corpus.py). A ratio is the median of those of the rounds, with the
least and the most of them; milliseconds are medians of all. On a machine that others use as well, the processor time
of the server's process says more than the time that passes. A bare search is one statement on a table of its own with
an HNSW index built as broadly as ours, and is itself as broad as a recall of 0.99 takes. Several sizes are in the end
asked in turns, for what an operation costs with more memories.

    python benchmarks/frontier.py DIRECTORY --size 10000 --size 1000000 --without-bare --server postgresql://localhost/

keeps the loaded databases on a server of yours, where the next call finds them: to load a million takes an hour.
"""

import argparse
import asyncio
import os
import statistics
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
from prepared_corpus import SEED, load, prepare

from anima import migrations
from anima.assembly import Anima, EmbeddingChain, connect, now, pool_of
from anima.connections import Connection, prepare_connection
from anima.database import PoolSettings, open_database
from anima.embeddings.cache import CachedEmbeddings
from anima.embeddings.hashing import HashingEmbeddings, hashed_vector
from anima.embeddings.protocol import Vector
from anima.model import BootstrapRequest, NewMemory, Query
from anima.searches.protocol import RANKED_AT_ONCE
from anima.strategy import BATCHED, FRONTIER, Strategy
from harness.measuring.servers.network import delay_proxy, with_endpoint
from harness.measuring.servers.provisioners import provisioner
from harness.measuring.servers.provisioners.protocol import DatabaseSettings
from harness.measuring.targets.anima.corpora.generated import GeneratedSettings

LIMIT: Final = 20
RECALL_MIN: Final = 0.99
BREADTHS: Final = (40, 60, 80, 100, 150, 200, 300, 400, 600, 800, 1000)
ONE_WAY_S: Final = 0.001
CONNECTIONS: Final = 4
SERVER: Final = {"shared_buffers": "2GB", "maintenance_work_mem": "3GB", "max_wal_size": "8GB", "jit": "off"}

# `n` numbers the memories, `total` is how many there are; 7919 is prime to both.
PHI: Final = {
    "light": "CASE WHEN n % 20 < 17 THEN 0 WHEN n % 20 < 19 THEN 0.5 ELSE 2 END",
    "skewed": "least(5, round(0.5 * total::numeric / (1 + (n * 7919) % total)) / 10)",
    "uniform": "5 * ((n * 7919) % total) / total::float8",
    "equal": "2.5",
}
PHI["used"] = PHI["skewed"]
"""As the scenarios' tiers have it; after use by Zipf's law, one memory in a hundred at 5; evenly; all alike; after use,
with the tiers that go with it."""

TIER: Final = "CASE WHEN n % 20 < 17 THEN 'active' WHEN n % 20 < 19 THEN 'thread' ELSE 'stable' END"
TIER_IN_USE: Final = "CASE WHEN {phi} > 2 THEN 'stable' WHEN {phi} > 0.4 THEN 'thread' ELSE 'active' END"
"""Who has had five accesses is in a thread, and who has had twenty is stable; each of them raised phi."""

FILL: Final = """
    WITH numbered AS (
        SELECT *, row_number() OVER (ORDER BY created_at, id) - 1 AS n, count(*) OVER () AS total FROM memories
    )
    INSERT INTO memory_states
    SELECT
        id, {tier}, created_at,
        CASE WHEN n % 20 < 17 THEN 0 WHEN n % 20 < 19 THEN 5 ELSE 20 END, created_at, '{{}}', {phi}, {phi}, updated_at,
        true
    FROM numbered;
    INSERT INTO memory_keys
    SELECT m.id, s.key_phi, key_of(m.embedding, s.key_phi) FROM memories AS m JOIN memory_states AS s ON s.id = m.id;
    INSERT INTO memory_ranks
    SELECT s.id, s.tier, s.last_accessed, s.resonance_phi, s.access_count FROM memory_states AS s;
"""
BARE: Final = """
    CREATE TABLE bare (LIKE memories INCLUDING DEFAULTS, key halfvec(768) NOT NULL);
    INSERT INTO bare SELECT m.*, m.embedding::halfvec FROM memories AS m;
    ALTER TABLE bare DROP COLUMN embedding, ADD PRIMARY KEY (id);
    CREATE INDEX bare_key ON bare USING hnsw (key halfvec_cosine_ops) WITH (m = 16, ef_construction = 128);
"""
DATABASES: Final = "SELECT datname FROM pg_database WHERE datname = ANY($1::text[])"
BARE_SEARCH: Final = """
    SELECT id, content, content_hash, tier, tier_last_updated, access_count, last_accessed,
        accessed_in_conversation_ids, category, tags, source, resonance_phi, is_catalyst, metadata, created_at,
        updated_at, 1 - (key <=> $1) AS similarity
    FROM bare ORDER BY key <=> $1 LIMIT 20
"""
BARE_EXACT: Final = "SELECT id FROM (SELECT id, key <=> $1 AS distance FROM bare OFFSET 0) ORDER BY distance LIMIT 20"
BARE_INSERT: Final = """
    INSERT INTO bare (id, content, content_hash, key, category, tags, source)
    VALUES ($1, $2, $3, $4::vector, $5, $6, $7)
"""
EXACT: Final = "SELECT id FROM unnest(find_by_ranking_all($1, $3, $2, 20)) AS a"
FOUND: Final = """
    SELECT o.is_proven, ARRAY(SELECT a.id FROM unnest(o.answers) AS a) AS ids
    FROM find_memories($1, $4, $2, 20, $3, $2 > 0::float8) AS o
"""
HOT: Final = """
    SELECT n_tup_hot_upd::float8 / nullif(n_tup_upd, 0) FROM pg_stat_user_tables WHERE relname = 'memory_states'
"""


@dataclass(slots=True)
class Rounds:
    """Milliseconds of what was done in turns, by name, one list for each round."""

    times_ms: dict[str, list[list[float]]] = field(default_factory=dict[str, list[list[float]]])

    def begin(self) -> None:
        for rounds in self.times_ms.values():
            rounds.append([])

    async def time(self, name: str, act: Awaitable[Any]) -> Any:  # noqa: ANN401 -- whatever it gives
        started = perf_counter()
        result = await act
        self.times_ms.setdefault(name, [[]])[-1].append((perf_counter() - started) * 1000)
        return result

    async def time_both(self, name: str, process: int, act: Awaitable[Any]) -> None:
        """The time that passes, and the processor time of the server's process."""
        before_ms = processor_ms(process)
        await self.time(name, act)
        self.times_ms.setdefault(f"{name}, processor", [[]])[-1].append(processor_ms(process) - before_ms)

    def median_ms(self, name: str) -> float:
        return statistics.median(taken for taken_in_round in self.times_ms[name] for taken in taken_in_round)

    def ratio(self, name: str, base: str) -> str:
        pairs = zip(self.times_ms[name], self.times_ms[base], strict=True)
        ratios = [statistics.median(ones) / statistics.median(others) for ones, others in pairs if ones and others]
        return (
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}); "
            f"{self.median_ms(name):.2f} ms beside {self.median_ms(base):.2f} ms"
        )


def processor_ms(process: int) -> float:
    """Of a process of this machine since it began, as Linux counts it."""
    return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e6


def tell(what: str, target: str, value: str) -> None:
    print(f"  {what:44} {target:>18}   {value}", flush=True)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One database, its questions, and a connection for what is bare."""

    url: str
    questions: list[str]
    vectors: list[Vector]
    bare: "asyncpg.Connection[Any]"
    anima: Anima
    rounds: int

    def query(self, number: int) -> Query:
        return Query(
            query=self.questions[number], similarity_threshold=0.0, limit=LIMIT, conversation_id=f"c{number % 20}"
        )

    async def recall_of_bare(self) -> None:
        """Leaves the connection as broad as it takes."""
        exact = [{row["id"] for row in await self.bare.fetch(BARE_EXACT, vector)} for vector in self.vectors]
        breadth, reached = 0, 0.0
        for breadth in BREADTHS:
            await self.bare.execute(f"SET hnsw.ef_search = {breadth}")
            found = [{row["id"] for row in await self.bare.fetch(BARE_SEARCH, vector)} for vector in self.vectors]
            reached = recall(found, exact)
            if reached >= RECALL_MIN:
                break
        tell("bare search: recall", "", f"{reached:.4f} with ef_search = {breadth}")

    async def recall(self, threshold: float, *tiers: str) -> None:
        exact = [
            {row["id"] for row in await self.bare.fetch(EXACT, vector, threshold, tiers)} for vector in self.vectors
        ]
        rounds = Rounds()
        rows = [
            await rounds.time("search", self.bare.fetchrow(FOUND, vector, threshold, RANKED_AT_ONCE, tiers))
            for vector in self.vectors
        ]
        proven = statistics.mean(row["is_proven"] for row in rows)
        reached = recall([set(row["ids"]) for row in rows], exact)
        asked = f"recall, threshold {threshold:g}" + "".join(f", {tier}" for tier in tiers)
        tell(
            asked, ">= 0.99", f"{reached:.4f}; proven {proven:.0%}; a search takes {rounds.median_ms('search'):.1f} ms"
        )

    async def query_and_write(self, *, with_bare: bool) -> None:
        for number in range(len(self.vectors)):  # The first write to a page after a checkpoint logs all of it.
            await self.anima.memory.query(self.query(number))
        rounds = Rounds()
        before = await self.written()
        async with self.anima.memory.database.session() as session:
            process = session.connection.get_server_pid()
        for _ in range(self.rounds):
            rounds.begin()
            for number, vector in enumerate(self.vectors):
                if with_bare:
                    await rounds.time_both("bare", self.bare.get_server_pid(), self.bare.fetch(BARE_SEARCH, vector))
                await rounds.time_both("query", process, self.anima.memory.query(self.query(number)))
        written = (await self.written() - before) / (self.rounds * len(self.vectors))
        tell("query with all it writes", "<= 10 ms", f"{rounds.median_ms('query'):.2f} ms")
        if with_bare:
            tell("... / bare search", "<= 1.5", rounds.ratio("query", "bare"))
            tell("... the server's processor time", "<= 1.5", rounds.ratio("query, processor", "bare, processor"))
        tell("query: WAL", "<= 8 kB", f"{written / 1000:.1f} kB")
        await self.anima.memory.database.report_statistics()
        tell("access updates that are HOT", "100 %", f"{await self.bare.fetchval(HOT):.1%}")

    async def written(self) -> int:
        lsn: int = await self.bare.fetchval("SELECT pg_current_wal_insert_lsn() - '0/0'")
        return int(lsn)

    async def bootstrap(self) -> None:
        rounds = Rounds()
        await self.anima.background.drain()
        request = BootstrapRequest(conversation_id="c", active_limit=35)
        for _ in range(self.rounds):
            rounds.begin()
            for _ in self.vectors:
                await rounds.time("bootstrap", self.anima.memory.bootstrap(request))
        tell("bootstrap of 50", "<= 1.5 ms", f"{rounds.median_ms('bootstrap'):.2f} ms")

    async def add(self, new: list[NewMemory], *, with_bare: bool) -> None:
        rounds = Rounds()
        vectors = [hashed_vector(memory.content) for memory in new]
        for start in range(0, len(new), max(1, len(new) // self.rounds)):
            rounds.begin()
            for number in range(start, min(len(new), start + max(1, len(new) // self.rounds))):
                memory, vector = new[number], vectors[number]
                fields = (memory.content, f"{number:064x}", vector, memory.category, list(memory.tags), memory.source)
                if with_bare:
                    await rounds.time("bare", self.bare.execute(BARE_INSERT, uuid4(), *fields))
                await rounds.time("add", self.anima.memory.add(memory))
        tell("add", "", f"{rounds.median_ms('add'):.2f} ms")
        if with_bare:
            tell("add / bare INSERT", "<= 1.3", rounds.ratio("add", "bare"))


def recall(found: list[set[Any]], exact: list[set[Any]]) -> float:
    return sum(len(one & other) for one, other in zip(found, exact, strict=True)) / max(1, sum(map(len, exact)))


async def throughput(anima: Anima, queries: list[Query], seconds: float) -> float:
    """Queries per second on `CONNECTIONS` connections."""
    until = perf_counter() + seconds
    counts = [0] * CONNECTIONS

    async def ask(user: int) -> None:
        while perf_counter() < until:
            await anima.memory.query(queries[(user * 7 + counts[user]) % len(queries)])
            counts[user] += 1

    started = perf_counter()
    await asyncio.gather(*map(ask, range(CONNECTIONS)))
    return sum(counts) / (perf_counter() - started)


@asynccontextmanager
async def opened(url: str, strategy: Strategy, texts: list[str], connections: int) -> AsyncGenerator[Anima]:
    """A system whose cache knows the texts, with its connections open."""
    embeddings = CachedEmbeddings(HashingEmbeddings())
    for text in texts:
        embeddings.keep(text, hashed_vector(text))
    settings = PoolSettings(connections, size_min=connections, acquire_timeout_s=pool_of(strategy).acquire_timeout_s)
    async with open_database(url, settings) as database:
        yield connect(strategy, database, EmbeddingChain(embeddings, embeddings), clock=now, new_id=uuid4)


async def over_network(measured: Measurement) -> None:
    parts = urlsplit(measured.url)
    async with (
        delay_proxy(str(parts.hostname), int(parts.port or 5432), one_way_delay_s=ONE_WAY_S) as proxy,
        opened(with_endpoint(measured.url, proxy.host, proxy.port), FRONTIER, measured.questions, 1) as far,
    ):
        request = BootstrapRequest(conversation_id="c", active_limit=35)
        acts: dict[str, Callable[[Anima], Awaitable[Any]]] = {
            "query": lambda anima: anima.memory.query(measured.query(0)),
            "bootstrap": lambda anima: anima.memory.bootstrap(request),
            "add": lambda anima: anima.memory.add(NewMemory(content=f"a note of its own, {uuid4()}")),
        }
        for name, act in acts.items():
            await act(far)
            rounds, before = Rounds(), (await proxy.counters()).round_trips
            for _ in range(measured.rounds):
                rounds.begin()
                for _ in range(5):
                    await rounds.time("near", act(measured.anima))
                    await rounds.time("far", act(far))
            trips = ((await proxy.counters()).round_trips - before) / (5 * measured.rounds)
            added_ms = rounds.median_ms("far") - rounds.median_ms("near")
            tell(f"{name} through 1 ms each way", "1 round trip", f"{trips:g} round trips, {added_ms:.1f} ms longer")


async def all_active(url: str) -> None:
    """The client's processor time for each 10,000 memories."""
    spent: dict[str, list[float]] = {}
    async with (
        opened(url, FRONTIER, [], 1) as frontier,
        opened(url, replace(BATCHED, schema_version=FRONTIER.schema_version), [], 1) as batched,
    ):
        for _ in range(8):
            for name, anima in (("frontier", frontier), ("batched", batched)):
                started = process_time()
                bootstrap = await anima.memory.bootstrap(BootstrapRequest(conversation_id="c"))
                spent.setdefault(name, []).append((process_time() - started) * 1e7 / bootstrap.distribution["total"])
    best = {name: min(taken) for name, taken in spent.items()}
    value = (
        f"{best['frontier'] / best['batched']:.2f}; at best {best['frontier']:.0f} ms beside {best['batched']:.0f} ms"
    )
    tell("all active: client's time for 10,000 / batched", "<= 0.5", value)


@dataclass(frozen=True, slots=True)
class Databases:
    """Those of one server, by the name of each. What was begun and not ended has another name, and is made again."""

    admin_url: str

    def url(self, name: str) -> str:
        return urlunsplit(urlsplit(self.admin_url)._replace(path=f"/{name}"))

    async def has(self, name: str) -> bool:
        return bool(await self._execute(DATABASES, [name]))

    @asynccontextmanager
    async def making(self, name: str, template: str) -> AsyncGenerator["asyncpg.Connection[Any]"]:
        """A connection to what becomes the database when the block has ended."""
        unfinished = f"unfinished_{name}"
        await self.copy(template, unfinished)
        connection = await asyncpg.connect(self.url(unfinished))
        yield connection
        await connection.close()
        await self._execute(f"ALTER DATABASE {unfinished} RENAME TO {name}")

    async def copy(self, template: str, name: str) -> str:
        """Takes the place of one of that name."""
        await self._execute(f"DROP DATABASE IF EXISTS {name} (FORCE)")
        await self._execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return self.url(name)

    async def _execute(self, sql: str, *arguments: object) -> list[Any]:
        connection = await asyncpg.connect(self.admin_url)
        try:
            return await connection.fetch(sql, *arguments, timeout=None)
        finally:
            await connection.close()


async def load_base(databases: Databases, directory: Path, size: int, *, with_bare: bool) -> str:
    """A database with the memories, without their vectors' indexes, and the bare table."""
    name = f"bare_{size}" if with_bare else f"base_{size}"
    if not await databases.has(name):
        async with databases.making(name, "template0") as connection:
            await connection.execute("CREATE EXTENSION vector")
            await migrations.migrate(databases.url(f"unfinished_{name}"))
            await connection.execute(
                "ALTER TABLE memories DISABLE TRIGGER USER; DROP INDEX idx_memory_keys_quiet, idx_memory_keys_resonant"
            )
            await load(connection, directory, size)
            if with_bare:
                await connection.execute(BARE, timeout=None)
            await connection.execute("VACUUM (ANALYZE)", timeout=None)
    return name


async def fill(databases: Databases, base: str, phi: str) -> str:
    """A database in which the memories of `base` have their phi, and the indexes that follow it."""
    name = f"{base}_{phi}"
    if not await databases.has(name):
        tier = TIER_IN_USE.format(phi=PHI[phi]) if phi == "used" else TIER
        async with databases.making(name, base) as connection:
            await connection.execute(FILL.format(phi=PHI[phi], tier=tier), timeout=None)
            for migration in migrations.all_migrations():
                if migration.title == "fill_memory_states":
                    for statement in migrations.statements(migration.sql):
                        await connection.execute(statement, timeout=None)
            for statement in ("ALTER TABLE memories ENABLE TRIGGER USER", "VACUUM (ANALYZE)", "CHECKPOINT"):
                await connection.execute(statement, timeout=None)
    return name


async def measure(chosen: argparse.Namespace, url: str, size: int, phi: str) -> None:
    print(
        f"{size:,} memories, phi {phi}; load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors",
        flush=True,
    )
    corpus = GeneratedSettings(size=size, seed=SEED).open()
    questions = [question.query for question in corpus.queries(chosen.questions)]
    bare = await asyncpg.connect(url, connection_class=Connection)
    await prepare_connection(bare)
    new = [
        NewMemory(content=memory.content, category=memory.category, tags=memory.tags, source=memory.source)
        for memory in corpus.new_memories(chosen.adds)
    ]
    async with opened(url, FRONTIER, [*questions, *(memory.content for memory in new)], 1) as anima:
        measured = Measurement(url, questions, list(map(hashed_vector, questions)), bare, anima, chosen.rounds)
        if not chosen.without_bare:
            await measured.recall_of_bare()
        for threshold in (0.0, 0.2, 0.5):
            await measured.recall(threshold)
        for tier in ("active", "thread", "stable"):
            await measured.recall(0.0, tier)
        await measured.query_and_write(with_bare=not chosen.without_bare)
        await measured.bootstrap()
        await measured.add(new, with_bare=not chosen.without_bare)
        await anima.background.drain()
        await measured.recall(0.0)
        await over_network(measured)
    async with opened(url, FRONTIER, questions, CONNECTIONS) as anima:
        queries = list(map(measured.query, range(len(questions))))
        rates = [await throughput(anima, queries, chosen.seconds) for _ in range(3)]
        value = f"{statistics.median(rates):.0f} a second ({min(rates):.0f} to {max(rates):.0f})"
        tell(f"queries on {CONNECTIONS} connections", ">= 300 a second", value)
    await bare.close()
    await all_active(url)


async def compare_sizes(chosen: argparse.Namespace, urls: dict[int, str], phi: str) -> None:
    """What an operation costs with each number of memories, in turns, beside the least number."""
    least, *others = sorted(urls)
    print(f"In turns, phi {phi}; beside {least:,} memories", flush=True)
    rounds, request = Rounds(), BootstrapRequest(conversation_id="c", active_limit=35)
    async with AsyncExitStack() as stack:
        asked: list[tuple[int, Measurement]] = []
        for size, url in urls.items():
            questions = [
                each.query for each in GeneratedSettings(size=size, seed=SEED).open().queries(chosen.questions)
            ]
            anima = await stack.enter_async_context(opened(url, FRONTIER, questions, 1))
            bare = await asyncpg.connect(url)
            stack.push_async_callback(bare.close)
            asked.append((size, Measurement(url, questions, [], bare, anima, chosen.rounds)))
        for number in range(chosen.rounds + 1):
            if number:  # What comes before is to warm up.
                rounds.begin()
            for question in range(chosen.questions):
                for size, one in asked:
                    await rounds.time(f"query {size}", one.anima.memory.query(one.query(question)))
                    await rounds.time(f"bootstrap {size}", one.anima.memory.bootstrap(request))
    for each in rounds.times_ms.values():
        del each[0]
    for size in others:
        for name in ("query", "bootstrap"):
            tell(f"{name}, {size:,}", "<= 2", rounds.ratio(f"{name} {size}", f"{name} {least}"))


async def run(chosen: argparse.Namespace) -> None:
    await asyncio.to_thread(prepare, chosen.directory, max(chosen.size))
    if chosen.server:
        await run_on(Databases(chosen.server), chosen)
    else:
        found = await provisioner(DatabaseSettings(provisioner="embedded"))
        async with found.start(SERVER) as server:
            await run_on(Databases(server.admin_url), chosen)


async def run_on(databases: Databases, chosen: argparse.Namespace) -> None:
    urls: dict[str, dict[int, str]] = {phi: {} for phi in chosen.phi}
    for size in chosen.size:
        base = await load_base(databases, chosen.directory, size, with_bare=not chosen.without_bare)
        for phi in chosen.phi:
            filled = await fill(databases, base, phi)
            urls[phi][size] = await databases.copy(filled, f"measured_{size}_{phi}")
            if not (chosen.only_load or chosen.only_turns):
                await measure(chosen, urls[phi][size], size, phi)
    if len(chosen.size) > 1 and not chosen.only_load:
        for phi in chosen.phi:
            await compare_sizes(chosen, urls[phi], phi)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--size", type=int, action="append", help="memories, in tens of thousands (10000)")
    parser.add_argument("--phi", choices=PHI, action="append", help="how phi is distributed (skewed)")
    parser.add_argument("--questions", type=int, default=40)
    parser.add_argument("--adds", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--server", help="postgresql://… of a server that keeps what is loaded; else one is started")
    parser.add_argument("--only-load", action="store_true", help="measure nothing: a later call with --server does")
    parser.add_argument("--only-turns", action="store_true", help="only the sizes in turns, which takes minutes")
    parser.add_argument("--without-bare", action="store_true", help="no bare table, whose index takes as long as ours")
    parser.add_argument("--seconds", type=float, default=3.0, help="of throughput, three times")
    chosen = parser.parse_args()
    chosen.size, chosen.phi = chosen.size or [10_000], chosen.phi or ["skewed"]
    asyncio.run(run(chosen))


if __name__ == "__main__":
    main()
