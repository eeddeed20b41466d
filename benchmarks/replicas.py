"""What a standby takes off the primary, and what it costs to record accesses there in the request or in batches.

    python benchmarks/replicas.py --memories 3000 --queries 300

The same questions are asked of one server and of a pair. Counted are the statements, the processor time of each server
and the write-ahead log. Then the accesses of as many answers are recorded in both ways: each in a statement of its
request, or as one row that is folded into the same states later, up to 100 answers at once.
"""

import argparse
import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final
from uuid import UUID

from anima.assembly import Anima, open_anima
from anima.database import Executed, Session, Statement
from anima.embeddings.protocol import EmbeddingSettings
from anima.migrations import migrate
from anima.model import NewMemory, Query
from anima.standbys import CallerHistory
from anima.strategy import FRONTIER
from harness.measuring.servers.provisioners._shared.databases import PostgresServer, connected
from harness.measuring.servers.provisioners.embedded import EmbeddedProvisioner
from harness.measuring.targets.anima.corpora.generated import GeneratedSettings

ANSWERS_AT_ONCE: Final = 100
CALLERS: Final = 20
WAL: Final = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"
IN_REQUEST: Final = Statement("in_request", "SELECT count(*) FROM record_accesses($1, 'c', now(), true)")
MAKE_QUEUE: Final = "CREATE TABLE queued_answers (id bigint GENERATED ALWAYS AS IDENTITY, memory_ids uuid [] NOT NULL)"
QUEUE: Final = Statement("queue", "INSERT INTO queued_answers (memory_ids) VALUES ($1)")
# One update of each memory, however many of the answers have it. A promotion of more than one step would need more.
TAKE_QUEUED: Final = Statement(
    "take_queued",
    """
    WITH taken AS (
        DELETE FROM queued_answers WHERE id IN (SELECT id FROM queued_answers ORDER BY id LIMIT $1) RETURNING memory_ids
    ),
    recalled AS (
        INSERT INTO memory_recalls (at, memory_ids, conversation_id, is_access)
        SELECT now(), memory_ids, 'c', true FROM taken
    ),
    counted AS (SELECT id, count(*) AS accesses FROM taken, unnest(memory_ids) AS id GROUP BY id),
    locked AS MATERIALIZED (
        SELECT s.id FROM memory_states AS s JOIN counted AS c ON c.id = s.id
        WHERE s.is_live
        ORDER BY s.id
        FOR UPDATE OF s
    )
    UPDATE memory_states AS s
    SET access_count = s.access_count + c.accesses,
        resonance_phi = least(s.resonance_phi + 0.1 * c.accesses, 5),
        last_accessed = now(), updated_at = now()
    FROM locked AS l JOIN counted AS c ON c.id = l.id
    WHERE s.id = l.id
    """,
)


@dataclass(slots=True)
class Spent:
    """What a stretch of work cost, each by one of its operations."""

    primary_cpu_ms: float
    standby_cpu_ms: float
    wal_bytes: float
    elapsed_ms: float
    statements: float


@dataclass(slots=True)
class Meter:
    """Counts what is sent, and reads what the servers have used."""

    server: PostgresServer
    seen: Counter[str] = field(default_factory=Counter[str])

    def __call__(self, executed: Executed, /) -> None:
        self.seen[executed.name] += not executed.control

    @asynccontextmanager
    async def measuring(self, operations: int) -> AsyncGenerator[list[Spent]]:
        spent: list[Spent] = []
        before, statements, started = await self._read(), self.seen.total(), perf_counter()
        yield spent
        elapsed_s = perf_counter() - started
        primary_s, standby_s, wal = (after - earlier for after, earlier in zip(await self._read(), before, strict=True))
        spent.append(
            Spent(
                1000 * primary_s / operations,
                1000 * standby_s / operations,
                wal / operations,
                1000 * elapsed_s / operations,
                (self.seen.total() - statements) / operations,
            )
        )

    async def _read(self) -> tuple[float, float, int]:
        async with connected(self.server.admin_url) as connection:
            wal: int = await connection.fetchval(WAL)
        standby_s = sum([await standby.cpu_s() or 0.0 for standby in self.server.standbys])
        return await self.server.cpu_s() or 0.0, standby_s, wal


async def ask_all(anima: Anima, questions: Sequence[str]) -> list[list[UUID]]:
    """By callers in turn, as many as a busy service has; returns what each was answered."""
    histories = [CallerHistory() for _ in range(CALLERS)]
    answers: list[list[UUID]] = []
    for number, question in enumerate(questions):
        caller = anima.of_caller(histories[number % CALLERS])
        found = await caller.query(Query(query=question, conversation_id="c", similarity_threshold=0))
        answers.append([each.memory.id for each in found.memories])
    return answers


async def record_each(session: Session, answers: Sequence[Sequence[UUID]]) -> None:
    for memory_ids in answers:
        await session.fetch(IN_REQUEST, memory_ids)


async def record_in_batches(session: Session, answers: Sequence[Sequence[UUID]]) -> None:
    for memory_ids in answers:
        await session.execute(QUEUE, memory_ids)
    while await session.execute(TAKE_QUEUED, ANSWERS_AT_ONCE):
        pass


def show(what: str, spent: Spent) -> None:
    print(
        f"| {what} | {spent.primary_cpu_ms:.2f} | {spent.standby_cpu_ms:.2f} | {spent.wal_bytes / 1000:.1f} | "
        f"{spent.elapsed_ms:.2f} | {spent.statements:.2f} |"
    )


async def main(memories: int, queries: int) -> None:
    corpus = GeneratedSettings(size=memories).open()
    texts = [memory.content for memory in corpus.memories(memories)]
    questions = [question.query for question in corpus.queries(queries)]
    embeddings = EmbeddingSettings(provider="hashing")
    async with EmbeddedProvisioner(standbys=1).start({}) as server:
        url = await server.create_database("replicas")
        await migrate(url)
        meter = Meter(server)
        print("| | primary's processor, ms | standby's, ms | WAL, kB | elapsed, ms | statements |")
        print("| --- | --- | --- | --- | --- | --- |")
        async with open_anima(url, FRONTIER, embeddings, observer=meter) as anima:
            for text in texts:
                await anima.memory.add(NewMemory(content=text))
            await anima.background.drain()
            await ask_all(anima, questions[:20])
            async with meter.measuring(queries) as spent:
                answers = await ask_all(anima, questions)
            show("a query, one server", spent[0])
            await anima.background.drain()
            async with anima.memory.database.session() as session:
                async with meter.measuring(queries) as spent:
                    await record_each(session, answers)
                show("accesses recorded in the request", spent[0])
                await session.connection.execute(MAKE_QUEUE)
                async with meter.measuring(queries) as spent:
                    await record_in_batches(session, answers)
                show(f"accesses queued, {ANSWERS_AT_ONCE} answers at once", spent[0])
            await anima.background.drain()
        async with open_anima(
            url, FRONTIER, embeddings, observer=meter, replica_urls=server.standby_urls(url)
        ) as anima:
            await ask_all(anima, questions[:20])
            assert anima.standbys is not None
            earlier = anima.standbys.by_standbys
            async with meter.measuring(queries) as spent:
                await ask_all(anima, questions)
            share = (anima.standbys.by_standbys - earlier) / queries
            show(f"a query, searched on the standby ({share:.0%} of them)", spent[0])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memories", type=int, default=3_000)
    parser.add_argument("--queries", type=int, default=300)
    asked = parser.parse_args()
    asyncio.run(main(asked.memories, asked.queries))
