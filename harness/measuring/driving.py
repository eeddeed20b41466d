"""Sends the requests of a pass from this process, and times them.

What is declared and discarded comes first: priming (texts that a running service would know) and warm-up.
"""

import gc
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from typing import Final

from harness.errors import TargetError
from harness.measuring.arrivals.closed_loop import ClosedLoopSettings
from harness.measuring.arrivals.protocol import WHOLE, PhaseBounds, Share
from harness.measuring.draws import Draws
from harness.measuring.heartbeat import Heartbeat
from harness.measuring.kept_memory import kept_memory, throw_garbage_away
from harness.measuring.levels import Levels
from harness.measuring.operations import Request, Workload
from harness.measuring.passes import Entry, Pass, PassTime, cache_figures
from harness.measuring.plans import StatementPlan
from harness.measuring.scenario import Phase
from harness.measuring.targets.protocol import OpenTarget, Response, TargetStatistics
from harness.record import PhaseRecord
from harness.samples import Sample

WARM_UP_USERS_MAX: Final = 100
"""A schedule may put a thousand requests in flight, but to begin with all of them would only fill queues."""


class LocalWorker:
    """A worker in this process, on a target that is open."""

    def __init__(
        self, measured: Pass, workload: Workload, target: OpenTarget, share: Share = WHOLE, *, plans_late: bool = True
    ) -> None:
        self.flushed = False
        self._pass = measured
        self._workload = workload
        self._target = target
        self._share = share
        self._phase: TimedPhase | None = None
        self._drain_s = 0.0
        self._plans: dict[str, StatementPlan] = {}
        self._planned: set[str] = set()
        self._plans_late = plans_late
        self._before = TargetStatistics()

    async def prepare(self) -> None:
        """Everything that is not timed."""
        await self._target.prime(self._workload.primed_texts)
        for phase in self._pass.scenario.phases:
            await self._warm_up(phase)
        await self._target.drain()
        keep_from_collector()
        await self._plan()
        self._before = await self._target.statistics()
        self.flushed = await self._target.report_statistics()

    async def lead_s(self) -> float:
        await throw_garbage_away()  # None of it is what the slice's requests leave behind.
        return 0.0

    async def drive(self, phase: Phase, number: int, time: PassTime) -> None:
        if self._phase is None:
            timed = self._workload.by_phase[phase.name][phase.warm_up :]
            self._phase = TimedPhase(self._pass, phase, timed, target=self._target, share=self._share, time=time)
        await self._phase.drive(number)

    async def settle(self) -> PhaseRecord | None:
        assert self._phase is not None, "a slice is driven before what it leaves is finished"
        await self._phase.read_memory_again()
        begun = self._pass.clock.now()
        await self._target.drain()
        self._phase.drain_s += self._pass.clock.now() - begun
        self.flushed = await self._target.report_statistics()
        if not self._phase.is_over:
            return None
        record, self._phase = self._phase.record, None
        self._drain_s += record.drain_s or 0.0
        return record

    async def end(self) -> Entry:
        statistics, searched = (await self._target.statistics()).since(self._before), self._pass.scenario.searched
        if self._plans_late and not self._planned.issuperset(self._pass.scenario.operation_names):
            await self._plan()
        return {
            "drain_s": self._drain_s,
            "cache": cache_figures(statistics.cache),
            "pool": dict(statistics.pool),
            "served": dict(statistics.served),
            "background": [asdict(work) for work in statistics.background],
            "plans": [plan.record.model_dump(exclude_defaults=True) for plan in self._plans.values()],
            "recalls": () if searched else await self._target.recalls(self._sampled("query")),
            "recalls_by_operation": {name: await self._target.recalls(self._sampled(name)) for name in searched},
        }

    async def _plan(self) -> None:
        """Of what was executed until now; of what a warm-up has not asked, after the timed pass."""
        for plan in await self._target.plans():
            self._plans.setdefault(plan.record.statement, plan)

    def _sampled(self, operation: str) -> Sequence[Request]:
        """As many requests of it as are wanted, spread over all that the workload asks."""
        scenario = self._pass.scenario
        asked = chain.from_iterable(self._workload.by_phase[phase.name] for phase in scenario.phases)
        queries = [request for request in asked if request.operation == operation]
        # The answers are the same for all workers.
        wanted = 0 if self._share.index else min(scenario.recall_queries, len(queries))
        return [queries[number * len(queries) // wanted] for number in range(wanted)]

    async def _warm_up(self, phase: Phase) -> None:
        """Discards what it measures; a failure shows again in the timed pass, where it is counted."""
        arrival, requests = phase.open(self._pass.scenario.seed).share(
            self._share, self._workload.by_phase[phase.name][: phase.warm_up]
        )

        async def issue(request: Request, _intended: float) -> None:
            self._planned.add(request.operation)
            await perform(self._pass, self._target, request)

        # Twice as many users, since background work shares the connections, and each prepares its own statements.
        users = min(2 * max(1, arrival.side_by_side), WARM_UP_USERS_MAX)
        crowd = ClosedLoopSettings(users=users).open(PhaseBounds(time_s=phase.duration_s / 2), lambda _: Draws(0, ""))
        await crowd.drive(requests, issue, self._pass.clock)


class TimedPhase:
    """One phase as its requests are timed, slice by slice."""

    def __init__(
        self,
        measured: Pass,
        phase: Phase,
        timed: Sequence[Request],
        *,
        target: OpenTarget,
        share: Share,
        time: PassTime,
    ) -> None:
        self._pass = measured
        self._phase = phase
        self._target = target
        self._share = share
        self._time = time
        self._arrival, self._requests = phase.open(measured.scenario.seed).share(share, timed)
        self._slices_left = measured.scenario.slices
        self.drain_s = 0.0
        self._begun_s: float | None = None
        self._ended_s = 0.0
        self._started = self._dropped = 0
        self._stage_starts: list[float] = []
        self._levels = Levels(target.levels, measured.clock)
        self._memory = Levels(self._kept_memory, measured.clock)
        self._heartbeat = Heartbeat()

    @property
    def is_over(self) -> bool:
        return not self._slices_left

    async def drive(self, number: int) -> None:
        """An equal part of the requests that are left, in its part of the time."""
        scenario, clock = self._pass.scenario, self._pass.clock
        left = self._requests[self._started :]
        requests = left[: math.ceil(len(left) / self._slices_left)]
        phase = self._phase.slice(number, scenario.slices)
        arrival, _ = phase.open(scenario.seed).share(self._share, ())
        zero, begun = self._time.zero, self._time.begun
        if self._begun_s is None:
            self._begun_s = self._ended_s = begun - zero
        self._stage_starts = [begun + stage.start_s for stage in phase.arrival.stage_records]
        async with self._memory.watched(zero), self._levels.watched(zero):
            with self._heartbeat.watched():
                self._dropped += await arrival.drive(requests, self._issue, clock, begun)
        self._slices_left -= 1

    async def read_memory_again(self) -> None:
        """Without garbage, which takes time to throw away that is no request's."""
        await throw_garbage_away()
        self._memory.read_again()

    def _kept_memory(self) -> Mapping[str, float]:
        """With how many requests had begun by then, since they need not come at one pace."""
        return {**kept_memory(), "requests": float(self._started)}

    async def _issue(self, request: Request, intended: float) -> None:
        clock = self._pass.clock
        self._started += 1
        if self._phase.is_cold and await self._pass.surroundings.cool():
            await self._target.reconnect()
        started = clock.now()
        response, error = await perform(self._pass, self._target, request)
        ended, zero = clock.now(), self._time.zero
        self._ended_s = ended - zero
        sample = Sample(
            operation=self._phase.asked(request.operation),
            round=self._pass.round_number,
            phase=self._phase.name,
            stage=bisect_right(self._stage_starts, intended) - 1 if self._stage_starts else None,
            scheduled=self._arrival.loop == "open",
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
            proven=response.proven,
            embedding=response.embedding,
            elapsed_s={name: round(elapsed_s, 6) for name, elapsed_s in response.elapsed_s.items()} or None,
            calls=dict(response.calls) or None,
            server_s=response.server_s,
        )
        if self._phase.is_timed:
            self._pass.note(sample)

    @property
    def record(self) -> PhaseRecord:
        """Of what was driven until now."""
        assert self._begun_s is not None, "a phase is driven before it is recorded"
        phase, arrival = self._phase, self._arrival
        return PhaseRecord(
            name=phase.name,
            workload=phase.asked(phase.asks),
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
            memory=tuple(filter(None, [self._memory.record])),
            drain_s=self.drain_s,
        )


async def perform(measured: Pass, target: OpenTarget, request: Request) -> tuple[Response, str | None]:
    """The answer, or nothing and the kind of the error."""
    try:
        return await target.perform(request), None
    except TargetError as error:
        measured.progress.failure(measured.variant, request.operation, error)
        return Response(), error.kind


def keep_from_collector() -> None:
    """Keeps Python's collector from going through all texts and requests of the run while one is timed."""
    gc.collect()
    gc.freeze()
