"""A closed loop: each of N users starts its next request when its last one has ended.

Service time is what it measures: a user who waits starts nothing, so a stall hides the requests it held back.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.arrivals.protocol import Issue
from harness.targets.protocol import Request


@dataclass(frozen=True, slots=True)
class ClosedLoop:
    """`time_s` bounds when the last request may start; each user starts one at least."""

    users: int
    time_s: float
    clock: Callable[[], float]

    async def drive(self, requests: Sequence[Request], issue: Issue) -> None:
        queue = iter(requests)
        deadline = self.clock() + self.time_s

        async def use() -> None:
            for request in queue:
                await issue(request, self.clock())
                if self.clock() >= deadline:
                    return

        async with asyncio.TaskGroup() as users:
            for _ in range(self.users):
                users.create_task(use())
