"""A search for a capacity: variants are asked at rates that somebody else chooses, one after the other, until none is.

Each rate is a round: a fresh clone, the same operations, a schedule at that rate. Variants take turns at the rounds.
Not for which rate comes next: judging says that, from what the record holds until then.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from time import perf_counter
from typing import Final

from harness.errors import UsageError
from harness.journal import Journal, read
from harness.measuring.arrivals.constant_rate import ConstantRateSettings
from harness.measuring.arrivals.poisson import PoissonSettings
from harness.measuring.arrivals.protocol import ArrivalSettings
from harness.measuring.execution import begun, drawn, measure_variant, prepare_variants, startable
from harness.measuring.progress import Progress
from harness.measuring.scenario import Phase, Sampling, Scenario
from harness.measuring.turns import at_once
from harness.record import AskedRate, RunRecord

IN_FLIGHT_MAX: Final = 100
"""Where the phase does not say it. Targets have a session or a connection for each."""

WARM_UP_MIN: Final = 20
"""Each rate meets a target that has just been opened."""

ROUNDS_ALIKE: Final = 1_000
"""More than there are rates in any search: every round draws what the first one does."""

Steering = Callable[[RunRecord], tuple[Sequence[AskedRate], Sequence[str]]]
"""Of a search until now: what is asked next, nothing at its end; and what is to be said of it."""


def refuse_unasked(scenario: Scenario, phases: Sequence[str]) -> None:
    """Raises `UsageError` where requests of a phase cannot start at another rate."""
    for phase in scenario.phases:
        if phase.name in phases and phase.arrival.own_requests:
            raise UsageError(
                f"{phase.name} sends a {phase.arrival.kind}, whose requests have moments of their own. Name another "
                "phase with --phase, or give this one operations."
            )


async def execute_rates(
    scenario: Scenario, journal: Journal, progress: Progress, *, steering: Steering, in_flight_max: int | None = None
) -> None:
    """Measures into the journal what steering asks for, until it asks for nothing more."""
    started = perf_counter()
    starting = await startable(scenario)
    async with begun(scenario, starting, journal, progress) as first:
        prepared = await prepare_variants(first)
        with_draws = first.scenario.draws_from_database
        run = await drawn(first, prepared[scenario.baseline].template) if with_draws else first
        for doubt in run.scenario.doubts:
            progress.note(doubt)
        for number in count(1):
            asked, remarks = steering(read(journal.path))
            for remark in remarks:
                progress.note(remark)
            if not asked:
                return
            for each in asked:
                journal.rate(each)
            # Each round in the opposite order of the one before, so that drift does not favour a variant.
            variants = dict.fromkeys(each.variant for each in asked)
            for name in variants if number % 2 else reversed(variants):
                own = [each for each in asked if each.variant == name]
                at_rates = at_rates_of(run.scenario, own, in_flight_max)
                observed = replace(run, scenario=at_rates, sees_waits=own[0].purpose == "observe")
                await measure_variant(observed, prepared[name], number, at_rates.workload_of(number), at_once)
            journal.write("elapsed", {"elapsed_s": perf_counter() - started})


def at_rates_of(scenario: Scenario, asked: Sequence[AskedRate], in_flight_max: int | None) -> Scenario:
    """The scenario with these phases alone, at their rates; each round draws requests and moments of its own."""
    phases = {each.name: each for each in scenario.phases}
    changed = {
        "phases": tuple(_at_rate(phases[each.phase], each, in_flight_max) for each in asked),
        "seed": scenario.seed + asked[0].round - 1,
        "rounds": ROUNDS_ALIKE,
        "slices": 1,
        "budgets": (),
        "timeline": (),
        "recall_queries": 0,
        "sampling": Sampling(),
        "profile": None,
    }
    return scenario.model_copy(update=changed)


def _at_rate(phase: Phase, asked: AskedRate, in_flight_max: int | None) -> Phase:
    return phase.model_copy(
        update={
            "arrival": _arrival(phase.arrival, asked.rate_per_s, in_flight_max),
            "requests": None,
            "time_s": asked.time_s,
            "warm_up": max(phase.warm_up, WARM_UP_MIN),
        }
    )


def _arrival(stated: ArrivalSettings, rate_per_s: float, in_flight_max: int | None) -> ArrivalSettings:
    """At equal distances, unless the phase says that its users know nothing of each other."""
    stated_max = stated.in_flight_max if isinstance(stated, PoissonSettings | ConstantRateSettings) else IN_FLIGHT_MAX
    kind = PoissonSettings if isinstance(stated, PoissonSettings) else ConstantRateSettings
    return kind(rate_per_s=rate_per_s, in_flight_max=in_flight_max or stated_max)
