"""A system whose capacity is planted: so many slots, each taken for so long by a request; simulated."""

import heapq
import math
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from harness.judging.capacity import CapacitySearch
from harness.record import AskedRate, CapacitySettings, RunRecord
from harness.samples import Sample
from tests.records import phase, record, sample, variant

SEARCHES_MAX = 200

Service = Callable[[random.Random], float]
"""Draws how long a request takes in its slot, in seconds."""


def constant(service_s: float) -> Service:
    return lambda _: service_s


def varied(mean_s: float, spread: float = 0.3) -> Service:
    """Log-normal, with a spread of the logarithm."""
    return lambda draw: mean_s * math.exp(draw.gauss(-spread * spread / 2, spread))


def served(
    rate_per_s: float, time_s: float, slots: int, service: Service, draw: random.Random
) -> Iterator[tuple[float, float]]:
    """When each request of a schedule was due, and when it was answered."""
    free = [0.0] * slots
    for number in range(math.ceil(rate_per_s * time_s)):
        due_s = number / rate_per_s
        ended_s = max(due_s, heapq.heappop(free)) + service(draw)
        heapq.heappush(free, ended_s)
        yield due_s, ended_s


Asking = Callable[[AskedRate, random.Random], Sequence[Sample]]
"""What came of a rate."""


def slots(number: int, service: Service, late_s: Callable[[AskedRate], float] = lambda _: 0.0) -> Asking:
    """`late_s` is by how much the load generator starts each request late."""

    def ask(asked: AskedRate, draw: random.Random) -> Sequence[Sample]:
        late = late_s(asked)
        return [
            sample(
                "query",
                started_s=due_s + late,
                service_time_s=ended_s - due_s,
                intended_s=due_s,
                round=asked.round,
                phase=asked.phase,
                scheduled=True,
            )
            for due_s, ended_s in served(asked.rate_per_s, asked.time_s, number, service, draw)
        ]

    return ask


def searched(
    systems: dict[str, Asking],
    budgets: Sequence[str] = ("query.p95 <= 200ms",),
    *,
    seed: int = 1,
    counters: Callable[[AskedRate], dict[str, float]] = lambda _: {},
    **settings: Any,
) -> RunRecord:
    """The record of a search that went on until it had come to its end."""
    scenario = {
        "name": "planted",
        "strategies": list(systems),
        "baseline": next(iter(systems)),
        "candidate": list(systems)[-1],
        "operations": ["query"],
        "phases": [{"name": "query"}],
        "planned": {"query": {"query": 100}},
        "budgets": list(budgets),
    }
    draw = random.Random(seed)
    stated: dict[str, Any] = {"time_s": 4.0, "compared": len(systems) > 1} | settings
    made_for = CapacitySettings(phases=("query",), **stated)
    found = record(*(variant(name) for name in systems), scenario=scenario, capacity=made_for)
    steering = CapacitySearch()
    for _ in range(SEARCHES_MAX):
        asked, _ = steering(found)
        if not asked:
            return found
        for each in asked:
            found = _with(found, each, systems[each.variant](each, draw), counters(each))
    raise AssertionError("the search does not come to an end")


def _with(found: RunRecord, asked: AskedRate, samples: Sequence[Sample], counters: dict[str, float]) -> RunRecord:
    ended_s = max(each.ended_s for each in samples)
    driven = phase(
        asked.phase,
        round=asked.round,
        loop="open",
        arrival="constant_rate",
        planned=len(samples),
        started=len(samples),
        ended_s=ended_s,
        counters=counters,
    )
    variants = tuple(
        each.model_copy(update={"samples": (*each.samples, *samples), "phases": (*each.phases, driven)})
        if each.name == asked.variant
        else each
        for each in found.variants
    )
    return found.model_copy(update={"rates": (*found.rates, asked), "variants": variants})
