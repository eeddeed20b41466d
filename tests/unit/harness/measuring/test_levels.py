from collections.abc import Mapping
from itertools import chain, repeat

import pytest

from harness.measuring.levels import INTERVAL_S, READINGS_MAX, Levels
from tests.clocks import ManualClock


class Queue:
    """Grows by one at each reading."""

    def __init__(self) -> None:
        self.depth = 0

    def __call__(self) -> Mapping[str, float]:
        self.depth += 1
        return {"background_queued": float(self.depth)}


async def test_levels_are_read_while_the_block_goes_on() -> None:
    clock = ManualClock()
    clock.time_s = 7.0
    levels = Levels(Queue(), clock)
    async with levels.watched(zero=5.0):
        await clock.sleep(2.5 * INTERVAL_S)
    record = levels.record
    assert record is not None
    assert record.at_s == pytest.approx([2.0, 2.0 + INTERVAL_S, 2.0 + 2 * INTERVAL_S, 2.0 + 2.5 * INTERVAL_S])
    assert list(record.values["background_queued"]) == sorted(record.values["background_queued"])


async def test_a_first_reading_that_was_interrupted_puts_off_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what it took, the next would come 200 s later."""
    moments = chain([0.0, 1.0], repeat(1.0))
    monkeypatch.setattr("harness.measuring.levels.perf_counter", lambda: next(moments))
    clock = ManualClock()
    levels = Levels(Queue(), clock)
    async with levels.watched(zero=0.0):
        await clock.sleep(10 * INTERVAL_S)
    assert levels.record is not None
    assert len(levels.record.at_s) >= 10


async def test_a_long_phase_has_a_bounded_number_of_readings_from_its_begin_to_its_end() -> None:
    clock = ManualClock()
    levels = Levels(Queue(), clock)
    length_s = 3 * READINGS_MAX * INTERVAL_S
    async with levels.watched(zero=0.0):
        await clock.sleep(length_s)
    record = levels.record
    assert record is not None
    assert len(record.at_s) <= READINGS_MAX
    assert [record.at_s[0], record.at_s[-1]] == pytest.approx([0.0, length_s])


async def test_slices_of_a_phase_follow_each_other() -> None:
    clock = ManualClock()
    levels = Levels(Queue(), clock)
    for _ in range(2):
        async with levels.watched(zero=0.0):
            await clock.sleep(INTERVAL_S / 2)
    record = levels.record
    assert record is not None
    assert list(record.at_s) == sorted(record.at_s)
    assert len(record.at_s) == 4


async def test_a_target_without_levels_has_no_record() -> None:
    levels = Levels(dict, ManualClock())
    async with levels.watched(zero=0.0):
        pass
    assert levels.record is None
