"""One variant's pass over the phases of a scenario, on a target that is open.

What is declared and discarded comes first: priming (texts that a running service would know) and warm-up.
"""

import gc
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Final

from harness.arrivals.closed_loop import ClosedLoopSettings
from harness.arrivals.protocol import WHOLE, Arrival, Bounds, Share
from harness.clock import MonotonicClock
from harness.draws import Draws
from harness.errors import TargetError
from harness.journal import Entries
from harness.observation import Reading
from harness.probes.protocol import Span
from harness.progress import Progress
from harness.record import PhaseRecord, Sample
from harness.scenario import Phase, Scenario
from harness.targets.protocol import OpenTarget, Request, Response
from harness.workloads.protocol import Workload

CLOCK: Final = MonotonicClock()

WARM_UP_USERS_MAX: Final = 100
"""A schedule may put a thousand requests in flight, but to begin with all of them would only fill queues."""

Beside = Callable[[Phase, float, float], AbstractAsyncContextManager[None]]
"""What is done while a phase goes on: of the phase, the start of the whole pass, and its own on the clock."""

Observe = Callable[[Span], Awaitable[Reading]]
"""Reads what is counted around a phase."""

Gate = Callable[[], Awaitable[None]]
"""Returns when the next phase may begin."""


def nothing(_phase: Phase, _zero: float, _begun: float) -> AbstractAsyncContextManager[None]:
    return nullcontext()


Watch = Callable[[str, Sample], None]
"""Told of each sample and its variant, between requests; raises `Aborted` when the run is to end."""


def unwatched(_variant: str, _sample: Sample) -> None:
    """Lets every run go on."""


async def unobserved(_span: Span) -> Reading:
    return Reading()


async def unpaced() -> None: ...


@dataclass(frozen=True, slots=True)
class Pass:
    """What one variant is asked in one round, or a worker's share of it, and where the answers are noted."""

    scenario: Scenario
    workload: Workload
    variant: str
    round_number: int
    target: OpenTarget
    journal: Entries
    progress: Progress
    beside: Beside = nothing
    observe: Observe = unobserved
    gate: Gate = unpaced
    share: Share = WHOLE
    watch: Watch = unwatched

    async def prepare(self) -> None:
        """Everything that is not timed."""
        await self.target.prime(self.workload.primed_texts)
        for phase in self.scenario.phases:
            await self._warm_up(phase)
        await self.target.drain()
        keep_from_collector()

    async def measure(self) -> None:
        """The timed pass, phase by phase, each with the background work that it has left behind."""
        plans = await self.target.plans()
        before = await self.target.statistics()
        zero, drain_s = None, 0.0
        for phase in self.scenario.phases:
            readings = await self.observe("whole"), await self.observe("timed")
            await self.gate()
            zero = CLOCK.now() if zero is None else zero
            drain_s += await self._measure(phase, zero, *readings)
        statistics = (await self.target.statistics()).since(before)
        self.journal.write(
            "variant_end",
            {
                "name": self.variant,
                "complete": True,
                "drain_s": drain_s,
                "cache": cache_figures(statistics.cache),
                "pool": dict(statistics.pool),
                "served": dict(statistics.served),
                "background": [asdict(work) for work in statistics.background],
                "plans": [plan.record.model_dump(exclude_defaults=True) for plan in plans],
                "recalls": await self.target.recalls(self._sampled_queries()),
            },
        )

    def _sampled_queries(self) -> Sequence[Request]:
        """As many as are wanted, spread over all that the workload asks."""
        asked = chain.from_iterable(self.workload.by_phase[phase.name] for phase in self.scenario.phases)
        queries = [request for request in asked if request.operation == "query"]
        # The answers are the same for all workers.
        wanted = 0 if self.share.index else min(self.scenario.recall_queries, len(queries))
        return [queries[number * len(queries) // wanted] for number in range(wanted)]

    async def _measure(self, phase: Phase, zero: float, whole: Reading, timed: Reading) -> float:
        """Of readings from before. Returns how long the background work went on after the phase."""
        timed_requests = self.workload.by_phase[phase.name][phase.warm_up :]
        arrival, requests = phase.open(self.scenario.seed).share(self.share, timed_requests)
        self.progress.phase(self.variant, phase.name, len(requests), phase.duration_s)
        record = await TimedPhase(self, phase, arrival, zero).drive(requests)
        timed = (await self.observe("timed")).since(timed)
        self.progress.preparing(f"{self.variant}: finishing the background work")
        drain_started = CLOCK.now()
        await self.target.drain()
        drain_s = CLOCK.now() - drain_started
        whole = (await self.observe("whole")).since(whole)
        counted = {"counters": {**timed.values, **whole.values}, "uncounted": {**timed.missing, **whole.missing}}
        self.journal.phase(self.variant, record.model_copy(update=counted))
        return drain_s

    async def _warm_up(self, phase: Phase) -> None:
        """Discards what it measures; a failure shows again in the timed pass, where it is counted."""
        arrival, requests = phase.open(self.scenario.seed).share(
            self.share, self.workload.by_phase[phase.name][: phase.warm_up]
        )

        async def issue(request: Request, _intended: float) -> None:
            await self.perform(request)

        # Twice as many users, since background work shares the connections, and each prepares its own statements.
        users = min(2 * max(1, arrival.side_by_side), WARM_UP_USERS_MAX)
        crowd = ClosedLoopSettings(users=users).open(Bounds(time_s=phase.duration_s / 2), lambda _: Draws(0, ""))
        await crowd.drive(requests, issue, CLOCK)

    async def perform(self, request: Request) -> tuple[Response, str | None]:
        """The answer, or nothing and the kind of the error."""
        try:
            return await self.target.perform(request), None
        except TargetError as error:
            self.progress.failure(self.variant, request.operation, error)
            return Response(), error.kind


class TimedPhase:
    """One phase as its requests are timed; `zero` is the start of the whole pass, to which its times relate."""

    def __init__(self, pass_: Pass, phase: Phase, arrival: Arrival, zero: float) -> None:
        self._pass = pass_
        self._phase = phase
        self._arrival = arrival
        self._zero = zero
        self._begun = self._ended = CLOCK.now()
        self._started = 0
        self._stage_starts = [self._begun + stage.start_s for stage in phase.arrival.stage_records]

    async def drive(self, requests: Sequence[Request]) -> PhaseRecord:
        async with self._pass.beside(self._phase, self._zero, self._begun):
            dropped = await self._arrival.drive(requests, self._issue, CLOCK)
        return self._record(dropped)

    async def _issue(self, request: Request, intended: float) -> None:
        self._started += 1
        started = CLOCK.now()
        response, error = await self._pass.perform(request)
        self._ended = CLOCK.now()
        sample = Sample(
            operation=request.operation,
            round=self._pass.round_number,
            phase=self._phase.name,
            stage=bisect_right(self._stage_starts, intended) - 1 if self._stage_starts else None,
            scheduled=self._arrival.loop == "open",
            intended_s=intended - self._zero,
            started_s=started - self._zero,
            ended_s=self._ended - self._zero,
            error=error,
            first_time_text=request.first_time_text,
            statements=response.statements,
            round_trips=response.round_trips,
            rows=response.rows,
            results=response.results,
            promotions=response.promotions,
            embedding=response.embedding,
            elapsed_s={name: round(elapsed_s, 6) for name, elapsed_s in response.elapsed_s.items()} or None,
            calls=dict(response.calls) or None,
            server_s=response.server_s,
        )
        self._pass.journal.sample(self._pass.variant, sample)
        self._pass.progress.sample(sample)
        self._pass.watch(self._pass.variant, sample)

    def _record(self, dropped: int) -> PhaseRecord:
        phase, arrival = self._phase, self._arrival
        return PhaseRecord(
            name=phase.name,
            workload=phase.workload or phase.arrival.kind,
            round=self._pass.round_number,
            arrival=phase.arrival.kind,
            loop=arrival.loop,
            users=arrival.users,
            rate_per_s_target=arrival.starts / phase.duration_s if arrival.starts and phase.duration_s else None,
            planned=arrival.starts,
            started=self._started,
            dropped=dropped,
            started_s=self._begun - self._zero,
            ended_s=self._ended - self._zero,
            stages=phase.arrival.stage_records,
        )


def keep_from_collector() -> None:
    """Else Python's collector goes through all texts and requests of the run while a request is timed."""
    gc.collect()
    gc.freeze()


def cache_figures(counters: Mapping[str, int]) -> dict[str, float]:
    """The counters with the share of hits in all look-ups; empty where there is no cache."""
    lookups = sum(counters.get(name, 0) for name in ("hits", "misses", "coalesced"))
    return {**counters, "hit_rate": counters["hits"] / lookups} if lookups else {}
