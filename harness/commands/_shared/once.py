"""Each operation of a scenario once: what was asked, how long it took, and what came of it. No verdict."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import click

from harness.errors import ExitCode, TargetError
from harness.measuring.exchanges import ExchangeLine, listening
from harness.measuring.execution import startable
from harness.measuring.operations import Request
from harness.measuring.own_scenario import OwnScenario
from harness.measuring.scenario import Scenario
from harness.measuring.targets import open_target
from harness.measuring.targets.protocol import OpenTarget, Response, TargetContext
from harness.quantities import duration, number_of
from harness.redaction import without_secrets


def show_once(scenario: Scenario, variants: Sequence[str]) -> ExitCode:
    """Of these variants, or of the candidate. INVALID where an operation failed: a run of it would measure failures."""
    names = tuple(variants) or (scenario.candidate,)
    with asyncio.Runner() as runner:
        tried = {name: runner.run(_each_once(scenario, name)) for name in names}
    for name, attempts in tried.items():
        if len(names) > 1:
            click.echo(f"{name}:")
        for each in attempts:
            _show(each)
    return ExitCode.INVALID if any(each.failure for each in _all(tried.values())) else ExitCode.PASS


@dataclass(slots=True)
class Attempt:
    """`lines` are what was sent and what came back, as far as the target shows it."""

    request: Request
    response: Response = field(default_factory=Response)
    failure: TargetError | None = None
    elapsed_s: float = 0.0
    lines: list[ExchangeLine] = field(default_factory=list[ExchangeLine])


def _all(tried: Iterable[Sequence[Attempt]]) -> Iterable[Attempt]:
    return (attempt for attempts in tried for attempt in attempts)


def _show(attempt: Attempt) -> None:
    request, failure = attempt.request, attempt.failure
    click.echo(f"{request.operation} {without_secrets(json.dumps(dict(request.arguments), default=str))}")
    click.echo(f"  {f'failed, {failure.kind}: {failure}' if failure else _came_back(attempt)}")
    for line in attempt.lines:
        click.echo(f"  {'came back' if line.came_back else 'sent'}: {line.text}")


def _came_back(attempt: Attempt) -> str:
    response = attempt.response
    counted = {
        "row": response.rows,
        "statement": response.statements,
        "result": response.results,
        "round trip": response.round_trips,
    }
    values = [number_of(each, name) for name, each in counted.items() if each is not None] or ["answered"]
    return f"{', '.join(values)}, in {duration(attempt.elapsed_s)}"


async def _each_once(scenario: Scenario, variant: str) -> Sequence[Attempt]:
    """On a database that is prepared for the variant, and gone afterwards."""
    starting = await startable(scenario)
    async with starting.start(scenario.database.settings) as server:
        target = open_target(scenario)
        url = await server.create_database("tried")
        await target.prepare(url, target.schema_version(variant))
        drawn = await scenario.with_draws(url) if scenario.draws_from_database else scenario
        async with target.open(TargetContext(variant, url)) as opened:
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
    begun = perf_counter()
    with listening(attempt.lines.append):
        try:
            attempt.response = await opened.perform(request)
        except TargetError as failure:
            attempt.failure = failure
    attempt.elapsed_s = perf_counter() - begun
    return attempt
