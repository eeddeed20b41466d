"""The event loop of a measurement: what is ready is told, and a wait is never shorter than asked for."""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import closing
from time import perf_counter

import pytest

from harness.measuring.clock import MonotonicClock, new_event_loop


async def waited_s(seconds: float) -> float:
    clock = MonotonicClock()
    begun = clock.now()
    await clock.until(begun + seconds)
    return clock.now() - begun


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 0.0003, 0.004])
def test_a_wait_is_not_shorter_than_asked_for(seconds: float) -> None:
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        assert runner.run(waited_s(seconds)) >= seconds


def test_a_moment_that_has_passed_still_lets_others_go_on() -> None:
    async def turns() -> list[str]:
        told: list[str] = []

        async def other() -> None:
            told.append("other")

        task = asyncio.create_task(other())
        await MonotonicClock().until(-1.0)
        told.append("waited")
        await task
        return told

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        assert runner.run(turns()) == ["other", "waited"]


if sys.platform == "linux":
    import selectors

    from harness.measuring.clock import PreciseSelector

    @pytest.fixture
    def pipe() -> Iterator[tuple[int, int]]:
        reading, writing = os.pipe()
        yield reading, writing
        os.close(reading)
        os.close(writing)

    @pytest.mark.parametrize("timeout", [None, 0.0, -1.0, 0.0002, 30.0])
    def test_what_is_ready_is_told_whatever_the_timeout(pipe: tuple[int, int], timeout: float | None) -> None:
        with closing(PreciseSelector()) as selector:
            selector.register(pipe[0], selectors.EVENT_READ)
            os.write(pipe[1], b"x")
            assert [key.fd for key, _ in selector.select(timeout)] == [pipe[0]]

    def test_a_timeout_ends_the_wait_and_not_before(pipe: tuple[int, int]) -> None:
        with closing(PreciseSelector()) as selector:
            selector.register(pipe[0], selectors.EVENT_READ)
            begun = perf_counter()
            assert selector.select(0.0005) == []
            assert perf_counter() - begun >= 0.0005
