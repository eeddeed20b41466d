"""The closed loop, on a clock that the test moves."""

import asyncio

import pytest

from harness.arrivals.closed_loop import ClosedLoop
from harness.targets.protocol import Request

REQUESTS = tuple(Request("query", {"number": number}) for number in range(20))


class ManualClock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_every_request_is_issued_once_and_in_order() -> None:
    issued: list[object] = []

    async def issue(request: Request, _intended: float) -> None:
        issued.append(request.arguments["number"])
        await asyncio.sleep(0)

    await ClosedLoop(users=3, time_s=100, clock=ManualClock()).drive(REQUESTS, issue)
    assert issued == list(range(20))


@pytest.mark.parametrize("users", [1, 4])
async def test_no_more_requests_are_in_flight_than_there_are_users(users: int) -> None:
    in_flight = most = 0

    async def issue(_request: Request, _intended: float) -> None:
        nonlocal in_flight, most
        in_flight += 1
        most = max(most, in_flight)
        await asyncio.sleep(0)
        in_flight -= 1

    await ClosedLoop(users=users, time_s=100, clock=ManualClock()).drive(REQUESTS, issue)
    assert most == users


async def test_nothing_starts_after_the_time_is_over_but_each_user_starts_one() -> None:
    clock = ManualClock()
    intended: list[float] = []

    async def issue(_request: Request, at: float) -> None:
        intended.append(at)
        await asyncio.sleep(0)
        clock.now += 1.0

    await ClosedLoop(users=2, time_s=2.0, clock=clock).drive(REQUESTS, issue)
    assert max(intended) < 2.0
    assert 2 <= len(intended) <= 4
    intended.clear()
    await ClosedLoop(users=5, time_s=0.5, clock=clock).drive(REQUESTS, issue)
    assert len(intended) == 5


async def test_a_failure_of_the_harness_ends_the_loop() -> None:
    async def issue(_request: Request, _intended: float) -> None:
        raise OSError

    with pytest.raises(ExceptionGroup):
        await ClosedLoop(users=2, time_s=100, clock=ManualClock()).drive(REQUESTS, issue)
