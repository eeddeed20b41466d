"""Says how far a host's clock is ahead of ours: for a common start, and for the place of samples in windows.

Latencies, service times and lateness are differences of one worker's own clock, and need none of it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from harness.measuring.clock import Clock
from harness.measuring.hosts.protocol import Moments

PINGS: Final = 30
ROUND_TRIPS_AHEAD: Final = 5
AHEAD_S_MIN: Final = 0.2


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """Says how far a host's clock was ahead of ours, by the ping that came back soonest: it is wrong by half of that.

    `ahead_s` is of the clock that times requests, and `wall_ahead_s` of the one that people set.
    """

    at: float
    ahead_s: float
    wall_ahead_s: float
    error_s: float
    round_trip_s_max: float

    @property
    def known_ahead_s(self) -> float:
        """Nothing where it is within its error: such a clock is taken for ours, as that of this machine is."""
        return self.ahead_s if abs(self.ahead_s) > self.error_s else 0.0


async def measured_offset(
    ask: Callable[[], Awaitable[Moments]], clock: Clock, wall: Callable[[], float]
) -> ClockOffset:
    found: list[ClockOffset] = []
    for _ in range(PINGS):
        sent, sent_wall = clock.now(), wall()
        there = await ask()
        back, back_wall = clock.now(), wall()
        middle, trip_s = (sent + back) / 2, back - sent
        wall_ahead_s = there.wall_s - (sent_wall + back_wall) / 2
        found.append(ClockOffset(middle, there.monotonic_s - middle, wall_ahead_s, trip_s / 2, trip_s))
    soonest = min(found, key=lambda each: each.error_s)
    worst_s = max(each.round_trip_s_max for each in found)
    return ClockOffset(soonest.at, soonest.ahead_s, soonest.wall_ahead_s, soonest.error_s, worst_s)


@dataclass(frozen=True, slots=True)
class PhaseClock:
    """One worker's clock in one phase, which it went through at a constant rate.

    `ahead_s` and `ahead_s_end` are how far ahead of the first phase's start it was at the phase's begin and end.
    """

    ahead_s: float
    ahead_s_end: float
    wall_ahead_s: float
    error_s: float
    drift_ppm: float


class ClockLine:
    """One worker's clock over a pass: measured before and after each phase, and on a line between."""

    def __init__(self) -> None:
        self._first: ClockOffset | None = None
        self._before: ClockOffset | None = None

    def begins(self, offset: ClockOffset) -> None:
        """A phase, or a slice of it, is about to begin."""
        self._first = self._first or offset
        self._before = offset

    @property
    def lead_s(self) -> float:
        """Says how far ahead a start has to be for the worker to hear of it in time."""
        assert self._before is not None, "the clock is measured before its worker is told a moment of it"
        return ROUND_TRIPS_AHEAD * self._before.round_trip_s_max + AHEAD_S_MIN

    def there(self, moment: float) -> float | None:
        """Our moment in the worker's clock; None where nobody has measured it."""
        return None if self._before is None else moment + self._before.known_ahead_s

    def ends(self, after: ClockOffset) -> PhaseClock:
        """The line from the last beginning on. A drift that is within the errors of both ends is none."""
        assert self._first is not None, "a phase begins before it ends"
        assert self._before is not None, "a phase begins before it ends"
        first, before = self._first, self._before
        error_s = max(before.error_s, after.error_s)
        drifted_s = after.ahead_s - before.ahead_s
        if abs(drifted_s) <= before.error_s + after.error_s:
            drifted_s = 0.0
        begun_s = before.known_ahead_s - first.known_ahead_s
        drift_ppm = 1e6 * drifted_s / (after.at - before.at) if after.at > before.at else 0.0
        return PhaseClock(begun_s, begun_s + drifted_s, after.wall_ahead_s, error_s, drift_ppm)
