"""The profiling pass: what one variant's operations do while nothing is timed for a verdict.

Requests go one after the other, since a profiler follows one task. One half of them runs without the profilers, so that
the report can say what profiling itself cost.
"""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from statistics import fmean
from time import perf_counter
from typing import Any, Final

from harness.errors import TargetError
from harness.journal import Journal
from harness.measuring.allocations import allocated
from harness.measuring.operations import Request, Workload
from harness.measuring.profilers import PROFILERS
from harness.measuring.profilers.protocol import ProfiledOperation
from harness.measuring.progress import Progress
from harness.measuring.scenario import ProfileSettings, Scenario
from harness.measuring.targets.protocol import OpenTarget
from harness.record import ProfileRecord, StatementProfile

DIRECTORY: Final = "profiles"
REQUESTS_MIN: Final = 2
WARM_UP: Final = 2


@dataclass(frozen=True, slots=True)
class ProfilingPass:
    """One variant in one round of the profiling pass."""

    target: OpenTarget
    """The open target that is profiled."""
    variant: str
    """The variant's name."""
    round_number: int
    """The round, counted from 1."""
    settings: ProfileSettings
    """How many requests are profiled, and for how long."""
    journal: Journal
    """Where profiles go."""
    progress: Progress
    """Who is told how far it is."""
    admin_url: str
    """The server, for an administrator."""
    database: str
    """The name of the variant's database."""
    packages: frozenset[str]
    """The packages that are measured, whose functions are frames of their own."""

    async def run(self, requests: Mapping[str, Sequence[Request]]) -> None:
        """Profiles each operation in turn; what its requests accepted is done before the next one begins."""
        for operation, sequence in requests.items():
            self.progress.preparing(f"{self.variant}: profiling {operation}, round {self.round_number}")
            await self._repeat(sequence[:WARM_UP])
            await self.target.drain()
            await self._profile(operation, sequence[WARM_UP:])
            await self.target.drain()
            self.progress.profiled()
        if self.round_number == self.settings.rounds:
            await self._execute_statements()

    async def _execute_statements(self) -> None:
        """What the server alone spends on each statement, which the requests' own times cannot tell."""
        for plan in await self.target.plans(executed=True):
            assert plan.cost is not None, "it was executed"
            profile = StatementProfile(variant=self.variant, **dict(plan.record), **asdict(plan.cost))
            self.journal.write("statement_profile", profile.model_dump(exclude_defaults=True))

    async def _profile(self, operation: str, requests: Sequence[Request]) -> None:
        subject = ProfiledOperation(
            self.variant,
            operation,
            self.round_number,
            self.journal.path.parent / DIRECTORY,
            self.admin_url,
            self.database,
            self.packages,
        )
        halves = requests[0::2], requests[1::2]
        # Either half goes first in every second round, since what comes later finds warmer caches.
        if self.round_number % 2:
            plain_s = await self._repeat(halves[0])
            observed, profiled_s = await self._observed(subject, halves[1])
        else:
            observed, profiled_s = await self._observed(subject, halves[1])
            plain_s = await self._repeat(halves[0])

        async def repeat() -> int:
            return len(await self._repeat(halves[0]))

        record = ProfileRecord(
            variant=self.variant,
            operation=operation,
            round=self.round_number,
            requests=len(profiled_s),
            profiled_s=fmean(profiled_s),
            plain_s=fmean(plain_s),
            allocations=await allocated(subject.file, repeat),
            **observed,
        )
        self.journal.write("profile", record.model_dump())

    async def _observed(
        self, subject: ProfiledOperation, requests: Sequence[Request]
    ) -> tuple[dict[str, Any], list[float]]:
        async with AsyncExitStack() as profilers:
            seen = [await profilers.enter_async_context(profiler.observe(subject)) for profiler in PROFILERS.values()]
            elapsed_s = await self._repeat(requests)
        return {field: value for each in seen for field, value in each.items()}, elapsed_s

    async def _repeat(self, requests: Sequence[Request]) -> list[float]:
        """The service times, in seconds. At least `REQUESTS_MIN`, then no more than the time allows."""
        elapsed_s: list[float] = []
        for request in requests:
            started = perf_counter()
            try:
                await self.target.perform(request)
            except TargetError as error:
                self.progress.failure(self.variant, request.operation, error)
            elapsed_s.append(perf_counter() - started)
            if len(elapsed_s) >= REQUESTS_MIN and sum(elapsed_s) >= self.settings.time_s:
                break
        return elapsed_s


def requests_of(scenario: Scenario, workload: Workload, settings: ProfileSettings) -> Mapping[str, Sequence[Request]]:
    """The same for each variant and round: known texts where there are any, since a first-time one is so only once."""
    drawn = [request for requests in workload.by_phase.values() for request in requests]
    known = [request for request in drawn if not request.first_time_text] or drawn
    wanted = WARM_UP + 2 * settings.requests
    return {
        operation: list(islice(cycle([request for request in known if request.operation == operation]), wanted))
        for operation in scenario.operation_names
    }
