"""A class that tells its statements has their plans in the record; one that does not tells none."""

from collections.abc import Mapping, Sequence

import asyncpg
import pytest

from harness.errors import UsageError
from harness.measuring.targets.protocol import TargetContext
from harness.measuring.targets.python.scenario import PythonScenario
from harness.measuring.targets.python.target import PythonTarget
from harness.testing import operation


class Telling:
    statements: Mapping[str, str | Sequence[object]] = {
        "find": ("SELECT tablename FROM pg_tables WHERE tablename = $1", "pg_class"),
        "all": "SELECT description FROM pg_description",
        "make": "CREATE TABLE made AS SELECT 1",
    }

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    @operation()
    async def find(self) -> None: ...

    async def plans(self) -> Mapping[str, str | Sequence[object]]:
        return self.statements


class Mistaken(Telling):
    statements: Mapping[str, str | Sequence[object]] = {"wrong": "SELECT nothing"}


def target(name: str) -> PythonTarget:
    document = {"name": "telling", "target": f"{__name__}:{name}", "phases": [{"requests": 1}]}
    return PythonTarget(PythonScenario.model_validate(document))


async def test_its_statements_are_planned_and_executed_without_a_trace(database_url: str) -> None:
    async with target("Telling").open(TargetContext("current", database_url)) as opened:
        planned = {plan.record.statement: plan for plan in await opened.plans()}
        assert planned.keys() == Telling.statements.keys()
        assert planned["all"].record.scans == ("pg_description",)
        assert planned["all"].cost is None
        [cost] = [plan.cost for plan in await opened.plans(executed=True) if plan.record.statement == "all"]
        assert cost is not None
        assert cost.rows > 0
    connection = await asyncpg.connect(database_url)
    try:
        assert await connection.fetchval("SELECT to_regclass('made')") is None
    finally:
        await connection.close()


async def test_a_statement_that_cannot_be_planned_is_named(database_url: str) -> None:
    async with target("Mistaken").open(TargetContext("current", database_url)) as opened:
        with pytest.raises(UsageError, match=r'plans: wrong cannot be planned: column "nothing" does not exist'):
            await opened.plans()
