"""What `pg_stat_statements` counts, read from a server that has it; and from one that has not."""

from pathlib import Path

import asyncpg
import pytest

from harness.measuring.plans import EXPLAIN_EXECUTED, read_plan
from harness.measuring.profilers.protocol import ProfiledOperation
from harness.measuring.profilers.server_statements import ExecutedStatements
from tests.integration.harness.conftest import Sessions

SEARCH = "SELECT count(*) FROM thing WHERE id > $1 AND id < 900"


@pytest.mark.needs("pg_stat_statements")
async def test_only_what_is_executed_meanwhile_is_counted_and_known_by_the_number_that_explain_tells(
    counting_url: str, tmp_path: Path
) -> None:
    subject = ProfiledOperation("batched", "query", 1, tmp_path, counting_url, "variant")
    admin = await asyncpg.connect(counting_url)
    await admin.execute("CREATE DATABASE variant")
    connection = await asyncpg.connect(subject.database_url)
    try:
        await connection.execute("CREATE TABLE thing AS SELECT generate_series(1, 1000) AS id")
        await connection.fetchval(SEARCH, 1)
        async with ExecutedStatements().observe(subject) as observed:
            for least in (1, 2, 3):
                await connection.fetchval(SEARCH, least)
        explained = await connection.fetchval(EXPLAIN_EXECUTED + SEARCH, 1)
    finally:
        await connection.close()
        await admin.close()
    (search,) = observed["server_statements"]
    assert (search["calls"], search["rows"]) == (3, 3)
    assert search["text"] == "SELECT count(*) FROM thing WHERE id > $1 AND id < $2"
    assert search["elapsed_ms"] > 0
    assert search["blocks_hit"] >= 3
    plan = read_plan("search", explained, {})
    assert plan.cost is not None
    assert plan.cost.query_id == search["query_id"]


async def test_a_server_that_has_not_loaded_it_is_left_as_it_was(
    subject: ProfiledOperation, sessions: Sessions
) -> None:
    async with ExecutedStatements().observe(subject) as observed:
        pass
    assert observed == {}
    assert await sessions[0].fetchval("SELECT count(*) FROM pg_extension WHERE extname = 'pg_stat_statements'") == 0
