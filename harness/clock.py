"""The clock of a measurement, and how a coroutine waits for a moment of it."""

import asyncio
from time import perf_counter
from typing import Protocol


class Clock(Protocol):
    """Seconds since some moment; tests bring one that they move."""

    def now(self) -> float: ...

    async def until(self, moment: float) -> None:
        """Returns at that moment, or after one turn of the event loop when it has passed."""
        ...


class MonotonicClock:
    """The machine's, the same in all of its processes. How precise `until` is, the event loop decides."""

    now = staticmethod(perf_counter)

    async def until(self, moment: float) -> None:
        await asyncio.sleep(max(0.0, moment - perf_counter()))
