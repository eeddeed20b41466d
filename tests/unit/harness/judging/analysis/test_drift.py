"""The drift test against populations whose truth is known: it stays quiet on noise and finds what it says it finds."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.judging.analysis.drift import SAMPLES_MIN, find_drift

Population = Callable[[np.random.Generator, int], NDArray[np.float64]]

REQUESTS = 200


def log_normal(random: np.random.Generator, n: int) -> NDArray[np.float64]:
    return random.lognormal(0, 0.4, n)


def heavy_tailed(random: np.random.Generator, n: int) -> NDArray[np.float64]:
    return 1 + random.pareto(1.5, n)


def bimodal(random: np.random.Generator, n: int) -> NDArray[np.float64]:
    latencies: NDArray[np.float64] = random.lognormal(0, 0.1, n) * random.choice([1.0, 5.0], n)
    return latencies


def correlated(random: np.random.Generator, n: int) -> NDArray[np.float64]:
    """By 0.8 from one request to the next."""
    steps, level = random.normal(0, 0.3 * 0.6, n), random.normal(0, 0.3)
    logarithms = np.empty(n)
    for place, step in enumerate(steps):
        logarithms[place] = level = 0.8 * level + step
    latencies: NDArray[np.float64] = np.exp(logarithms)
    return latencies


def share_found(population: Population, *, rounds: int, runs: int, slowdown: float = 1.0) -> float:
    random = np.random.default_rng(1)
    trend = np.linspace(1, slowdown, REQUESTS)
    found = [find_drift([population(random, REQUESTS) * trend for _ in range(rounds)]) for _ in range(runs)]
    return sum(drift is not None for drift in found) / runs


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [1, 3])
@pytest.mark.parametrize("population", [log_normal, heavy_tailed, bimodal, correlated])
def test_steady_latencies_are_called_drifting_once_in_a_hundred_runs_at_most(
    population: Population, rounds: int
) -> None:
    assert share_found(population, rounds=rounds, runs=200) <= 0.01


@pytest.mark.parametrize(("rounds", "power"), [(1, 0.5), (3, 0.95)])
def test_a_slowdown_by_half_is_found_as_often_as_stated(rounds: int, power: float) -> None:
    assert share_found(log_normal, rounds=rounds, runs=100, slowdown=1.5) >= power


def test_a_drift_says_how_large_it_is_and_where() -> None:
    random = np.random.default_rng(2)
    drift = find_drift([log_normal(random, 2000) * np.linspace(1, 2, 2000)])
    assert drift is not None
    assert drift.within
    assert drift.factor == pytest.approx(1.9, rel=0.1)


def test_a_slow_change_from_round_to_round_is_found_where_no_round_shows_it() -> None:
    random = np.random.default_rng(3)
    drift = find_drift([log_normal(random, REQUESTS) * 1.1**number for number in range(10)])
    assert drift is not None
    assert not drift.within


def test_a_difference_between_rounds_that_has_no_direction_is_no_drift() -> None:
    random = np.random.default_rng(4)
    levels = (1.0, 1.4, 1.1, 1.5, 0.9, 1.3, 1.2, 1.0)
    assert find_drift([log_normal(random, REQUESTS) * level for level in levels]) is None


def test_a_trend_too_small_to_matter_is_none_however_sure() -> None:
    assert find_drift([list(np.linspace(1, 1.2, 10_000))]) is None


def test_short_passes_and_equal_latencies_are_not_judged() -> None:
    assert find_drift([list(range(1, SAMPLES_MIN))]) is None
    assert find_drift([[1.0] * 100]) is None
    assert find_drift([]) is None
