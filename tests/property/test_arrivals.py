"""Laws of arrivals that hold for all rates, stages and stalls."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.measuring.arrivals._shared.schedule import Schedule
from harness.measuring.arrivals.constant_rate import ConstantRateSettings
from harness.measuring.arrivals.poisson import PoissonSettings
from harness.measuring.arrivals.protocol import PhaseBounds, Share
from harness.measuring.arrivals.stages import Stage, StagesSettings
from harness.measuring.draws import Draws
from harness.measuring.operations import Request
from tests.clocks import ManualClock

Line = tuple[float, float]
"""How long a stage takes, and the rate that it ends at."""

times = st.just(0.0) | st.floats(min_value=0.1, max_value=60)
rates = st.just(0.0) | st.floats(min_value=0.1, max_value=40)
lines = st.lists(st.tuples(times, rates), min_size=1, max_size=6).filter(
    lambda stages: any(time_s for time_s, _ in stages) and any(rate for _, rate in stages)
)


def area(stages: Sequence[Line], until: float) -> float:
    """Under the rate, from the phase's start on."""
    total = before = 0.0
    for time_s, after in stages:
        part = min(until, time_s)
        if part > 0:
            total += part * (before + (before + (after - before) * part / time_s)) / 2
        until -= time_s
        before = after
    return total


def offsets(stages: Sequence[Line]) -> Sequence[float]:
    settings = StagesSettings(stages=tuple(Stage(time_s=time_s, rate_per_s=rate) for time_s, rate in stages))
    arrival = settings.open(PhaseBounds(), lambda purpose: Draws(1, purpose))
    assert isinstance(arrival, Schedule)
    return arrival.offsets_s


@given(lines)
def test_start_number_k_is_where_the_area_under_the_rate_is_k(stages: Sequence[Line]) -> None:
    for number, offset_s in enumerate(offsets(stages)):
        assert area(stages, offset_s) == pytest.approx(number, abs=1e-6)


@given(lines)
def test_stages_start_as_many_as_the_area_under_their_rate(stages: Sequence[Line]) -> None:
    duration_s = sum(time_s for time_s, _ in stages)
    found = offsets(stages)
    assert abs(len(found) - area(stages, duration_s)) < 1 + 1e-6
    assert list(found) == sorted(found)
    assert all(0 <= offset_s <= duration_s for offset_s in found)


class StalledClock(ManualClock):
    """Stands still for whoever waits, from one moment to another: a generator that is not given its processor."""

    def __init__(self, since: float, until: float) -> None:
        super().__init__()
        self._since, self._until = since, until

    async def until(self, moment: float) -> None:
        await super().until(self._until if self._since <= moment < self._until else moment)


@given(
    rate_per_s=st.integers(min_value=1, max_value=50),
    stall=st.floats(min_value=0.0, max_value=3.0),
    service_time_s=st.floats(min_value=0.0, max_value=0.5),
)
def test_a_stall_of_a_second_is_in_the_response_times_of_all_who_would_have_come_in_it(
    rate_per_s: int, stall: float, service_time_s: float
) -> None:
    clock = StalledClock(stall, stall + 1)
    times: list[tuple[float, float, float]] = []

    async def issue(_request: Request, intended: float) -> None:
        started = clock.now()
        await ManualClock.until(clock, started + service_time_s)
        times.append((intended, started, clock.now()))

    arrival = ConstantRateSettings(rate_per_s=rate_per_s).open(PhaseBounds(time_s=5), lambda purpose: Draws(1, purpose))
    requests = [Request("query", {})] * arrival.starts
    asyncio.run(arrival.drive(requests, issue, clock))
    assert len(times) == 5 * rate_per_s
    for intended, started, ended in times:
        waited = stall + 1 - intended if stall <= intended < stall + 1 else 0.0
        assert ended - started == pytest.approx(service_time_s)
        assert ended - intended == pytest.approx(service_time_s + waited)


def streams(purpose: str) -> Draws:
    return Draws(7, purpose)


schedules = st.one_of(
    st.builds(
        lambda rate: ConstantRateSettings(rate_per_s=rate).open(PhaseBounds(time_s=3), streams),
        st.floats(min_value=0.1, max_value=100),
    ),
    st.builds(
        lambda rate: PoissonSettings(rate_per_s=rate).open(PhaseBounds(time_s=3), streams),
        st.floats(min_value=0.1, max_value=100),
    ),
    lines.map(lambda stages: Schedule(offsets(stages), 1_000)),
    # A trace: moments that somebody else had.
    st.lists(st.floats(min_value=0, max_value=1e5)).map(lambda moments: Schedule(sorted(moments), 1_000)),
)
weights = st.lists(st.integers(min_value=1, max_value=9), min_size=1, max_size=6)


@given(schedule=schedules, weights=weights, are_alike=st.booleans())
def test_what_workers_start_is_the_schedule_float_for_float(
    schedule: Schedule, weights: Sequence[int], are_alike: bool
) -> None:
    """Each has what its weight says of any beginning of it, to one start."""
    numbers = [Request("query", {"number": number}) for number in range(schedule.starts)]
    stated = () if are_alike else tuple(weights)
    parts = [schedule.share(Share(index, len(weights), stated), numbers) for index in range(len(weights))]
    assert sorted(at for part, _ in parts for at in part.offsets_s) == list(schedule.offsets_s)
    whole = dict(enumerate(schedule.offsets_s))
    of_workers = {
        request.arguments["number"]: at
        for part, requests in parts
        for request, at in zip(requests, part.offsets_s, strict=True)
    }
    assert of_workers == whole
    for (part, _), weight in zip(parts, stated or [1] * len(weights), strict=True):
        assert abs(part.starts - schedule.starts * weight / sum(stated or [1] * len(weights))) < 1
