"""One variant's pass over the phases of a scenario, on a target that is open.

What is declared and discarded comes first: priming (texts that a running service would know) and warm-up.
"""

import gc
import math
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Final

from harness.errors import TargetError
from harness.journal import Entries
from harness.measuring.arrivals.closed_loop import ClosedLoopSettings
from harness.measuring.arrivals.protocol import WHOLE, Bounds, Share
from harness.measuring.clock import MonotonicClock
from harness.measuring.draws import Draws
from harness.measuring.heartbeat import Heartbeat
from harness.measuring.levels import Levels
from harness.measuring.observation import Reading
from harness.measuring.probes.protocol import Span
from harness.measuring.progress import Progress
from harness.measuring.scenario import Phase, Scenario
from harness.measuring.targets.protocol import OpenTarget, Request, Response
from harness.measuring.turns import Gate
from harness.measuring.workloads.protocol import Workload
from harness.record import PhaseRecord, Sample

CLOCK: Final = MonotonicClock()

WARM_UP_USERS_MAX: Final = 100
"""A schedule may put a thousand requests in flight, but to begin with all of them would only fill queues."""

Beside = Callable[[Phase, float, float], AbstractAsyncContextManager[None]]
"""What is done while a phase goes on: of the phase, the start of the whole pass, and its own on the clock."""

Observe = Callable[[Span], Awaitable[Reading]]
"""Reads what is counted around a phase."""


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
    """What one variant is asked in one round, or a worker's share of it, and where the answers are noted.

    It waits for its `turn` before each slice of a phase, and then at the `gate`, where all workers begin together.
    """

    scenario: Scenario
    workload: Workload
    variant: str
    round_number: int
    target: OpenTarget
    journal: Entries
    progress: Progress
    beside: Beside = nothing
    observe: Observe = unobserved
    turn: Gate = unpaced
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
        time, drain_s = PassTime(can_stand_still=self.scenario.slices > 1), 0.0
        for phase in self.scenario.phases:
            drain_s += await self._measure(phase, time)
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

    async def _measure(self, phase: Phase, time: "PassTime") -> float:
        """Slice by slice. Returns how long the background work went on after them."""
        timed_phase = TimedPhase(self, phase, time)
        timed, whole, drain_s = Reading(), Reading(), 0.0
        for number in range(self.scenario.slices):
            with time.standing_still():
                await self.turn()
                self.progress.phase(self.variant, phase.name, len(timed_phase.requests), phase.duration_s)
                before = await self.observe("whole"), await self.observe("timed")
                await self.gate()
            await timed_phase.drive(number)
            with time.standing_still():
                timed = timed.plus((await self.observe("timed")).since(before[1]))
                drain_s += await self._drain()
                whole = whole.plus((await self.observe("whole")).since(before[0]))
        self.progress.phase_end(self.variant, phase.name)
        record = timed_phase.record
        counted = {
            "counters": {**record.counters, **timed.values, **whole.values},
            "uncounted": {**timed.missing, **whole.missing},
            "drain_s": drain_s,
        }
        self.journal.phase(self.variant, record.model_copy(update=counted))
        return drain_s

    async def _drain(self) -> float:
        """Returns how long it took."""
        self.progress.preparing(f"{self.variant}: finishing the background work")
        begun = CLOCK.now()
        await self.target.drain()
        return CLOCK.now() - begun

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


class PassTime:
    """The clock of a pass, from its first request on.

    Where phases are cut into slices, it stands still from the end of one to the begin of the next: neither the turns of
    other variants nor the background work that a turn leaves behind are time in which requests are sent.
    """

    def __init__(self, *, can_stand_still: bool) -> None:
        self._can_stand_still = can_stand_still
        self._zero: float | None = None

    @property
    def zero(self) -> float:
        if self._zero is None:
            self._zero = CLOCK.now()
        return self._zero

    @contextmanager
    def standing_still(self) -> Generator[None]:
        begun = CLOCK.now()
        yield
        if self._can_stand_still and self._zero is not None:
            self._zero += CLOCK.now() - begun


class TimedPhase:
    """One phase as its requests are timed, slice by slice."""

    def __init__(self, pass_: Pass, phase: Phase, time: PassTime) -> None:
        timed_requests = pass_.workload.by_phase[phase.name][phase.warm_up :]
        self.arrival, self.requests = phase.open(pass_.scenario.seed).share(pass_.share, timed_requests)
        self._pass = pass_
        self._phase = phase
        self._time = time
        self._begun_s: float | None = None
        self._ended_s = 0.0
        self._started = self._dropped = 0
        self._stage_starts: list[float] = []
        self._levels = Levels(pass_.target.levels, CLOCK)
        self._heartbeat = Heartbeat()

    async def drive(self, number: int) -> None:
        """An equal part of the requests that are left, in its part of the time."""
        scenario = self._pass.scenario
        left = self.requests[self._started :]
        requests = left[: math.ceil(len(left) / (scenario.slices - number))]
        phase = self._phase.slice(number, scenario.slices)
        arrival, _ = phase.open(scenario.seed).share(self._pass.share, ())
        zero, begun = self._time.zero, CLOCK.now()
        if self._begun_s is None:
            self._begun_s = self._ended_s = begun - zero
        self._stage_starts = [begun + stage.start_s for stage in phase.arrival.stage_records]
        async with self._pass.beside(self._phase, zero, begun), self._levels.watched(zero):
            with self._heartbeat.watched():
                self._dropped += await arrival.drive(requests, self._issue, CLOCK)

    async def _issue(self, request: Request, intended: float) -> None:
        self._started += 1
        started = CLOCK.now()
        response, error = await self._pass.perform(request)
        ended, zero = CLOCK.now(), self._time.zero
        self._ended_s = ended - zero
        sample = Sample(
            operation=request.operation,
            round=self._pass.round_number,
            phase=self._phase.name,
            stage=bisect_right(self._stage_starts, intended) - 1 if self._stage_starts else None,
            scheduled=self.arrival.loop == "open",
            intended_s=intended - zero,
            started_s=started - zero,
            ended_s=self._ended_s,
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

    @property
    def record(self) -> PhaseRecord:
        """Of what was driven until now."""
        assert self._begun_s is not None, "a phase is driven before it is recorded"
        phase, arrival = self._phase, self.arrival
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
            dropped=self._dropped,
            started_s=self._begun_s,
            ended_s=self._ended_s,
            stages=phase.arrival.stage_records,
            counters=dict(self._heartbeat.counters),
            levels=self._levels.record,
        )


def keep_from_collector() -> None:
    """Else Python's collector goes through all texts and requests of the run while a request is timed."""
    gc.collect()
    gc.freeze()


def cache_figures(counters: Mapping[str, int]) -> dict[str, float]:
    """The counters with the share of hits in all look-ups; empty where there is no cache."""
    lookups = sum(counters.get(name, 0) for name in ("hits", "misses", "coalesced"))
    return {**counters, "hit_rate": counters["hits"] / lookups} if lookups else {}
