"""Virtual users, on a clock that the test moves."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from harness.measuring.arrivals.closed_loop import ClosedLoopSettings
from harness.measuring.arrivals.protocol import PhaseBounds
from harness.measuring.draws import Draws
from harness.measuring.operations import Request
from tests.clocks import ManualClock

REQUESTS = tuple(Request("query", {"number": number}) for number in range(20))


def streams(purpose: str) -> Draws:
    return Draws(1, purpose)


async def drive(clock: ManualClock, service_time_s: float, *, time_s: float = 100.0, **keys: Any) -> list[float]:
    """The intended starts of requests that each take the service time."""
    intended: list[float] = []

    async def issue(_request: Request, at: float) -> None:
        intended.append(at)
        await clock.sleep(service_time_s)

    await (
        ClosedLoopSettings.model_validate(keys).open(PhaseBounds(time_s=time_s), streams).drive(REQUESTS, issue, clock)
    )
    return intended


@pytest.mark.parametrize("users", [1, 4])
async def test_each_user_waits_for_the_answer_before_the_next_request(users: int) -> None:
    intended = await drive(ManualClock(), 2.0, users=users)
    assert intended == [2.0 * (number // users) for number in range(20)]


async def test_no_request_starts_when_the_time_is_over_but_each_user_starts_one() -> None:
    assert await drive(ManualClock(), 1.0, time_s=2.0, users=2) == [0, 0, 1, 1]
    assert await drive(ManualClock(), 1.0, time_s=0.5, users=5) == [0, 0, 0, 0, 0]


async def test_a_user_thinks_between_an_answer_and_the_next_request() -> None:
    assert await drive(ManualClock(), 1.0, time_s=10.0, think_time_s=2.0) == [0, 3, 6, 9]


async def test_exponential_think_times_have_their_mean_and_come_out_the_same_again() -> None:
    keys: dict[str, Any] = {"think_time_s": 2.0, "think_time": "exponential"}
    intended = await drive(ManualClock(), 0.0, **keys)
    assert intended == await drive(ManualClock(), 0.0, **keys)
    gaps = [later - earlier for earlier, later in pairwise(intended)]
    assert len(set(gaps)) == 19
    assert 1 < sum(gaps) / len(gaps) < 4


async def test_nobody_waits_for_a_thought_that_ends_after_the_phase() -> None:
    clock = ManualClock()
    await drive(clock, 1.0, time_s=10.0, think_time_s=3_000)
    assert clock.now() == 1.0


async def test_a_failure_of_the_harness_ends_the_loop() -> None:
    async def issue(_request: Request, _intended: float) -> None:
        await asyncio.sleep(0)
        raise OSError

    arrival = ClosedLoopSettings(users=2).open(PhaseBounds(), streams)
    with pytest.raises(ExceptionGroup):
        await arrival.drive(REQUESTS, issue, ManualClock())
