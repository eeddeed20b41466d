"""Says what goes up and down at a target while a phase is measured: its background queue, its pool. Asks no server."""

import asyncio
import contextlib
import math
from array import array
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Final

from harness.measuring.clock import Clock
from harness.record import LevelsRecord

INTERVAL_S: Final = 0.05
READINGS_MAX: Final = 600
COST_SHARE: Final = 0.005
"""Of the time: what is read in this process holds up its requests."""
BEFORE_PACED: Final = 5
"""Readings, of which the least cost is known: a first one that was interrupted would put off all others."""


class Levels:
    """Reads some times a second; when there are too many readings, keeps every second one and reads half as often."""

    def __init__(self, read: Callable[[], Mapping[str, float]], clock: Clock) -> None:
        self._read = read
        self._clock = clock
        self._interval_s = INTERVAL_S
        self._cost_s = math.inf
        """The least that a reading took, since a busy machine makes any of them long."""
        # In arrays, since memory is among what is read, and must not grow by being read.
        self._at_s = array("d")
        self._values: dict[str, array[float]] = {}

    @asynccontextmanager
    async def watched(self, zero: float) -> AsyncGenerator[None]:
        """Reads at the block's beginning, while it goes on, and at its end. Times count from `zero` on."""
        if not self._read():
            yield
            return
        self._take(zero)
        watching = asyncio.create_task(self._watch(zero))
        try:
            yield
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
            self._take(zero)

    def read_again(self) -> None:
        """In place of the last reading."""
        for name, value in self._read().items():
            self._values[name][-1] = value

    @property
    def record(self) -> LevelsRecord | None:
        """None where the target tells no levels."""
        if not self._at_s:
            return None
        return LevelsRecord(
            at_s=tuple(round(at_s, 4) for at_s in self._at_s),
            values={name: tuple(values) for name, values in self._values.items()},
        )

    async def _watch(self, zero: float) -> None:
        while True:
            paced_s = self._cost_s / COST_SHARE if len(self._at_s) >= BEFORE_PACED else 0.0
            await self._clock.until(self._clock.now() + max(self._interval_s, paced_s))
            self._take(zero)

    def _take(self, zero: float) -> None:
        begun_s = perf_counter()
        self._at_s.append(self._clock.now() - zero)
        for name, value in self._read().items():
            self._values.setdefault(name, array("d")).append(value)
        self._cost_s = min(self._cost_s, perf_counter() - begun_s)
        if len(self._at_s) > READINGS_MAX:
            for each in (self._at_s, *self._values.values()):
                del each[1::2]
            self._interval_s *= 2
