"""`harness try`: one statement on somebody's own database, again and again: how long it takes, how it is planned."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final

import asyncpg
import click

from harness.commands._shared.options import without_password
from harness.errors import ExitCode, ProvisioningError, TargetError, UsageError
from harness.judging.analysis.quantiles import quantile, quantile_bounds
from harness.measuring.operations import Request
from harness.measuring.plans import StatementPlan
from harness.measuring.servers.addresses import is_url
from harness.measuring.targets.protocol import TargetContext
from harness.measuring.targets.sql.queries import read_statement
from harness.measuring.targets.sql.scenario import SqlScenario
from harness.measuring.targets.sql.target import SqlTarget
from harness.quantities import count, duration
from harness.record import PlanStep

WARM_UP: Final = 5
PERCENTILES: Final = (0.5, 0.95, 0.99)
READ_ONLY: Final = {"default_transaction_read_only": "on"}


@dataclass(frozen=True, slots=True)
class Tried:
    """How long each execution took in seconds, the rows of the last, and the plan."""

    elapsed_s: Sequence[float]
    rows: int | None
    plan: StatementPlan


@click.command("try")
@click.argument("statement")
@click.option("--database", metavar="URL", callback=without_password, required=True, help="Where it is executed.")
@click.option("--requests", type=click.IntRange(1, 100_000), default=200, show_default=True, help="How often at most.")
@click.option("--seconds", type=click.FloatRange(min=0.1), default=10.0, show_default=True, help="How long at most.")
def try_(*, statement: str, database: str, requests: int, seconds: float) -> ExitCode:
    """Executes one statement again and again, and says how long it takes and how it is planned.

    One user waits for each answer. The session is read-only, so a statement that writes is refused.
    """
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
    for line in told(tried):
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


def told(tried: Tried) -> Sequence[str]:
    """Percentiles with the bounds that hold with 95 %, and the steps of the plan."""
    ordered = sorted(tried.elapsed_s)
    lines = [f"{count(len(ordered))} executions by one user, {tried.rows} rows each"]
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
