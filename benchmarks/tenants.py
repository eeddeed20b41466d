"""What a search costs a small tenant beside a large one, in each way that PostgreSQL has to keep them apart.

    python benchmarks/tenants.py --size 20000

The small tenant has a thousandth of the rows, and twenty at least. Compared are a schema of its own, a partition, and a
column in one table under one HNSW index: with a plan for this tenant, and with one for any, which prepared statements
have after five executions. The large tenant's search is there to be compared with.
"""

import argparse
import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any, Final

import asyncpg
import numpy as np
from pgvector.asyncpg import register_vector

from anima.database import PoolSettings, open_database
from anima.migrations import migrate
from anima.model import Query
from anima.searches.augmented import AugmentedSearch
from anima.tenants import make_schema, schema_of, url_of
from harness.measuring.servers.provisioners.embedded import EmbeddedProvisioner

DIMENSIONS: Final = 768
WANTED: Final = 20
TIMES: Final = 30
MAKE_COMMON: Final = """
    CREATE TABLE common (
        id uuid DEFAULT gen_random_uuid() PRIMARY KEY, tenant text NOT NULL, embedding vector(768) NOT NULL
    );
    CREATE TABLE parted (id uuid DEFAULT gen_random_uuid(), tenant text NOT NULL, embedding vector(768) NOT NULL)
    PARTITION BY LIST (tenant);
    CREATE TABLE parted_small PARTITION OF parted FOR VALUES IN ('small');
    CREATE TABLE parted_large PARTITION OF parted FOR VALUES IN ('large');
"""
INDEX_COMMON: Final = """
    CREATE INDEX ON common (tenant);
    CREATE INDEX ON common USING hnsw (embedding vector_cosine_ops);
    INSERT INTO parted SELECT * FROM common;
    CREATE INDEX ON parted_large USING hnsw (embedding vector_cosine_ops);
    ANALYZE common; ANALYZE parted;
"""
FILL_SCHEMA: Final = """
    INSERT INTO memories (id, content, content_hash, embedding)
    SELECT id, id::text, encode(sha256(id::text::bytea), 'hex'), embedding FROM public.common WHERE tenant = $1
"""
FIND: Final = "SELECT id FROM {table} WHERE tenant = $2 ORDER BY embedding <=> $1 LIMIT 20"
BYTES: Final = """
    SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace
    WHERE nspname = $1 AND relkind = 'r'
"""


@dataclass(frozen=True, slots=True)
class Searched:
    """How a search went: how many it found at the median, and in how many milliseconds."""

    way: str
    found: float
    elapsed_ms: float

    def __str__(self) -> str:
        return f"| {self.way} | {self.found:g} of {WANTED} | {self.elapsed_ms:.2f} |"


async def fill(connection: "asyncpg.Connection[Any]", size: int) -> None:
    drawn = np.random.default_rng(1)
    small = max(WANTED, size // 1000)
    await connection.execute(MAKE_COMMON)
    records = [
        ("small" if number < small else "large", np.abs(drawn.normal(size=DIMENSIONS)).astype(np.float32))
        for number in range(size)
    ]
    await connection.copy_records_to_table("common", columns=("tenant", "embedding"), records=records)
    await connection.execute(INDEX_COMMON)


@dataclass(frozen=True, slots=True)
class Common:
    """Tables that all tenants share, in a session, and which plan a search of them has."""

    connection: "asyncpg.Connection[Any]"
    table: str
    plan: str


async def common(where: Common, way: str, tenant: str, questions: Sequence[Any]) -> Searched:
    settings = f"SET plan_cache_mode = {where.plan}; SET hnsw.iterative_scan = strict_order"
    await where.connection.execute(settings)
    statement = await where.connection.prepare(FIND.format(table=where.table))
    found: list[int] = []
    elapsed: list[float] = []
    for question in questions:
        started = perf_counter()
        found.append(len(await statement.fetch(question, tenant)))
        elapsed.append(1000 * (perf_counter() - started))
    return Searched(way, median(found), median(elapsed))


async def own(url: str, tenant: str, questions: Sequence[Any]) -> Searched:
    query = Query(query="any", similarity_threshold=0)
    found: list[int] = []
    elapsed: list[float] = []
    async with (
        open_database(url, PoolSettings(1)) as database,
        database.of_schema(schema_of(tenant)).session() as session,
    ):
        for question in questions:
            started = perf_counter()
            found.append(len(await AugmentedSearch().find(session, query, question)))
            elapsed.append(1000 * (perf_counter() - started))
    return Searched(f"{tenant}: a schema of its own, as `frontier` searches", median(found), median(elapsed))


async def main(size: int) -> None:
    drawn = np.random.default_rng(2)
    questions = [np.abs(drawn.normal(size=DIMENSIONS)).astype(np.float32) for _ in range(TIMES)]
    async with EmbeddedProvisioner().start({"fsync": "off", "maintenance_work_mem": "256MB"}) as server:
        url = await server.create_database("tenants")
        connection = await asyncpg.connect(url)
        await register_vector(connection)
        await fill(connection, size)
        for tenant in ("small", "large"):
            await make_schema(url, tenant)
            await migrate(url_of(url, tenant))
            await connection.execute(f"SET search_path = {schema_of(tenant)}, public")
            await connection.execute(FILL_SCHEMA, tenant)
            await connection.execute("ANALYZE")
        await connection.execute("SET search_path = public")
        print("| who searches, and how rows are kept apart | found | ms, median |")
        print("| --- | --- | --- |")
        for tenant in ("small", "large"):
            print(await own(url, tenant, questions))
            parted = Common(connection, "parted", "force_custom_plan")
            print(await common(parted, f"{tenant}: a partition", tenant, questions))
            for plan, whose in (("force_custom_plan", "its own"), ("force_generic_plan", "anybody's")):
                way = f"{tenant}: a column, one index, {whose} plan"
                print(await common(Common(connection, "common", plan), way, tenant, questions))
        held = await connection.fetchval(BYTES, schema_of("large"))
        empty = await connection.fetchval(BYTES, schema_of("small"))
        count = await connection.fetchval("SELECT count(*) FROM common WHERE tenant = 'large'")
        print(f"A memory takes {held / count:,.0f} bytes with its indexes, and a schema of {WANTED} {empty:,} bytes.")
        await connection.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=20_000)
    asyncio.run(main(parser.parse_args().size))
