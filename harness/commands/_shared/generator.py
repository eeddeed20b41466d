"""The load generator, measured: how many requests a core starts, and how late, on the target that does nothing.

The path of a request is the whole one of a run, through the journal and the live view. Not for judging a run: a run
records the lateness of its own starts.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter, process_time, sleep
from typing import Any, Final

from harness import journal
from harness.judging.analysis.quantiles import quantile
from harness.measuring.driving import LocalWorker
from harness.measuring.environment import processors
from harness.measuring.passes import Pass, measure
from harness.measuring.progress import Progress
from harness.measuring.recording import measure_without_trace
from harness.measuring.scenario import Scenario
from harness.measuring.targets.anima.scenario import MemoryScenario
from harness.measuring.targets.null import NullTarget
from harness.measuring.targets.protocol import TargetContext
from harness.quantities import count, duration
from harness.samples import Sample

STARTS_PER_CORE_MIN: Final = 10_000
LATENESS_S_MAX: Final = 0.001
MODERATE_RATE: Final = 1_000

CLOSED: Final = {"requests": 20_000, "arrival": {"kind": "closed_loop", "users": 10}}

# All of them are due at once, as far as one core can tell.
FLOOD: Final = {"time_s": 0.1, "arrival": {"kind": "constant_rate", "rate_per_s": 200_000, "in_flight_max": 20_000}}
MODERATE: Final = {"time_s": 3, "arrival": {"kind": "constant_rate", "rate_per_s": MODERATE_RATE}}


@dataclass(frozen=True, slots=True)
class GeneratorFinding:
    """One property of the generator, and whether it is good enough here and now."""

    what: str
    good: bool
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Driven:
    """Says what a phase on the null target came to; `cpu_s` is the time that this process computed."""

    samples: Sequence[Sample]
    cpu_s: float


def examine() -> Iterator[GeneratorFinding]:
    """Measures how fast it starts requests in either loop, and how punctually; that takes some five seconds."""
    for loop, phase in (("a closed loop", CLOSED), ("an open loop", FLOOD)):
        yield speed(loop, drive(phase))
    yield punctuality(drive(MODERATE), bare_lateness_s())


def speed(loop: str, driven: Driven) -> GeneratorFinding:
    """Says whether a core starts enough requests."""
    starts_per_core = len(driven.samples) / driven.cpu_s
    return GeneratorFinding(
        f"{count(round(starts_per_core))} starts a second and core in {loop} ({STARTS_PER_CORE_MIN:,} or more)",
        starts_per_core >= STARTS_PER_CORE_MIN,
        "Set `workers` in scenarios that start more, so that several cores share the load.",
    )


def punctuality(driven: Driven, bare_s: Sequence[float]) -> GeneratorFinding:
    """Says whether it starts them when they are due; `bare_s` is what the machine itself is late by, ascending."""
    lateness_s = sorted(sample.lateness_s for sample in driven.samples)
    p50_s, p99_s = quantile(lateness_s, 0.5), quantile(lateness_s, 0.99)
    return GeneratorFinding(
        f"at {MODERATE_RATE:,} starts a second late by {duration(p50_s)} at p50, {duration(p99_s)} at p99 "
        f"(under {duration(LATENESS_S_MAX)}), {duration(lateness_s[-1])} at most",
        p99_s < LATENESS_S_MAX,
        f"A bare sleep is late by {duration(quantile(bare_s, 0.99))} at p99 here, and the load is "
        f"{os.getloadavg()[0]:.1f} on {processors()} processors. Where these are high, something else uses the "
        "processors: end it, or measure on another machine. A run that is as late is INVALID.",
    )


def bare_lateness_s(starts: int = 1_000) -> list[float]:
    """The same schedule without anything of ours: what the machine itself is late by; ascending."""
    begun = perf_counter()
    lateness_s: list[float] = []
    for number in range(starts):
        due = begun + number / MODERATE_RATE
        sleep(max(0.0, due - perf_counter()))
        lateness_s.append(perf_counter() - due)
    return sorted(lateness_s)


def drive(phase: Mapping[str, Any]) -> Driven:
    """The phase, measured in a run's way, in a directory that is gone afterwards."""
    chosen = MemoryScenario.model_validate(
        {
            "name": "generator",
            "title": "The load generator by itself",
            "target": "null",
            "strategies": ["null"],
            "baseline": "null",
            "candidate": "null",
            "latency": "local",
            "corpus": {"kind": "generated", "size": 1},
            "phases": [{"workload": "bootstrap", "warm_up": 100, **phase}],
        }
    )
    cpu_s = 0.0

    async def work(chosen: Scenario, entries: journal.Journal, progress: Progress) -> None:
        nonlocal cpu_s
        workload = chosen.workload_of(1)
        entries.write("variant", {"name": "null", "description": "", "schema_version": 0})
        async with NullTarget().open(TargetContext("null", database_url="")) as target:
            timed = Pass(chosen, "null", 1, entries, progress)
            worker = LocalWorker(timed, workload, target)
            await worker.prepare()
            started = process_time()
            await measure(timed, [worker])
            cpu_s = process_time() - started

    record = measure_without_trace(chosen, work)
    return Driven(record.variants[0].samples, cpu_s)
