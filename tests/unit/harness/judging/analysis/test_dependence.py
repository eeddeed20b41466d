"""The design effect is that of processes whose answer is known, and independent requests count as they are."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.stats import multivariate_normal, norm

from harness.judging.analysis.dependence import design_effect, effective_size, share_design_effect
from harness.judging.analysis.quantiles import further_samples, quantile_bounds
from harness.judging.analysis.sequential import sequential_bounds
from harness.judging.analysis.shares import exceeds

PROBABILITY = 0.95
LIMIT = 1.5


def autoregressive(random: np.random.Generator, n: int, correlation: float) -> NDArray[np.float64]:
    """Latencies around 1, of whose logarithms this is the correlation from one to the next."""
    noise = random.standard_normal(n) * math.sqrt(1 - correlation**2)
    noise[0] = random.standard_normal()
    return np.asarray(np.exp(0.4 * lfilter([1.0], [1.0, -correlation], noise)), dtype=np.float64)


def known_effect(correlation: float, probability: float) -> float:
    """Of a long autoregressive series: 1 + 2 sum of how both requests at a lag are over the quantile beyond chance."""
    at = [norm.ppf(probability)] * 2
    both = [multivariate_normal.cdf(at, cov=[[1, correlation**lag], [correlation**lag, 1]]) for lag in range(1, 60)]
    return 1 + 2 * float(sum(each - probability**2 for each in both)) / (probability * (1 - probability))


@pytest.mark.parametrize("correlation", [0.3, 0.6, 0.8])
@pytest.mark.parametrize("probability", [0.5, 0.95])
def test_an_autoregressive_series_has_the_effect_that_is_known_of_it(correlation: float, probability: float) -> None:
    series = autoregressive(np.random.default_rng(1), 60_000, correlation)
    assert design_effect([[series.tolist()]], probability, LIMIT) == pytest.approx(
        known_effect(correlation, probability), rel=0.15
    )


def test_rounds_are_put_together_and_their_ends_are_no_neighbours() -> None:
    random = np.random.default_rng(2)
    rounds = [autoregressive(random, 300, 0.8).tolist() for _ in range(200)]
    assert design_effect([rounds], PROBABILITY, LIMIT) == pytest.approx(known_effect(0.8, PROBABILITY), rel=0.15)
    alternating = [[float(random.random() + number % 2)] for number in range(100)]
    assert design_effect([alternating], PROBABILITY, LIMIT) == 1.0


@pytest.mark.parametrize("limit", [1e-3, 1e3])
def test_what_is_far_from_the_limit_does_not_matter(limit: float) -> None:
    series = autoregressive(np.random.default_rng(1), 300, 0.8).tolist()
    assert design_effect([[series]], PROBABILITY, limit) == 1.0
    assert design_effect([[series]], PROBABILITY, LIMIT) > 2


def test_what_only_the_tail_does_is_seen() -> None:
    """One in twenty is slow, always five in a row: a fifth as many incidents as slow requests."""
    random = np.random.default_rng(3)
    incidents = np.repeat(random.random(2_000) < 0.05, 5)
    latencies = np.where(incidents, 2.0, random.random(10_000))
    assert design_effect([[latencies.tolist()]], PROBABILITY, LIMIT) == pytest.approx(5, rel=0.2)


def test_growth_that_passes_have_in_common_is_no_dependence() -> None:
    random = np.random.default_rng(4)
    passes = [np.exp(0.4 * (np.linspace(0, 1, 500) + random.standard_normal(500))).tolist() for _ in range(3)]
    assert design_effect([passes], PROBABILITY, LIMIT) < 1.2


def test_a_level_of_each_phase_is_no_dependence() -> None:
    random = np.random.default_rng(5)
    stages = [[(level + random.random(500)).tolist()] for level in (0.5, 1.5, 2.5)]
    assert design_effect(stages, 0.5, LIMIT) == pytest.approx(1.0, abs=0.2)
    assert design_effect([[[each for stage in stages for each in stage[0]]]], 0.5, LIMIT) > 10


def test_independent_requests_count_as_they_are() -> None:
    random = np.random.default_rng(6)
    effects = [design_effect([[(1 + random.random(300)).tolist()]], PROBABILITY, LIMIT) for _ in range(400)]
    assert effects.count(1.0) >= 392


@pytest.mark.parametrize("series", [[], [1.0], [1.0] * 300, [math.inf] * 40, [1.0, 2.0] * 9])
def test_what_has_no_tail_or_is_too_short_has_no_effect(series: list[float]) -> None:
    assert design_effect([[series]], PROBABILITY, LIMIT) == 1.0


def test_failures_that_come_together_count_as_fewer() -> None:
    together = [1.0] * 10 + [0.0] * 190
    apart = ([1.0] + [0.0] * 19) * 10
    assert share_design_effect([[apart]]) == 1.0
    assert share_design_effect([[together]]) > 5
    assert share_design_effect([[[0.0] * 50]]) == share_design_effect([[[1.0] * 50]]) == 1.0


def test_a_share_of_dependent_requests_is_less_sure() -> None:
    assert exceeds(10, 100, 0.05, 0.95)
    assert not exceeds(10, 100, 0.05, 0.95, design_effect=3.0)
    assert exceeds(100, 1_000, 0.05, 0.95, design_effect=3.0)


def test_requests_that_count_as_fewer_need_to_be_more() -> None:
    assert effective_size(1_000, 4.2) == 238
    assert quantile_bounds([0.0] * 117, 0.95, design_effect=2.0).upper == math.inf
    assert quantile_bounds([0.0] * 118, 0.95, design_effect=2.0).upper == 0.0
    assert further_samples(100, 100, 0.95, design_effect=2.0) == 18
    assert sequential_bounds([0.0] * 125, [125], 0.95, design_effect=2.0).upper == math.inf
    assert sequential_bounds([0.0] * 126, [126], 0.95, design_effect=2.0).upper == 0.0
    assert sequential_bounds([0.0] * 126, [60, 126], 0.95, design_effect=2.0).upper == 0.0
