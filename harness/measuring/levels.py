"""Says what goes up and down at a target while a phase is measured: its background queue, its pool. Asks no server."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from harness.measuring.clock import Clock
from harness.record import LevelsRecord

INTERVAL_S: Final = 0.05
READINGS_MAX: Final = 600


class Levels:
    """Reads some times a second; when there are too many readings, keeps every second one and reads half as often."""

    def __init__(self, read: Callable[[], Mapping[str, float]], clock: Clock) -> None:
        self._read = read
        self._clock = clock
        self._interval_s = INTERVAL_S
        self._readings: list[tuple[float, Mapping[str, float]]] = []

    @asynccontextmanager
    async def watched(self, zero: float) -> AsyncGenerator[None]:
        """Reads while the block goes on, and once at its end. Times count from `zero` on."""
        watching = asyncio.create_task(self._watch(zero)) if self._read() else None
        try:
            yield
        finally:
            if watching is not None:
                watching.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await watching
                self._take(zero)

    @property
    def record(self) -> LevelsRecord | None:
        """None where the target tells no levels."""
        if not self._readings:
            return None
        names = self._readings[0][1]
        return LevelsRecord(
            at_s=tuple(round(at_s, 4) for at_s, _ in self._readings),
            values={name: tuple(values[name] for _, values in self._readings) for name in names},
        )

    async def _watch(self, zero: float) -> None:
        while True:
            self._take(zero)
            await self._clock.until(self._clock.now() + self._interval_s)

    def _take(self, zero: float) -> None:
        self._readings.append((self._clock.now() - zero, self._read()))
        if len(self._readings) > READINGS_MAX:
            del self._readings[1::2]
            self._interval_s *= 2
