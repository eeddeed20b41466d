"""`harness try`: one statement again and again, how long it takes and how it is planned; or a scenario's, once each."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final

import asyncpg
import click

from harness.errors import ExitCode, ProvisioningError, TargetError, UsageError
from harness.judging.analysis.quantiles import quantile, quantile_bounds
from harness.measuring import scenario_files
from harness.measuring.exchanges import ExchangeLine, listening
from harness.measuring.execution import startable
from harness.measuring.operations import Request
from harness.measuring.own_scenario import OwnScenario
from harness.measuring.plans import StatementPlan
from harness.measuring.scenario import Scenario
from harness.measuring.servers.addresses import is_url
from harness.measuring.shipped import shipped
from harness.measuring.targets import open_target
from harness.measuring.targets.protocol import OpenTarget, Response, TargetContext
from harness.measuring.targets.sql.queries import read_statement
from harness.measuring.targets.sql.scenario import SqlScenario
from harness.measuring.targets.sql.target import SqlTarget
from harness.quantities import duration, number_of
from harness.record import PlanStep
from harness.redaction import without_secrets

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
        return _try_scenario(scenario_files.load_scenario(statement, database=database))
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


def _try_scenario(scenario: Scenario) -> ExitCode:
    """INVALID where an operation failed: a run of it would measure failures."""
    with asyncio.Runner() as runner:
        attempts = runner.run(_each_once(scenario))
    for each in attempts:
        request, failure = each.request, each.failure
        click.echo(f"{request.operation} {without_secrets(json.dumps(dict(request.arguments), default=str))}")
        click.echo(f"  {f'failed, {failure.kind}: {failure}' if failure else _came_back(each.response)}")
        for line in each.lines:
            click.echo(f"  {'came back' if line.came_back else 'sent'}: {line.text}")
    return ExitCode.INVALID if any(each.failure for each in attempts) else ExitCode.PASS


def _came_back(response: Response) -> str:
    counted = {"row": response.rows, "statement": response.statements, "result": response.results}
    return ", ".join(number_of(each, name) for name, each in counted.items() if each is not None) or "answered"


@dataclass(slots=True)
class Attempt:
    """`lines` are what was sent and what came back, as far as the target shows it."""

    request: Request
    response: Response = field(default_factory=Response)
    failure: TargetError | None = None
    lines: list[ExchangeLine] = field(default_factory=list[ExchangeLine])


async def _each_once(scenario: Scenario) -> Sequence[Attempt]:
    """On a database that is prepared for the candidate, and gone afterwards."""
    starting = await startable(scenario)
    async with starting.start(scenario.database.settings) as server:
        target = open_target(scenario)
        url = await server.create_database("tried")
        await target.prepare(url, target.schema_version(scenario.candidate))
        drawn = await scenario.with_draws(url) if scenario.draws_from_database else scenario
        async with target.open(TargetContext(scenario.candidate, url)) as opened:
            await opened.prime([])
            attempts = [await _attempt(opened, request) for request in firsts(drawn)]
        await server.drop_database("tried")
    return attempts


def firsts(scenario: Scenario) -> Sequence[Request]:
    """One of each operation, also of one that is asked too seldom for a short run to contain it."""
    requests = [request for each in scenario.workload_of(1).by_phase.values() for request in each]
    firsts = {request.operation: request for request in reversed(requests)}
    if isinstance(scenario, OwnScenario):
        for name in scenario.operation_names:
            if name not in firsts:
                firsts[name] = next(scenario.operations[name].requests(name, scenario.seed))
    return [firsts[name] for name in scenario.operation_names if name in firsts]


async def _attempt(opened: OpenTarget, request: Request) -> Attempt:
    attempt = Attempt(request)
    with listening(attempt.lines.append):
        try:
            attempt.response = await opened.perform(request)
        except TargetError as failure:
            attempt.failure = failure
    return attempt


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
