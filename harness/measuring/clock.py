"""The clock of a measurement, and how a coroutine waits for a moment of it."""

import asyncio
import select
import selectors
import sys
from time import perf_counter
from typing import Final, Protocol


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


if sys.platform == "linux":
    DESCRIPTORS_MAX: Final = 1024
    """Of `select`: it knows no descriptor from this one on."""

    class PreciseSelector(selectors.EpollSelector):
        """Waits for microseconds as well.

        `epoll_wait` counts whole milliseconds, and Python rounds up, so a timer would be late by one. `select` counts
        microseconds, and an epoll descriptor is readable as soon as something is ready in it.
        """

        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            if timeout is None or timeout <= 0 or self.fileno() >= DESCRIPTORS_MAX:
                return super().select(timeout)
            select.select([self.fileno()], [], [], timeout)
            return super().select(0)

    def new_event_loop() -> asyncio.AbstractEventLoop:
        """Whose timers are late by some tens of microseconds."""
        return asyncio.SelectorEventLoop(PreciseSelector())

else:

    def new_event_loop() -> asyncio.AbstractEventLoop:
        """The usual one: `kqueue` counts nanoseconds."""
        return asyncio.new_event_loop()
