"""The risk over all looks stays what a single look would have, and a single look is the plain exact test."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from harness.judging.analysis.quantiles import CONFIDENCE, Decision, quantile_bounds
from harness.judging.analysis.sequential import confidence_at, risk_spent, sequential_bounds

TRIALS = 4_000


def first_decision(values: Sequence[float], sizes: Sequence[int], probability: float, limit: float) -> Decision:
    for look, n in enumerate(sizes, start=1):
        decision = sequential_bounds(sorted(values[:n]), sizes[:look], probability).decide(limit)
        if decision != "undecided":
            return decision
    return "undecided"


def test_all_looks_together_spend_no_more_than_the_risk() -> None:
    spent = [risk_spent(look) for look in range(1, 60)]
    assert spent == sorted(spent)
    assert spent[0] == pytest.approx(0.04)
    assert spent[-1] <= 0.05 + 1e-12
    assert sum(1 - confidence_at(look) for look in range(1, 60)) == pytest.approx(0.05)


@pytest.mark.parametrize(("probability", "n"), [(0.95, 63), (0.99, 321)])
def test_the_first_look_decides_from_little_more_than_a_single_one_needs(probability: float, n: int) -> None:
    assert sequential_bounds([0.0] * n, [n], probability).upper == 0.0
    assert sequential_bounds([0.0] * (n - 1), [n - 1], probability).upper == math.inf


@pytest.mark.parametrize("probability", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("n", [40, 400, 1_000])
def test_the_first_look_is_the_plain_test_at_its_own_level(probability: float, n: int) -> None:
    ordered = sorted(np.random.default_rng(3).lognormal(size=n).tolist())
    first = sequential_bounds(ordered, [n], probability)
    assert first == quantile_bounds(ordered, probability, confidence=confidence_at(1))
    assert sequential_bounds(ordered, [], probability) == quantile_bounds(ordered, probability)


@pytest.mark.parametrize("probability", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("sizes", [(100, 200, 300, 400, 500, 600), (70, 90, 110, 400), (20, 1_000)])
def test_a_limit_on_the_quantile_is_decided_wrongly_no_more_often_than_promised(
    probability: float, sizes: tuple[int, ...]
) -> None:
    """At the boundary, where a wrong verdict is likeliest, in either direction: seeded, over all looks."""
    uniform = np.random.default_rng(20260101).random(size=(TRIALS, sizes[-1]))
    decisions = [first_decision(row, sizes, probability, limit=probability) for row in uniform.tolist()]
    # Three standard errors above 5 % in 4,000 trials.
    tolerated = 1 - CONFIDENCE + 3 * math.sqrt(0.05 * 0.95 / TRIALS)
    assert decisions.count("within") / TRIALS <= tolerated
    assert decisions.count("over") / TRIALS <= tolerated


@pytest.mark.slow
@pytest.mark.nightly
def test_testing_at_the_full_level_at_each_look_would_break_the_promise() -> None:
    sizes = (100, 200, 300, 400, 500, 600)
    uniform = np.random.default_rng(20260101).random(size=(TRIALS, sizes[-1]))
    wrong = sum(any(quantile_bounds(sorted(row[:n]), 0.95).upper <= 0.95 for n in sizes) for row in uniform.tolist())
    assert wrong / TRIALS > 0.08
