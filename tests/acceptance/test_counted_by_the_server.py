"""What a class sends is counted by the server, in slices as well, and a budget on it is exact."""

from pathlib import Path

from tests.acceptance.conftest import Program

CLASS = """
import asyncpg

from harness.testing import operation


class Asking:
    async def open(self, url, users):
        self.pool = await asyncpg.create_pool(url, min_size=users, max_size=users)

    async def close(self):
        await self.pool.close()

    @operation()
    async def ask(self):
        return [await self.pool.fetchval("SELECT 1") for _ in range(3)]
"""
SCENARIO = """
name = "asking"
target = "asking:Asking"
slices = 2
database = { provisioner = "embedded" }
budgets = ["ask.statements_per_op <= 3", "ask.statements_per_op <= 2"]
phases = [{ requests = 6 }]
"""


def test_the_server_counts_what_a_class_sends(harness: Program, tmp_path: Path) -> None:
    (tmp_path / "asking.py").write_text(CLASS, encoding="utf-8")
    (tmp_path / "asking.toml").write_text(SCENARIO, encoding="utf-8")
    done = harness("run", "asking.toml")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "ask.statements_per_op <= 3  3 ≤ 3 (nothing to spare)" in done.stdout
    assert "ask.statements_per_op <= 2  3 > 2 (50% over)" in done.stdout
