"""What holds for every comparison of rounds: scale does not matter, and swapping the sides inverts it."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.advice import MARGIN
from harness.judging.analysis.paired import Effect, decide, paired, unpaired

Sides = tuple[list[float], list[float]]
Test = Callable[[Sides], Effect]

latencies = st.floats(1e-6, 1e3)
rounds = st.integers(2, 12).flatmap(
    lambda count: st.tuples(
        st.lists(latencies, min_size=count, max_size=count), st.lists(latencies, min_size=count, max_size=count)
    )
)


def paired_effect(sides: Sides) -> Effect:
    return known(paired(*sides))


def unpaired_effect(sides: Sides) -> Effect:
    return known(unpaired(*sides))


def known(effect: Effect | None) -> Effect:
    assert effect is not None, "latencies are positive and finite here"
    return effect


tests = st.sampled_from([paired_effect, unpaired_effect])
INVERSE = {"faster": "slower", "slower": "faster", "same": "same", "undecided": "undecided"}


@given(tests, rounds, st.floats(1e-3, 1e3))
def test_a_common_scale_changes_nothing(test: Test, sides: Sides, scale: float) -> None:
    scaled = [latency * scale for latency in sides[0]], [latency * scale for latency in sides[1]]
    one, other = test(sides), test(scaled)
    assert other.log_ratio == pytest.approx(one.log_ratio, abs=1e-9)
    assert other.standard_error == pytest.approx(one.standard_error, abs=1e-9)


@given(tests, rounds)
def test_swapping_the_sides_inverts_the_ratio_and_the_word(test: Test, sides: Sides) -> None:
    one, other = decide({0: test(sides)}, margin=MARGIN)[0], decide({0: test((sides[1], sides[0]))}, margin=MARGIN)[0]
    assert other.ratio == pytest.approx(1 / one.ratio)
    assert other.word == INVERSE[one.word]
    if one.lower > 0 and math.isfinite(one.upper):
        assert (other.lower, other.upper) == pytest.approx((1 / one.upper, 1 / one.lower))


effects = st.builds(Effect, st.floats(-1, 1), st.floats(0, 0.5), st.integers(1, 30), st.just(10))


@given(st.dictionaries(st.integers(), effects, min_size=1, max_size=9))
def test_an_interval_leaves_out_no_change_exactly_where_the_change_is_confirmed(by_key: dict[int, Effect]) -> None:
    for key, difference in decide(by_key, margin=MARGIN).items():
        confirmed = by_key[key].p_value <= 1 - difference.confidence
        # At the edge itself a rounding error decides, so only what is clear of it is held to the rule.
        if abs(difference.lower - 1) > 1e-9 and abs(difference.upper - 1) > 1e-9:
            assert confirmed == (not difference.lower < 1 < difference.upper)
        if difference.word in {"faster", "slower"}:
            assert confirmed
        if difference.word == "same":
            assert difference.upper <= 1.05 + 1e-9
            assert difference.lower >= 1 / 1.05 - 1e-9
