"""What `frontier` does to its rows when many ask at once: deadlocks, what is lost or counted twice, and a convoy.

    python benchmarks/contention.py --operations 100000 --connections 16

Adds, queries and bootstraps run beside the background work, and the access log is then compared with the answers. Then
fifty users ask five questions, and fifty ask spread ones: the ratio of their p95 is that of a convoy. Exit code 1 where
anything was lost, counted twice or deadlocked.
"""

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from time import perf_counter
from typing import Final
from uuid import UUID

import numpy as np

from anima.assembly import Anima, open_anima
from anima.database import PoolSettings
from anima.embeddings.protocol import EmbeddingSettings
from anima.migrations import migrate
from anima.model import BootstrapRequest, NewMemory, Query
from anima.strategy import FRONTIER
from harness.measuring.servers.provisioners.embedded import EmbeddedProvisioner
from harness.measuring.targets.anima.corpora.generated import GeneratedSettings

MEMORIES: Final = 1_200
USERS: Final = 50
ASKED_EACH: Final = 20
LOGGED: Final = "SELECT memory_id, count(*) AS accesses FROM current_access_log GROUP BY memory_id"
DEADLOCKS: Final = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


@asynccontextmanager
async def working(anima: Anima) -> AsyncGenerator[None]:
    """Background work goes on meanwhile, and all of it is done at the end."""
    stop = asyncio.Event()
    workers = asyncio.create_task(anima.background.run(stop))
    yield
    stop.set()
    await workers
    await anima.background.drain()


async def at_once(clients: int, times: int, act: Callable[[Random], Awaitable[None]]) -> list[float]:
    """Seconds of each of `clients` times `times` acts."""
    elapsed_s: list[float] = []

    async def be_client(seed: int) -> None:
        drawn = Random(seed)  # noqa: S311 -- a load, no secret
        for _ in range(times):
            started = perf_counter()
            await act(drawn)
            elapsed_s.append(perf_counter() - started)

    async with asyncio.TaskGroup() as group:
        for seed in range(clients):
            group.create_task(be_client(seed))
    return elapsed_s


async def mix(anima: Anima, operations: int, connections: int, questions: list[str]) -> Counter[UUID]:
    """Asks and adds, half of it on a few texts; returns the accesses that the answers tell of."""
    accesses = Counter[UUID]()

    async def act(drawn: Random) -> None:
        share, text = drawn.random(), questions[int(len(questions) * drawn.random() ** 3)]
        if share < 0.2:  # noqa: PLR2004 -- as a load test has it
            await anima.memory.add(NewMemory(content=f"{text} {drawn.randrange(20)}"))
        elif share < 0.8:  # noqa: PLR2004 -- see above
            found = await anima.memory.query(Query(query=text, conversation_id=f"c {drawn.randrange(50)}"))
            accesses.update(result.memory.id for result in found.memories)
        else:
            await anima.memory.bootstrap(BootstrapRequest(conversation_id="c", active_limit=50))

    async with working(anima):
        await at_once(connections, operations // connections, act)
    return accesses


async def asked_p95_s(anima: Anima, questions: list[str]) -> float:
    async def act(drawn: Random) -> None:
        await anima.memory.query(Query(query=drawn.choice(questions), conversation_id=f"c {drawn.randrange(50)}"))

    async with working(anima):
        return float(np.quantile(await at_once(USERS, ASKED_EACH, act), 0.95))


async def measure(operations: int, connections: int) -> bool:
    corpus = GeneratedSettings(size=MEMORIES).open()
    questions = [question.query for question in corpus.queries(200)]
    async with EmbeddedProvisioner().start({}) as server:
        url = await server.create_database("contention")
        await migrate(url)
        settings = EmbeddingSettings(provider="hashing")
        async with open_anima(url, FRONTIER, settings, pool=PoolSettings(connections, acquire_timeout_s=60)) as anima:
            for memory in corpus.memories(MEMORIES):
                await anima.memory.add(NewMemory(content=memory.content))
            await anima.background.drain()
            started = perf_counter()
            told = await mix(anima, operations, connections, questions)
            elapsed_s = perf_counter() - started
            async with anima.memory.database.session() as session:
                kept = Counter({row["memory_id"]: row["accesses"] for row in await session.connection.fetch(LOGGED)})
            few, spread = await asked_p95_s(anima, questions[:5]), await asked_p95_s(anima, questions)
            await anima.memory.database.report_statistics()
            async with anima.memory.database.session() as session:
                deadlocks = await session.connection.fetchval(DEADLOCKS)
        sys.stdout.write(
            f"{operations} operations at {connections} connections: {operations / elapsed_s:.0f} a second, "
            f"{deadlocks} deadlocks; of {told.total()} accesses {(told - kept).total()} are lost and "
            f"{(kept - told).total()} counted without an answer\n"
            f"p95 of {USERS} users: five questions {few * 1000:.0f} ms, spread ones {spread * 1000:.0f} ms, "
            f"ratio {few / spread:.2f}\n"
        )
        return deadlocks == 0 and kept == told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operations", type=int, default=100_000)
    parser.add_argument("--connections", type=int, default=16)
    given = parser.parse_args()
    sys.exit(0 if asyncio.run(measure(given.operations, given.connections)) else 1)


if __name__ == "__main__":
    main()
