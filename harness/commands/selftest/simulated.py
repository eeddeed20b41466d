"""Verdicts on simulated runs, whose truth is known: how often they are wrong, and how often there is none.

The verdicts are those of the product: a record is made of the drawn latencies and judged as any other.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import TYPE_CHECKING, Final

import numpy as np

from harness.advice import MARGIN
from harness.children import spawning
from harness.commands.selftest.findings import Finding, Promise
from harness.commands.selftest.populations import POPULATIONS, Population, PopulationValues
from harness.judging.analysis.drift import find_drift
from harness.judging.analysis.paired import STATISTICS, Effect, Word, decide, paired
from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.budgets import parse
from harness.judging.evaluation import evaluate
from harness.record import VariantRecord
from harness.samples import Sample

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

PROBABILITY: Final = 0.95
WRONG: Final = Promise("at most", 0.05)
FALSE_ALARMS: Final = Promise("at most", 0.01)
FOUND: Final = Promise("at least", 0.99)

LOOKS: Final[Mapping[str, tuple[int, ...]]] = {"one look": (300,), "up to 6 looks": (100, 200, 300, 400, 500, 600)}
EVENTS: Final[Mapping[str, tuple[float, Outcome]]] = {
    "FAIL, though it is on the limit": (1.0, Outcome.FAIL),
    "PASS, though it is just over": (1 / (1 + 1e-9), Outcome.PASS),
    "undecided at a fifth under": (1.25, Outcome.UNDECIDED),
    "undecided at a fifth over": (1 / 1.2, Outcome.UNDECIDED),
}
"""What happens at a limit which is so many times the true quantile. At the limit wrong verdicts are likeliest."""

ROUNDS: Final = 10
REQUESTS: Final = 1_000
MACHINE_NOISE: Final = 0.05
"""Spread of the logarithm by which a whole round is slower or faster, on both sides alike."""

PASS_NOISE: Final = 0.01
"""Of that by which one pass is, as servers with a processor of their own show it."""

ALARM_TRIALS: Final = 4
"""How many times as many of a system with itself: no promise is as small as that on its false alarms."""

COMPARED: Final = [name for name, population in POPULATIONS.items() if population.independent]

SLOWDOWNS: Final = (0.0, 0.05, 0.10, 0.20)
PIECES: Final = len(POPULATIONS) * len(LOOKS) * len(EVENTS) + len(COMPARED) * (len(SLOWDOWNS) - 1 + ALARM_TRIALS)
"""Of about as much work each, so that their number tells the time to go."""


@dataclass(frozen=True, slots=True)
class SimulationTask:
    """One cell of the simulation; a process of its own may do it."""

    population: str
    trials: int
    seed: int


SPAWNING: Final = get_context("spawn")
COUNTED: Final[list["Synchronized[int]"]] = []
"""In a process of the simulation: where it counts what it has done."""


@dataclass(frozen=True, slots=True)
class Done:
    """Says how many pieces of the whole simulation are done, in all of its processes."""

    pieces: "Synchronized[int]" = field(default_factory=lambda: SPAWNING.Value("i", 0))

    @property
    def share(self) -> float:
        return self.pieces.value / PIECES

    def __str__(self) -> str:
        return f"simulated runs, {self.pieces.value} of {PIECES} pieces"


def _count_into(pieces: "Synchronized[int]") -> None:
    COUNTED.append(pieces)


def _piece_done(times: int = 1) -> None:
    for counter in COUNTED:
        with counter.get_lock():
            counter.value += times


def budgets(trials: int, seed: int, done: Done) -> Iterator[Finding]:
    """Absolute budgets on p95, of every population."""
    yield from _found(budgets_of, [SimulationTask(name, trials, seed) for name in POPULATIONS], done)


def _found(
    judge: Callable[[SimulationTask], list[Finding]], tasks: Sequence[SimulationTask], done: Done
) -> Iterator[Finding]:
    with (
        spawning(),
        ProcessPoolExecutor(mp_context=SPAWNING, initializer=_count_into, initargs=(done.pieces,)) as processes,
    ):
        for findings in processes.map(judge, tasks):
            yield from findings


def budgets_of(task: SimulationTask) -> list[Finding]:
    population, random = POPULATIONS[task.population], np.random.default_rng([task.seed, len(task.population)])
    true_s, found = population.quantile(PROBABILITY), list[Finding]()
    for looks, sizes in LOOKS.items():
        runs = [population.draw(random, sizes[-1]) for _ in range(task.trials)]
        variants = [as_measured(latencies) for latencies in runs]
        subject = f"p95 of {task.population}, {looks}"
        for event, (times, outcome) in EVENTS.items():
            counted = sum(verdict(variant, sizes, true_s * times) is outcome for variant in variants)
            promise = WRONG if population.steady and outcome is not Outcome.UNDECIDED else None
            found.append(Finding(subject, event, counted, len(runs), promise))
            _piece_done()
        if not population.independent:
            noticed = sum(find_drift([latencies]) is not None for latencies in runs)
            found.append(Finding(subject, "refused, since it drifts", noticed, len(runs)))
    return found


def as_measured(latencies: PopulationValues) -> VariantRecord:
    samples = tuple(
        Sample(operation="query", round=1, intended_s=0.0, started_s=0.0, ended_s=latency)
        for latency in latencies.tolist()
    )
    return VariantRecord.model_construct(name="simulated", description="", schema_version=0, samples=samples)


def verdict(variant: VariantRecord, sizes: Sequence[int], limit_s: float) -> Outcome:
    """As a run takes it: it ends at the first look that decides. A run of one look has none in its record."""
    looks = [{variant.name: size} for size in sizes] if len(sizes) > 1 else []
    return evaluate(parse(f"query.p95 <= {limit_s:.12f}s"), variant, looks).outcome


def comparisons(trials: int, seed: int, done: Done) -> Iterator[Finding]:
    """Paired comparisons of rounds, of a population that is the same or slower by a stated share."""
    yield from _found(comparisons_of, [SimulationTask(name, trials, seed) for name in COMPARED], done)


def comparisons_of(task: SimulationTask) -> list[Finding]:
    population, random = POPULATIONS[task.population], np.random.default_rng([task.seed, 1, len(task.population)])
    found: list[Finding] = []
    for slowdown in SLOWDOWNS:
        trials = task.trials if slowdown else ALARM_TRIALS * task.trials
        words = [_words(population, random, slowdown) for _ in range(trials)]
        _piece_done(trials // task.trials)
        alarms = sum(bool({"slower", "faster"} & set(each)) for each in words)
        slower = sum("slower" in each for each in words)
        subject = f"{ROUNDS} rounds of {REQUESTS:,} requests, {task.population}"
        if slowdown == 0:
            found.append(Finding(f"{subject}, A/A", "a false alarm", alarms, len(words), FALSE_ALARMS))
        else:
            found.append(Finding(subject, f"{slowdown:.0%} slower, found", slower, len(words), _promised(slowdown)))
    return found


def _promised(slowdown: float) -> Promise | None:
    """A slowdown that is no larger than the margin is none that matters."""
    return FOUND if slowdown > MARGIN else None


def _words(population: Population, random: np.random.Generator, slowdown: float) -> list[Word]:
    """What is said of the mean, p50 and p95 of one operation, judged at once."""
    machine = np.exp(MACHINE_NOISE * random.standard_normal(ROUNDS))
    baseline, candidate = (
        [
            population.draw(random, REQUESTS) * times * factor * np.exp(PASS_NOISE * random.standard_normal())
            for times in machine
        ]
        for factor in (1.0, 1.0 + slowdown)
    )
    effects: dict[str, Effect] = {}
    for metric, statistic in STATISTICS.items():
        sides = ([statistic(latencies.tolist()) for latencies in side] for side in (baseline, candidate))
        effect = paired(*sides)
        assert effect is not None, "every latency is over 0 and finite"
        effects[metric] = effect
    return [difference.word for difference in decide(effects, margin=MARGIN).values()]
