"""Scheduled starts, on a clock that the test moves."""

from harness.arrivals.schedule import Schedule
from harness.targets.protocol import Request
from tests.clocks import ManualClock

REQUESTS = tuple(Request("query", {"number": number}) for number in range(40))


async def test_a_stall_is_paid_for_by_all_who_would_have_come_in_it() -> None:
    """Ten starts a second; the system stands still from 1 s to 2 s. Nobody's service takes long but the first's."""
    clock = ManualClock()
    response_times_s: list[float] = []
    service_times_s: list[float] = []
    free_at = 0.0

    async def issue(request: Request, intended: float) -> None:
        nonlocal free_at
        started = max(clock.now(), free_at)
        free_at = started + (1.0 if request.arguments["number"] == 10 else 0.01)
        await clock.until(free_at)
        response_times_s.append(clock.now() - intended)
        service_times_s.append(clock.now() - started)

    await Schedule([number / 10 for number in range(40)], 100).drive(REQUESTS, issue, clock)
    assert sum(time_s > 0.05 for time_s in service_times_s) == 1
    assert sum(time_s > 0.05 for time_s in response_times_s) >= 10
    assert len(response_times_s) == 40


async def test_what_exceeds_the_cap_is_dropped_and_counted_and_the_rest_keeps_its_time() -> None:
    clock = ManualClock()
    started: list[float] = []

    async def issue(_request: Request, intended: float) -> None:
        started.append(intended)
        await clock.sleep(3.5)

    dropped = await Schedule([float(number) for number in range(8)], 2).drive(REQUESTS, issue, clock)
    assert started == [0, 1, 4, 5]
    assert dropped == 4


async def test_the_last_answers_are_waited_for() -> None:
    clock = ManualClock()
    answered: list[float] = []

    async def issue(_request: Request, intended: float) -> None:
        await clock.sleep(60)
        answered.append(intended)

    await Schedule([0.0, 1.0], 100).drive(REQUESTS, issue, clock)
    assert answered == [0.0, 1.0]
    assert clock.now() == 61
