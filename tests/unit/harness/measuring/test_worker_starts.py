"""When a worker begins: at the moment that it was told, in its own clock, or not at all."""

from typing import cast

import pytest

from harness.errors import HarnessError
from harness.measuring.worker import Caller, InStep, Lines, _moment_in
from tests.clocks import ManualClock


class Told:
    """Stands in for a caller who has said when."""

    def __init__(self, line: bytes) -> None:
        self._line = line

    async def told_to_go(self) -> float | None:
        return _moment_in(self._line)


class Unread:
    def write(self, kind: str, entry: object) -> None:
        assert (kind, entry) == ("ready", {})


async def begun(line: bytes, now: float) -> tuple[float, float]:
    clock = ManualClock()
    clock.time_s = now
    surroundings = InStep(cast("Caller", Told(line)), cast("Lines", Unread()), ends_when_told=True)
    await surroundings.turn()
    return await surroundings.begun(clock, 0.0), clock.now()


async def test_a_worker_begins_at_the_moment_that_it_was_told() -> None:
    assert await begun(b'go {"at": 12.5}\n', now=12.25) == (12.5, 12.5)


async def test_a_worker_that_is_told_no_moment_begins_at_once() -> None:
    assert await begun(b"go\n", now=12.25) == (12.25, 12.25)


async def test_a_start_that_is_heard_late_is_refused_and_the_phase_does_not_begin() -> None:
    with pytest.raises(
        HarnessError, match=r"^late: it heard of the start 12.0 ms after it, so the phase did not begin"
    ):
        await begun(b'go {"at": 12.5}\n', now=12.512)
