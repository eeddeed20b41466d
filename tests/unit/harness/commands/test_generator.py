"""The measurement of the load generator: what it drives, and what it says of it."""

import pytest

from harness.commands._shared import generator
from harness.commands._shared.generator import Driven
from tests.records import sample


def findings(monkeypatch: pytest.MonkeyPatch, *, cpu_s: float, lateness_s: float) -> list[generator.GeneratorFinding]:
    """Of a machine that is so fast and so late."""
    late = tuple(sample(started_s=1.0, intended_s=1.0 - lateness_s) for _ in range(100))
    monkeypatch.setattr(generator, "drive", lambda _: Driven(late, cpu_s))
    monkeypatch.setattr(generator, "bare_lateness_s", lambda: [0.003])
    return list(generator.examine())


def test_a_fast_and_punctual_generator_is_good(monkeypatch: pytest.MonkeyPatch) -> None:
    found = findings(monkeypatch, cpu_s=0.002, lateness_s=0.0002)
    assert all(finding.good for finding in found)
    assert found[0].what == "50,000 starts a second and core in a closed loop (10,000 or more)"
    assert found[2].what == (
        "at 1,000 starts a second late by 200 µs at p50, 200 µs at p99 (under 1.00 ms), 200 µs at most"
    )


def test_a_slow_or_late_one_is_not_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = findings(monkeypatch, cpu_s=0.02, lateness_s=0.0002)
    assert [finding.good for finding in slow] == [False, False, True]
    assert "`workers`" in slow[0].advice
    late = findings(monkeypatch, cpu_s=0.002, lateness_s=0.002)
    assert [finding.good for finding in late] == [True, True, False]
    assert "A bare sleep is late by 3.00 ms" in late[2].advice


def test_the_null_target_is_driven_in_a_runs_way() -> None:
    driven = generator.drive({"time_s": 0.02, "arrival": {"kind": "constant_rate", "rate_per_s": 1_000}})
    assert len(driven.samples) == 20
    assert driven.cpu_s > 0
    assert all(sample.scheduled and sample.lateness_s >= 0 for sample in driven.samples)
