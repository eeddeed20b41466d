import math

import pytest
from scipy import stats

from harness.judging.analysis.means import further_samples, mean_bounds
from harness.judging.analysis.quantiles import Bounds

VALUES = [1.0, 1.2, 0.9, 1.4, 1.1]


def test_bounds_are_those_of_the_one_sided_t_tests() -> None:
    bounds = mean_bounds(VALUES)
    assert stats.ttest_1samp(VALUES, bounds.upper, alternative="less").pvalue == pytest.approx(0.05)
    assert stats.ttest_1samp(VALUES, bounds.lower, alternative="greater").pvalue == pytest.approx(0.05)


def test_a_single_value_has_no_bounds() -> None:
    assert mean_bounds([1.0]) == Bounds(-math.inf, math.inf)


def test_further_samples_of_the_same_spread_decide() -> None:
    more = further_samples(VALUES, 1.15)
    assert more is not None
    repeated = VALUES * math.ceil((len(VALUES) + more) / len(VALUES))
    assert mean_bounds(VALUES).decide(1.15) == "undecided"
    assert mean_bounds(repeated).decide(1.15) == "within"


def test_nothing_decides_a_mean_on_its_limit() -> None:
    assert further_samples([1.0, 3.0], 2.0) is None


def test_one_value_lacks_another_and_is_not_near_to_a_limit_by_itself() -> None:
    assert further_samples([1.0], 2.0) == 1
