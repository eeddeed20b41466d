"""`harness try`: one statement again and again, how long it takes and how it is planned; or a scenario's, once each."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final

import asyncpg
import click

from harness.commands._shared.once import show_once
from harness.errors import ExitCode, ProvisioningError, TargetError, UsageError
from harness.judging.analysis.quantiles import quantile, quantile_bounds
from harness.measuring import scenario_files
from harness.measuring.operations import Request
from harness.measuring.plans import StatementPlan
from harness.measuring.servers.addresses import is_url
from harness.measuring.shipped import shipped
from harness.measuring.targets.protocol import TargetContext
from harness.measuring.targets.sql.queries import read_statement
from harness.measuring.targets.sql.scenario import SqlScenario
from harness.measuring.targets.sql.target import SqlTarget
from harness.quantities import duration, number_of
from harness.record import PlanStep

WARM_UP: Final = 5
PERCENTILES: Final = (0.5, 0.95, 0.99)
READ_ONLY: Final = {"default_transaction_read_only": "on"}


@dataclass(frozen=True, slots=True)
class Tried:
    """Says how long each execution took in seconds, the rows of the last, and the plan."""

    elapsed_s: Sequence[float]
    rows: int | None
    plan: StatementPlan


def try_(*, statement: str, database: str | None, requests: int, seconds: float) -> ExitCode:
    if statement.endswith(".toml") or statement in shipped():
        return show_once(scenario_files.load_scenario(statement, database=database), ())
    if database is None:
        raise UsageError("Say with --database URL where the statement is executed; a scenario ends in .toml.")
    if not is_url(database):
        raise UsageError(f"--database {database}: expected a URL, such as postgresql://me@localhost:5432/shop.")
    if placeholders := read_statement("statement", statement).arguments:
        raise UsageError(f"{', '.join(placeholders)}: a placeholder has no value here. Write the value itself.")
    try:
        with asyncio.Runner() as runner:
            tried = runner.run(_tried(statement, database, requests, seconds))
    except* (
        OSError,
        asyncpg.InvalidCatalogNameError,
        asyncpg.PostgresConnectionError,
        asyncpg.InvalidAuthorizationSpecificationError,
    ) as group:
        raise ProvisioningError(f"{database} does not answer: {group.exceptions[0]}.") from None
    for line in lines_of(tried):
        click.echo(line)
    return ExitCode.PASS


async def _tried(statement: str, database: str, requests: int, seconds: float) -> Tried:
    """Raises `UsageError` for a statement that does not prepare or that fails."""
    scenario = SqlScenario.model_validate(
        {
            "name": "try",
            "operations": {"statement": {"sql": statement}},
            "variants": {"current": {"settings": READ_ONLY}},
            "phases": [{"requests": requests}],
        }
    )
    request = Request("statement", {})
    async with SqlTarget(scenario).open(TargetContext("current", database)) as target:
        try:
            response = await target.perform(request)
            for _ in range(WARM_UP):
                await target.perform(request)
            elapsed_s: list[float] = []
            end = perf_counter() + seconds
            while len(elapsed_s) < requests and perf_counter() < end:
                begun = perf_counter()
                response = await target.perform(request)
                elapsed_s.append(perf_counter() - begun)
        except TargetError as error:
            raise UsageError(f"It was refused: {error}.") from None
        [plan] = await target.plans()
    return Tried(elapsed_s, response.rows, plan)


def lines_of(tried: Tried) -> Sequence[str]:
    """Percentiles with the bounds that hold with 95 %, and the steps of the plan."""
    ordered = sorted(tried.elapsed_s)
    rows = f", {number_of(tried.rows, 'row')} each" if tried.rows is not None else ""
    lines = [f"{number_of(len(ordered), 'execution')} by one user{rows}"]
    for probability in PERCENTILES:
        bounds = quantile_bounds(ordered, probability)
        lines.append(
            f"  p{probability * 100:g}  {duration(quantile(ordered, probability))}"
            f"  ({duration(bounds.lower)} to {duration(bounds.upper)})"
        )
    record = tried.plan.record
    scanned = f", and reads every row of {', '.join(record.scans)}" if record.scans else ""
    used = f"uses {', '.join(record.indexes)}" if record.indexes else "uses no index"
    lines.append(f"The plan {used}{scanned}")
    return [*lines, *(_steps(record.root, 1) if record.root else [])]


def _steps(step: PlanStep, depth: int) -> Sequence[str]:
    on = f" on {step.relation}" if step.relation else ""
    using = f" using {step.index}" if step.index else ""
    below = [line for each in step.steps for line in _steps(each, depth + 1)]
    return [f"{'  ' * depth}{step.node_type}{using}{on}", *below]
