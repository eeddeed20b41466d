"""Bounds and further samples against the binomial distribution summed term by term, in whole numbers."""

from fractions import Fraction
from math import comb

from hypothesis import assume, given
from hypothesis import strategies as st

from harness.judging.analysis.quantiles import further_samples, quantile_bounds

percents = st.sampled_from([50, 75, 90, 95, 99])


def at_least(successes: int, n: int, probability: Fraction) -> Fraction:
    terms = (comb(n, k) * probability**k * (1 - probability) ** (n - k) for k in range(successes, n + 1))
    return sum(terms, Fraction(0))


def decision(within: int, n: int, probability: Fraction) -> str:
    """The exact binomial test of "the quantile is within the limit", in both directions, at 5 %."""
    if at_least(within, n, probability) <= Fraction(1, 20):
        return "within"
    return "over" if 1 - at_least(within + 1, n, probability) <= Fraction(1, 20) else "undecided"


@given(percents, st.integers(1, 130), st.data())
def test_bounds_decide_as_the_exact_test(percent: int, n: int, data: st.DataObject) -> None:
    within = data.draw(st.integers(0, n))
    assume((percent, n, within) != (95, 1, 0))  # 5 % exactly, where a float may fall to either side.
    ordered = [0.0] * within + [2.0] * (n - within)
    assert quantile_bounds(ordered, percent / 100).decide(1.0) == decision(within, n, Fraction(percent, 100))


@given(percents, st.integers(1, 60), st.data())
def test_further_samples_at_the_same_rate_decide_and_one_fewer_does_not(
    percent: int, n: int, data: st.DataObject
) -> None:
    within = data.draw(st.integers(0, n))
    probability = Fraction(percent, 100)
    more = further_samples(within, n, percent / 100)
    assume(more is not None and n + more <= 200)
    assert more is not None
    passing = Fraction(within, n) >= probability

    def decided(total: int) -> bool:
        exact = Fraction(within, n) * total
        scaled = exact.__floor__() if passing else exact.__ceil__()
        return decision(scaled, total, probability) == ("within" if passing else "over")

    assert decided(n + more)
    assert not any(decided(total) for total in range(n + 1, n + more))
