"""Scheduled starts, on a clock that the test moves."""

from harness.measuring.arrivals._shared.schedule import Schedule
from harness.measuring.operations import Request
from tests.clocks import ManualClock

REQUESTS = tuple(Request("query", {"number": number}) for number in range(8))


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
