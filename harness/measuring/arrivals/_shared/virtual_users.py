"""A closed loop: users who each start the next request when the last one has ended and they have thought.

Service time is what it measures: a user who waits starts nothing, so a stall hides the requests it held back.
"""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final, Literal, Self

from pydantic import Field

from harness.measuring.arrivals.protocol import Issue, Share
from harness.measuring.clock import Clock
from harness.measuring.draws import Draws
from harness.measuring.operations import Request
from harness.record import Loop

USERS_MAX: Final = 1_000

ThinkTimeS = Annotated[float, Field(ge=0, le=3_600)]
ThinkTimeLaw = Literal["constant", "exponential"]

Interval = tuple[float, float]
"""From and to, in seconds after the phase's start."""


@dataclass(frozen=True, slots=True)
class ThinkTime:
    """Says how long a user does nothing between an answer and the next request: `mean_s`, always or on average."""

    mean_s: float
    law: ThinkTimeLaw

    def draw_s(self, draws: Draws) -> float:
        return self.mean_s if self.law == "constant" else -self.mean_s * math.log1p(-draws.fraction())


@dataclass(frozen=True, slots=True)
class VirtualUser:
    """Starts requests within its intervals, at least one in each."""

    intervals: tuple[Interval, ...]
    draws: Draws


@dataclass(frozen=True, slots=True)
class UserLoop:
    """All users of a phase; `side_by_side` at most work at the same time."""

    members: Sequence[VirtualUser]
    think_time: ThinkTime

    @property
    def loop(self) -> Loop:
        return "closed"

    @property
    def starts(self) -> None:
        return None

    @property
    def users(self) -> int:
        return len(self.members)

    @property
    def side_by_side(self) -> int:
        return len(self.members)

    def share(self, share: Share, requests: Sequence[Request]) -> tuple[Self, Sequence[Request]]:
        """Requests go with the users, so that a worker with fewer of these has as much to do for each."""
        taken = [each for number, each in enumerate(requests) if share.takes(number % self.users)]
        return replace(self, members=share.part(self.members)), taken

    async def drive(self, requests: Sequence[Request], issue: Issue, clock: Clock, begun: float | None = None) -> int:
        queue = iter(requests)
        zero = clock.now() if begun is None else begun

        async def use(user: VirtualUser) -> None:
            for start, end in user.intervals:
                due = zero + start
                while due < zero + end:
                    if due > clock.now():
                        await clock.until(due)
                    request = next(queue, None)
                    if request is None:
                        return
                    await issue(request, due)
                    due = clock.now() + self.think_time.draw_s(user.draws)

        async with asyncio.TaskGroup() as group:
            for user in self.members:
                group.create_task(use(user))
        return 0
