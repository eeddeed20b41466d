"""The design effect of any series: never under 1, and a matter of order and not of units."""

import math

from hypothesis import given
from hypothesis import strategies as st

from harness.judging.analysis.dependence import design_effect, effective_size

probabilities = st.sampled_from([0.5, 0.9, 0.95, 0.99])
latencies = st.lists(st.sampled_from([*(1 + number / 16 for number in range(16)), math.inf]), min_size=2, max_size=80)
phases = st.lists(st.lists(latencies, min_size=1, max_size=3), min_size=1, max_size=2)


@given(phases, probabilities)
def test_requests_count_as_no_more_than_they_are(kinds: list[list[list[float]]], probability: float) -> None:
    n = sum(len(each) for passes in kinds for each in passes)
    effect = design_effect(kinds, probability, limit=1.5)
    assert 1.0 <= effect < math.inf
    assert 1 <= effective_size(n, effect) <= n


@given(phases, probabilities, st.sampled_from([2**-10, 0.5, 2.0**10]))
def test_units_do_not_matter(kinds: list[list[list[float]]], probability: float, unit: float) -> None:
    scaled = [[[unit * value for value in each] for each in passes] for passes in kinds]
    assert design_effect(scaled, probability, 1.5 * unit) == design_effect(kinds, probability, 1.5)


@given(phases, probabilities)
def test_only_the_order_of_latencies_near_the_limit_matters(kinds: list[list[list[float]]], probability: float) -> None:
    """Here all but failures lie between 1 and 2, and so does what they are stretched to."""
    stretched = [
        [[1 + (value - 1) ** 3 if value < math.inf else value for value in each] for each in passes] for passes in kinds
    ]
    assert design_effect(stretched, probability, 1.5) == design_effect(kinds, probability, 1.5)
