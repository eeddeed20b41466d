"""A pass in its place: it waits for its turn, is observed by the probes, and is disrupted as the scenario says."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NoReturn

from harness.measuring.clock import MonotonicClock
from harness.measuring.levels import Levels
from harness.measuring.observation import Reading, counts_by_table, take_reading
from harness.measuring.passes import Surroundings
from harness.measuring.places import Place, Run
from harness.measuring.probes.protocol import AskServer, CountedSpan, NotObserved, Observable, no_proxy, unread
from harness.measuring.profilers import PROFILERS
from harness.measuring.profilers.protocol import ProfiledOperation
from harness.measuring.scenario import Phase
from harness.measuring.servers.service import ServiceProcesses
from harness.measuring.timeline import Timeline
from harness.measuring.turns import Gate
from harness.quantities import number_of
from harness.record import WHOLE_PASS, LevelsRecord, PhaseRecord, PlanRecord
from harness.redaction import without_secrets
from harness.samples import Sample

ROLLED_BACK: Final = """
SELECT xact_rollback AS transactions, (SELECT count(*) FROM pg_stat_activity WHERE datname = $1) AS sessions
  FROM pg_stat_database
 WHERE datname = $1
"""
SESSIONS: Final = """
SELECT count(*) AS sessions FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'
"""
OTHER_SESSIONS: Final = """
SELECT count(*) AS sessions
  FROM pg_stat_activity
 WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
SESSION_ENDS_POLLED: Final = 30
SESSION_ENDS_POLLED_FOR_COUNTS: Final = 100
SESSION_ENDS_POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class AtPlace(Surroundings):
    """A variant's pass waits for its turn, is observed by the probes, and is disrupted as the scenario says."""

    run: Run
    """The run that it is part of."""
    place: Place
    """Where the variant is measured."""
    variant: str
    """The variant's name."""
    round_number: int
    """The round, counted from 1."""
    gate: Gate
    """Waits for the variant's turn."""
    service: ServiceProcesses
    """Those of the service, if the run has started one."""
    failed: Counter[str] = field(default_factory=Counter[str])
    """How many requests the target reported as failed, by phase."""
    sessions: Counter[str] = field(default_factory=Counter[str])
    """How many sessions the target has with the database, by phase."""
    memory: dict[str, Levels] = field(default_factory=dict[str, Levels])
    """Of the service, by phase."""
    cooled: Counter[str] = field(default_factory=Counter[str])
    """How often the database was made cold in the slice, by the way."""
    waits: dict[str, int] = field(default_factory=dict[str, int])
    """In how many looks a session waited for what, in the slice that has just been observed."""

    async def turn(self) -> None:
        await self.gate()
        if self.works_here and any(self.run.scenario.watched_in(phase) for phase in self.run.scenario.phases):
            await self.place.sent.find()

    async def over(self) -> None:
        await self.place.sent.plan()

    async def cool(self) -> bool:
        cooling = self.run.cooling
        assert cooling is not None, "a phase that is cold has a way to be"
        self.cooled[cooling.way] += 1
        return await cooling.cool(self.place.database)

    async def observe(self, span: CountedSpan, *, flushed: bool, before: bool) -> Reading:
        async def flush() -> bool:
            return flushed

        place = self.place
        ask, server_cpu_s = (place.ask, place.server.cpu_s) if self.works_here else (not_ours, nothing_seen)
        failures = place.log.failed if self.works_here else unread
        seen = Observable(
            ask,
            place.database,
            server_cpu_s,
            flush,
            self.service.used_s,
            failures,
            self.service.memory_bytes,
            place.proxy.counters if place.proxy else no_proxy,
        )
        reading = await take_reading(seen, span, before=before)
        if span != "whole" or place.ask_inside is None:
            return reading
        await place.log.read()
        counts: Mapping[str, float] = await counts_by_table(place.ask_inside) if flushed else {}
        further = {**counts, "temporary_file_bytes": float(place.log.temporary_bytes)}
        return Reading({**reading.values, **further}, reading.missing)

    @property
    def works_here(self) -> bool:
        """Says whether what the server says is the variant's doing."""
        return self.run.scenario.works_on_database_of_run(self.place.context.variant)

    @asynccontextmanager
    async def beside(self, phase: Phase, zero: float, begun: float) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            if self.works_here and (operation := self.run.scenario.watched_in(phase)):
                await stack.enter_async_context(self.place.sent.watched(operation))
            if self.works_here and self.run.sees_waits:
                await stack.enter_async_context(self._waits_seen(phase))
            await stack.enter_async_context(self._timeline(phase, zero, begun))
            levels = self.memory.setdefault(phase.name, Levels(self.service.memory_levels(), MonotonicClock()))
            await stack.enter_async_context(levels.watched(zero))
            yield
        if self.works_here and not self.run.scenario.tells_pool:
            await self._count_sessions(phase.name)

    def memory_beside(self, phase: str) -> tuple[LevelsRecord, ...]:
        found = self.memory[phase].record if phase in self.memory else None
        return (found,) if found else ()

    async def _count_sessions(self, phase: str) -> None:
        """Right after its requests, when a pool still has those that it opened for them."""
        with contextlib.suppress(NotObserved):
            row = await self.place.ask(SESSIONS, self.place.database)
            self.sessions[phase] = max(self.sessions[phase], row["sessions"] if row else 0)

    @asynccontextmanager
    async def _waits_seen(self, phase: Phase) -> AsyncGenerator[None]:
        place, directory = self.place, self.run.journal.path.parent
        subject = ProfiledOperation(
            self.variant, phase.name, self.round_number, directory, self.run.server.admin_url, place.database
        )
        async with PROFILERS["server_waits"].observe(subject) as observed:
            yield
        self.waits.update(observed["waits"])

    def counted_beside(self) -> Reading:
        counted = {f"waits {event}": float(looks) for event, looks in self.waits.items()}
        counted |= {way: float(times) for way, times in self.cooled.items()}
        self.waits.clear()
        self.cooled.clear()
        return self.place.sent.take().plus(Reading(counted))

    def plans(self) -> Mapping[str, PlanRecord]:
        return self.place.sent.plans

    def _timeline(self, phase: Phase, zero: float, begun: float) -> AbstractAsyncContextManager[None]:
        entries = [entry for entry in self.run.scenario.timeline if entry.phase == phase.name]
        record = partial(self.run.journal.disruption, self.variant)
        disrupt = self.place.disruptor
        return Timeline(entries, self.round_number, zero, begun, MonotonicClock(), disrupt, record).playing()

    def ended(self, phase: PhaseRecord) -> None:
        timed = [each.name for each in self.run.scenario.phases if each.is_timed]
        # In the others nobody notes what the target reports, and what the harness asks beside it may fail as well.
        if phase.name in timed:
            self._tell_unreported(phase)
            self._tell_small_pool(phase)

    def _tell_unreported(self, phase: PhaseRecord) -> None:
        refused, failed = int(phase.counters.get("failed_statements", 0)), self.failed[phase.name]
        if refused > failed:
            said = without_secrets(self.place.log.last_failure)
            self.run.progress.note(
                f"warning: {self.variant}: in {phase.name} the database refused {number_of(refused, 'statement')}, and "
                f"the target reported {failed} of {number_of(phase.started, 'request')} as failed. What it keeps to "
                f"itself is in no figure of the report. The server said last: {said}"
            )

    def _tell_small_pool(self, phase: PhaseRecord) -> None:
        if 0 < (sessions := self.sessions[phase.name]) < (phase.users or 0):
            self.run.progress.note(
                f"warning: {self.variant}: {phase.users} users asked side by side in {phase.name}, and the target has "
                f"{number_of(sessions, 'session')} with its database: whoever needs one waits for another user's. Give "
                "its pool as many connections as there are users, or ask with fewer."
            )

    async def closed(self) -> None:
        """Called when the target's sessions have ended, and the server knows of all that they did.

        Where its log does not say which statements failed, it has counted the transactions that were rolled back.
        """
        place, failed = self.place, self.failed.total()
        if place.ask_inside is not None:
            await self._count_whole_pass(place.ask_inside)
            return
        if not self.works_here or self.run.scenario.tells_plans or await place.log.read():
            return
        rolled_back = await _rolled_back(place)
        if rolled_back > failed:
            self.run.progress.note(
                f"warning: {self.variant}: the server rolled back {number_of(rolled_back, 'transaction')}, warm-up "
                f"included, and the target reported {number_of(failed, 'failed request')}. Where it does not roll back "
                "on purpose, it swallows errors: have it report them, or state in `expect` what a right answer holds."
            )

    async def _count_whole_pass(self, ask: AskServer) -> None:
        """Of each table, once no session is left that could have more to tell."""
        untold = {"rows_read": "the target's sessions had not ended"}
        for _ in range(SESSION_ENDS_POLLED_FOR_COUNTS):
            row = await ask(OTHER_SESSIONS)
            if row is None or not row["sessions"]:
                untold = {}
                break
            await asyncio.sleep(SESSION_ENDS_POLL_S)
        whole = PhaseRecord(
            name=WHOLE_PASS,
            workload=WHOLE_PASS,
            round=self.round_number,
            arrival="closed_loop",
            loop="closed",
            users=self.run.scenario.side_by_side,
            started=sum(phase.total(self.run.scenario.seed) for phase in self.run.scenario.phases),
            started_s=0.0,
            ended_s=0.0,
            counters=dict(await counts_by_table(ask)),
            uncounted=untold,
        )
        self.run.journal.phase(self.variant, whole)

    def heard(self, sample: Sample) -> None:
        self.failed[sample.phase] += sample.error is not None
        if self.run.watch is not None:
            self.run.watch(self.variant, sample)


async def _rolled_back(place: Place) -> int:
    """By sessions that have ended, or are about to: each tells it as it ends. 0 where nobody says."""
    for _ in range(SESSION_ENDS_POLLED):
        row = await place.ask(ROLLED_BACK, place.database)
        if row is None or not row["sessions"]:
            return row["transactions"] if row else 0
        await asyncio.sleep(SESSION_ENDS_POLL_S)
    return 0


async def not_ours(query: str, *values: object) -> NoReturn:
    """In place of the server's answers where it is not what the target works on: they would say that it did nothing."""
    del query, values
    raise NotObserved("what is measured has a database of its own, which is not the run's")


async def nothing_seen() -> None:
    """In place of the server's processor time, for the same reason."""
