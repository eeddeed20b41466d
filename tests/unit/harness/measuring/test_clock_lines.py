"""A host's clock beside ours, from pings on a clock that the test moves."""

import itertools

import pytest

from harness.measuring.clock_lines import ClockLine, ClockOffset, measured_offset
from harness.measuring.hosts.protocol import Moments
from tests.clocks import ManualClock


class Way:
    """A way to a host whose clock is ahead: slow at times, and not equally slow in both directions."""

    def __init__(self, clock: ManualClock, ahead_s: float) -> None:
        self._clock = clock
        self._ahead_s = ahead_s
        self._delays_s = itertools.cycle([(0.004, 0.020), (0.001, 0.001), (0.050, 0.001)])

    async def moments(self) -> Moments:
        there_s, back_s = next(self._delays_s)
        self._clock.time_s += there_s
        now = self._clock.now() + self._ahead_s
        self._clock.time_s += back_s
        return Moments(now, now)


@pytest.mark.parametrize("ahead_s", [5.0, -3_600.0, 0.0])
async def test_the_soonest_of_all_pings_says_how_far_a_clock_is_ahead(ahead_s: float) -> None:
    clock = ManualClock()
    found = await measured_offset(Way(clock, ahead_s).moments, clock, clock.now)
    assert found.ahead_s == pytest.approx(ahead_s, abs=1e-9)
    assert found.wall_ahead_s == pytest.approx(ahead_s, abs=1e-9)
    assert found.error_s == pytest.approx(0.001)
    assert found.round_trip_s_max == pytest.approx(0.051)


def offset(at: float, ahead_s: float, error_s: float = 0.001) -> ClockOffset:
    return ClockOffset(at, ahead_s, ahead_s, error_s, round_trip_s_max=0.01)


def test_a_moment_is_told_in_the_hosts_clock_five_round_trips_ahead() -> None:
    line = ClockLine()
    line.begins(offset(100.0, ahead_s=5.0))
    assert line.there(100.25) == 105.25
    assert line.lead_s == pytest.approx(0.25)


def test_a_clock_within_its_error_is_ours() -> None:
    line = ClockLine()
    line.begins(offset(100.0, ahead_s=0.0009))
    assert line.there(100.25) == 100.25


def test_a_clock_that_drifts_is_on_a_line_between_both_ends_of_a_phase() -> None:
    """200 millionths, over two phases of 100 s and half a minute between them."""
    line = ClockLine()
    line.begins(offset(0.0, 5.0))
    first = line.ends(offset(100.0, 5.02))
    line.begins(offset(130.0, 5.026))
    second = line.ends(offset(230.0, 5.046))
    assert (first.ahead_s, first.ahead_s_end) == pytest.approx((0.0, 0.02))
    assert (second.ahead_s, second.ahead_s_end) == pytest.approx((0.026, 0.046))
    assert first.drift_ppm == pytest.approx(200)
    assert first.wall_ahead_s == 5.02


def test_a_drift_within_the_errors_of_both_ends_is_none() -> None:
    line = ClockLine()
    line.begins(offset(0.0, 5.0))
    found = line.ends(offset(10.0, 5.0015))
    assert (found.ahead_s, found.ahead_s_end, found.drift_ppm) == (0.0, 0.0, 0.0)
