"""The seam of when requests are started."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from harness.targets.protocol import Request

Issue = Callable[[Request, float], Awaitable[None]]
"""Performs a request that was meant to start at the given time of the run's clock, in seconds."""


class Arrival(Protocol):
    """Starts requests in the order given until they are used up or the time is over; waits for those in flight."""

    async def drive(self, requests: Sequence[Request], issue: Issue) -> None: ...
