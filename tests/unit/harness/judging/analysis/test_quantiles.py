import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from harness.judging.analysis.quantiles import Bounds, further_samples, quantile, quantile_bounds


@pytest.mark.parametrize(
    ("n", "probability", "expected"),
    [(1, 0.95, 1), (19, 0.95, 19), (20, 0.95, 19), (21, 0.95, 20), (100, 0.07, 7), (1000, 0.999, 999), (4, 0.5, 2)],
)
def test_quantile_is_the_smallest_observation_with_its_share_at_or_below(
    n: int, probability: float, expected: int
) -> None:
    assert quantile(range(1, n + 1), probability) == expected


def test_quantile_agrees_with_the_inverted_distribution_of_numpy() -> None:
    ordered = np.sort(np.random.default_rng(1).lognormal(size=237))
    for percent in range(1, 100):
        assert quantile(list(ordered), percent / 100) == np.quantile(ordered, percent / 100, method="inverted_cdf")


@pytest.mark.parametrize(("probability", "n"), [(0.5, 5), (0.9, 29), (0.95, 59), (0.99, 299), (0.999, 2995)])
def test_an_upper_bound_exists_from_the_smallest_possible_sample(probability: float, n: int) -> None:
    assert quantile_bounds(range(n), probability).upper == n - 1
    assert quantile_bounds(range(n - 1), probability).upper == math.inf


def test_a_two_sided_interval_of_95_percent_with_equal_tails_needs_72_samples_for_p95() -> None:
    assert quantile_bounds(range(72), 0.95, confidence=0.975).upper == 71
    assert quantile_bounds(range(71), 0.95, confidence=0.975).upper == math.inf


def test_no_samples_have_no_bounds() -> None:
    assert quantile_bounds([], 0.95) == Bounds(-math.inf, math.inf)


@pytest.mark.parametrize("probability", [0.5, 0.9, 0.95, 0.99])
def test_decisions_are_those_of_the_one_sided_quantile_tests(probability: float) -> None:
    ordered = sorted(np.random.default_rng(7).lognormal(size=400).tolist())
    bounds = quantile_bounds(ordered, probability)
    # Between the observations, where `< limit` and `<= limit` count the same.
    limits = [(one + next_one) / 2 for one, next_one in pairwise(ordered)]
    # Both go one way from `over` to `within`: what stands beside a change decides, the rest is a sample.
    changes = [at for at, (one, other) in enumerate(pairwise(map(bounds.decide, limits))) if one != other]
    near = {at + step for at in changes for step in range(-2, 4)}
    for limit in (limits[at] for at in sorted(near | set(range(0, len(limits), 20))) if 0 <= at < len(limits)):
        less, greater = (
            stats.quantile_test(ordered, q=limit, p=probability, alternative=side).pvalue <= 0.05
            for side in ("less", "greater")
        )
        assert bounds.decide(limit) == ("within" if less else "over" if greater else "undecided")


def test_bounds_cover_the_true_quantile_as_often_as_they_say() -> None:
    draws = np.sort(np.random.default_rng(11).exponential(size=(2000, 100)), axis=1)
    truth = -math.log(0.05)
    ranks = quantile_bounds(range(100), 0.95)  # Bounds are observations, whatever these are worth.
    assert quantile_bounds(draws[0].tolist(), 0.95) == Bounds(draws[0, int(ranks.lower)], draws[0, int(ranks.upper)])
    below = (draws[:, int(ranks.upper)] < truth).mean()
    above = (draws[:, int(ranks.lower)] > truth).mean()
    # At most 5 % each, within three standard errors of 2000 trials.
    assert below <= 0.065
    assert above <= 0.065


@pytest.mark.parametrize(("within", "n", "expected"), [(20, 20, 39), (58, 58, 1), (1, 1, 58)])
def test_further_samples_when_all_were_within_complete_the_smallest_passing_sample(
    within: int, n: int, expected: int
) -> None:
    assert further_samples(within, n, 0.95) == expected


def test_no_number_of_samples_decides_a_quantile_on_the_limit() -> None:
    assert further_samples(95, 100, 0.95) is None
