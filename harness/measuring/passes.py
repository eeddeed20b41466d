"""One variant's pass over the phases of a scenario, whoever sends the requests: workers in this process or in others.

Not for how a request is sent and timed: `driving.py` does that in this process, and
`worker_processes.py` has it done in others.
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from harness.journal import Entries
from harness.measuring.clock import Clock, MonotonicClock
from harness.measuring.observation import Reading
from harness.measuring.probes.protocol import CountedSpan
from harness.measuring.progress import Progress
from harness.measuring.scenario import Phase, Scenario
from harness.record import LevelsRecord, PhaseRecord, PlanRecord
from harness.samples import Sample

T = TypeVar("T")

Entry = Mapping[str, Any]
"""What a journal keeps of a variant's pass at its end."""


class Surroundings:
    """Says what is done around the requests of a pass. By itself nothing is: others say what they do instead."""

    async def turn(self) -> None:
        """Returns when the next slice of a phase may begin."""

    async def begun(self, clock: Clock, lead_s: float) -> float:
        """The moment of the clock at which a slice begins: now, or so far ahead that all workers hear of it."""
        return clock.now() + lead_s

    async def cool(self) -> bool:
        """Makes the database cold for the next request. Says whether the target's sessions with it have ended."""
        return False

    async def over(self) -> None:
        """Returns when nothing is observed any more, so that the target may be asked what costs it something."""

    async def observe(self, span: CountedSpan, *, flushed: bool, before: bool) -> Reading:
        """Says what is counted until now; `flushed` says whether the server knows all that the target did."""
        del span, flushed, before
        return Reading()

    def beside(self, phase: Phase, zero: float, begun: float) -> AbstractAsyncContextManager[None]:
        """Goes on while a slice does; `zero` is when the pass began, and `begun` when the slice did."""
        del phase, zero, begun
        return nullcontext()

    def counted_beside(self) -> Reading:
        """Says what was counted beside the slice that has ended, and by none of what is observed around it."""
        return Reading()

    def memory_beside(self, phase: str) -> tuple[LevelsRecord, ...]:
        """Says what memory processes had that are not this one, while the phase's slices went on."""
        del phase
        return ()

    def plans(self) -> Mapping[str, PlanRecord]:
        """Of the statements that were seen beside slices, by their names."""
        return {}

    def ended(self, phase: PhaseRecord) -> None:
        """Told of each phase."""

    def heard(self, sample: Sample) -> None:
        """Told of each sample, between requests. Raises `Aborted` when the run is to end."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Says what one variant is asked in one round, and where the answers are noted."""

    scenario: Scenario
    variant: str
    round_number: int
    journal: Entries
    progress: Progress
    surroundings: Surroundings = field(default_factory=Surroundings)
    clock: Clock = field(default_factory=MonotonicClock)

    def note(self, sample: Sample) -> None:
        self.journal.sample(self.variant, sample)
        self.progress.sample(sample)
        self.surroundings.heard(sample)


class PassTime:
    """The clock of a pass, from its first request on.

    Where phases are cut into slices, it stands still from the end of one to the start of the next: neither the turns of
    other variants nor the background work that a turn leaves behind are time in which requests are sent.
    """

    def __init__(self, clock: Clock, *, can_stand_still: bool) -> None:
        self.zero = self.begun = 0.0
        self._clock = clock
        self._can_stand_still = can_stand_still
        self._stood_still_at: float | None = None

    def go_on(self, begun: float) -> None:
        """A slice begins at this moment."""
        self.begun = begun
        if self._stood_still_at is None:
            self.zero = begun
        elif self._can_stand_still:
            self.zero += begun - self._stood_still_at

    def stand_still(self) -> None:
        self._stood_still_at = self._clock.now()


class Worker(Protocol):
    """Sends a share of a pass's requests, and notes their samples. What is not timed has been done before it is one."""

    @property
    def flushed(self) -> bool:
        """Says whether its target's sessions have told the server what they did until the worker settled last."""
        ...

    async def lead_s(self) -> float:
        """Gets ready for a slice. Says how long before it has to be told when that begins; 0 where it hears at once."""
        ...

    async def drive(self, phase: Phase, number: int, time: PassTime) -> None:
        """The slice with this number: an equal part of the requests that are left, in its part of the time."""
        ...

    async def settle(self) -> PhaseRecord | None:
        """Finishes the background work that the slice has left behind; after a phase's last slice, its record."""
        ...

    async def end(self) -> Entry:
        """Says what it has counted over the whole pass."""
        ...


async def measure(measured: Pass, workers: Sequence[Worker]) -> None:
    """The timed pass, phase by phase, each with the background work that it has left behind."""
    time = PassTime(measured.clock, can_stand_still=measured.scenario.slices > 1)
    for phase in measured.scenario.phases:
        record = await _phase(measured, workers, phase, time)
        measured.journal.phase(measured.variant, record)
        measured.surroundings.ended(record)
    await measured.surroundings.over()
    end = end_of_all(await all_of(worker.end() for worker in workers))
    known = {plan["statement"] for plan in end["plans"]}
    plans = measured.surroundings.plans()
    seen = [plan.model_dump(exclude_defaults=True) for name, plan in plans.items() if name not in known]
    measured.journal.write(
        "variant_end", {"name": measured.variant, "complete": True, **end, "plans": [*end["plans"], *seen]}
    )


async def _phase(measured: Pass, workers: Sequence[Worker], phase: Phase, time: PassTime) -> PhaseRecord:
    """Slice by slice, each begun by all workers at once."""
    timed, whole, beside, records = Reading(), Reading(), Reading(), list[PhaseRecord | None]()
    for number in range(measured.scenario.slices):
        await measured.surroundings.turn()
        measured.progress.phase(measured.variant, phase.name, phase.timed(measured.scenario.seed), phase.duration_s)
        whole_before = await _observed(measured, workers, "whole", before=True)
        lead_s = max(await all_of(worker.lead_s() for worker in workers))
        timed_before = await _observed(measured, workers, "timed", before=True)
        time.go_on(await measured.surroundings.begun(measured.clock, lead_s))
        async with measured.surroundings.beside(phase, time.zero, time.begun):
            await all_of(worker.drive(phase, number, time) for worker in workers)
        time.stand_still()
        beside = beside.plus(measured.surroundings.counted_beside())
        timed = timed.plus((await _observed(measured, workers, "timed")).since(timed_before))
        measured.progress.preparing(f"{measured.variant}: finishing the background work")
        records = await all_of(worker.settle() for worker in workers)
        whole = whole.plus((await _observed(measured, workers, "whole")).since(whole_before))
    measured.progress.phase_end(measured.variant, phase.name)
    record = phase_of_all([record for record in records if record is not None])
    memory = (*record.memory, *measured.surroundings.memory_beside(phase.name))
    return _counted(record.model_copy(update={"memory": memory}), timed, whole, beside)


async def _observed(measured: Pass, workers: Sequence[Worker], span: CountedSpan, *, before: bool = False) -> Reading:
    flushed = all(worker.flushed for worker in workers)
    return await measured.surroundings.observe(span, flushed=flushed, before=before)


async def all_of(begun: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Returns what each returns. When one fails the others are cancelled, and an `ExceptionGroup` is raised."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in begun]
    return [task.result() for task in tasks]


def _counted(record: PhaseRecord, *readings: Reading) -> PhaseRecord:
    """What workers count of themselves is not to be seen from here, so it goes before what is."""
    counters = {name: value for each in readings for name, value in each.values.items()} | record.counters
    missing = {name: why for each in readings for name, why in each.missing.items()} | record.uncounted
    counters = {name: value for name, value in counters.items() if name not in record.uncounted}
    uncounted = {name: why for name, why in missing.items() if name not in counters}
    return record.model_copy(update={"counters": counters, "uncounted": uncounted})


def phase_of_all(records: Sequence[PhaseRecord]) -> PhaseRecord:
    """One phase from what each worker has done of it."""
    return records[0].model_copy(
        update={
            "users": _sum_of_known(record.users for record in records),
            "rate_per_s_target": _sum_of_known(record.rate_per_s_target for record in records),
            "planned": _sum_of_known(record.planned for record in records),
            "processes": len(records),
            "started": sum(record.started for record in records),
            "dropped": sum(record.dropped for record in records),
            "started_s": min(record.started_s for record in records),
            "ended_s": max(record.ended_s for record in records),
            "counters": added(record.counters for record in records),
            "uncounted": {name: why for record in records for name, why in record.uncounted.items()},
            # Readings of several processes are of different moments.
            "levels": records[0].levels if len(records) == 1 else None,
            "workers": tuple(worker for record in records for worker in record.workers),
            "memory": records[0].memory if len(records) == 1 else (),
            "drain_s": max((record.drain_s for record in records if record.drain_s is not None), default=None),
        }
    )


def end_of_all(ends: Sequence[Entry]) -> dict[str, Any]:
    """The end of a variant from what each worker has counted; the first says what is the same for all."""
    cache = added({name: n for name, n in end["cache"].items() if name != "hit_rate"} for end in ends)
    kinds = sorted({work["kind"] for end in ends for work in end["background"]})
    return {
        **ends[0],
        "drain_s": max(end["drain_s"] for end in ends),
        "cache": cache_figures(cache),
        "pool": added(end["pool"] for end in ends),
        "background": [{"kind": kind, **added(_of_kind(ends, kind))} for kind in kinds],
    }


def added(counters: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    total: Counter[str] = Counter()
    for each in counters:
        total.update(each)
    return dict(total)


def _of_kind(ends: Sequence[Entry], kind: str) -> Iterable[Mapping[str, int]]:
    for end in ends:
        for work in end["background"]:
            if work["kind"] == kind:
                yield {name: count for name, count in work.items() if name != "kind"}


def _sum_of_known(numbers: Iterable[float | None]) -> float | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def cache_figures(counters: Mapping[str, int]) -> dict[str, float]:
    """The counters with the share of hits in all look-ups; empty where there is no cache."""
    lookups = sum(counters.get(name, 0) for name in ("hits", "misses", "coalesced"))
    return {**counters, "hit_rate": counters["hits"] / lookups} if lookups else {}
