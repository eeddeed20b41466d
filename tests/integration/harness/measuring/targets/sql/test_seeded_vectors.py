"""The vectors that a table is filled with lie in every direction, not on a curve, where a graph may be in parts."""

import asyncpg
import numpy as np

from harness.measuring.targets.sql.existing.seeding import made
from tests.sql_columns import column


async def test_no_seeded_vector_is_near_to_another_and_a_late_row_has_one(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    expression = made(column("at", "vector(32)", "vector"), "n")
    seeded = f"SELECT ({expression})::real[] AS at FROM unnest($1::int[]) AS n"
    rows = await connection.fetch(seeded, [*range(1, 400), 2_000_000])
    await connection.close()
    vectors = np.array([row["at"] for row in rows])
    distances = np.linalg.norm(vectors[:, None] - vectors[None, :], axis=2) + 99 * np.eye(len(vectors))
    assert 0.4 < distances.min() / np.median(distances) < 1
