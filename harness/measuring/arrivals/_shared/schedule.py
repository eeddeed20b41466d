"""An open loop: requests start at moments that are set before, whether or not earlier ones have been answered.

Response time is what it measures, from the intended start on. A stall is paid for by all who would have come in it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final, Self

from pydantic import Field

from harness.measuring.arrivals.protocol import Issue, Share
from harness.measuring.clock import Clock
from harness.measuring.operations import Request
from harness.record import Loop

IN_FLIGHT_MAX: Final = 1_000

InFlightMax = Annotated[
    int,
    Field(ge=1, le=100_000, description="Starts that would put more in flight are dropped, and counted as dropped."),
]
Rate = Annotated[float, Field(gt=0, le=1_000_000)]


@dataclass(frozen=True, slots=True)
class Schedule:
    """`offsets_s` are the intended starts, ascending, after the phase's own."""

    offsets_s: Sequence[float]
    in_flight_max: int

    @property
    def loop(self) -> Loop:
        return "open"

    @property
    def users(self) -> None:
        return None

    @property
    def side_by_side(self) -> int:
        return self.in_flight_max

    @property
    def starts(self) -> int:
        return len(self.offsets_s)

    def share(self, share: Share, requests: Sequence[Request]) -> tuple[Self, Sequence[Request]]:
        in_flight_max = max(1, len(share.part(range(self.in_flight_max))))
        return (
            replace(self, offsets_s=share.part(self.offsets_s), in_flight_max=in_flight_max),
            share.part(requests),
        )

    async def drive(self, requests: Sequence[Request], issue: Issue, clock: Clock, begun: float | None = None) -> int:
        zero = clock.now() if begun is None else begun
        in_flight = dropped = 0

        async def start(request: Request, intended: float) -> None:
            nonlocal in_flight
            try:
                await issue(request, intended)
            finally:
                in_flight -= 1

        async with asyncio.TaskGroup() as group:
            for request, offset_s in zip(requests, self.offsets_s, strict=False):
                await clock.until(zero + offset_s)
                if in_flight < self.in_flight_max:
                    in_flight += 1
                    group.create_task(start(request, zero + offset_s))
                else:
                    dropped += 1
        return dropped
