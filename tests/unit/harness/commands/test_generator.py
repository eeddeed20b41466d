"""The measurement of the load generator: what it drives, and what it says of it."""

import pytest

from harness.commands._shared.generator import Driven, bare_lateness_s, drive, punctuality, speed
from tests.records import sample


def driven(cpu_s: float, *lateness_s: float) -> Driven:
    """Requests that started so late, and what they cost the processor together."""
    return Driven(tuple(sample(started_s=1.0, intended_s=1.0 - late_s) for late_s in lateness_s), cpu_s)


def test_the_speed_is_how_many_requests_a_second_of_the_processor_starts() -> None:
    fast = speed("a closed loop", driven(0.002, *[0.0] * 100))
    assert fast.what == "50,000 starts a second and core in a closed loop (10,000 or more)"
    assert fast.good


@pytest.mark.parametrize(("cpu_s", "good"), [(0.01, True), (0.0101, False)])
def test_ten_thousand_a_second_are_enough(cpu_s: float, good: bool) -> None:
    found = speed("an open loop", driven(cpu_s, *[0.0] * 100))
    assert found.good is good
    assert "`workers`" in found.advice


def test_punctuality_is_told_by_its_quantiles() -> None:
    found = punctuality(driven(1.0, *(number * 1e-6 for number in range(1, 1_001))), [0.003])
    assert found.what == (
        "at 1,000 starts a second late by 500 µs at p50, 990 µs at p99 (under 1.00 ms), 1.00 ms at most"
    )
    assert found.good


def test_who_is_late_is_told_what_a_bare_sleep_is_late_by() -> None:
    found = punctuality(driven(1.0, *[0.0] * 98, 0.002, 0.002), [0.001, 0.003])
    assert not found.good
    assert "A bare sleep is late by 3.00 ms" in found.advice


def test_a_bare_sleep_never_ends_early() -> None:
    lateness_s = bare_lateness_s(starts=20)
    assert len(lateness_s) == 20
    assert 0 <= lateness_s[0] <= lateness_s[-1]


def test_the_null_target_is_driven_in_a_runs_way() -> None:
    found = drive({"time_s": 0.02, "arrival": {"kind": "constant_rate", "rate_per_s": 1_000}})
    assert len(found.samples) == 20
    assert found.cpu_s > 0
    assert all(sample.scheduled and sample.lateness_s >= 0 for sample in found.samples)
