"""Quantiles of latencies: the estimate, what the sample allows to be said about it, and how much more it needs.

The estimate is an observed latency: the k-th smallest of n with k = ceil(n * probability), Hyndman and Fan's type 1
(`numpy.quantile(method="inverted_cdf")`), which is what HdrHistogram and wrk2 report. k6 interpolates between two
neighbours (type 7); that value lies between the same two observations, but no request ever took it.

The bounds are order statistics whose ranks come from the binomial distribution, so they are exact whatever the shape of
the latencies, as long as they are independent. Dependent ones count as fewer: the ranks are those of their effective
sample size (`dependence.py`), spread over all of them. Each bound holds by itself with the confidence
asked for (one-sided), so "the upper bound is within the limit" is the exact binomial test of `quantile <= limit`, and
95 % bounds are together a 90 % interval. An upper 95 % bound exists from 59 samples for p95 and from 299 for p99; the
equal-tailed 95 % interval, whose bounds hold with 97.5 % each, would need 72 and 367.

Sources: Hahn and Meeker, Statistical Intervals, chapter 5; arXiv 2402.19109; `scipy.stats.quantile_test`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import scipy
from numpy.typing import NDArray

from harness.judging.analysis.dependence import effective_size

CONFIDENCE: Final = 0.95
FURTHER_SAMPLES_MAX: Final = 100_000
NORMAL_FROM: Final = 1_000

Decision = Literal["within", "over", "undecided"]
Ordered = Sequence[float] | NDArray[np.float64]
"""Values that ascend."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Confidence bounds, each one-sided; infinite where the sample is too small to have one."""

    lower: float
    upper: float

    def decide(self, limit: float) -> Decision:
        """Says whether what is bounded is confidently `<= limit`, confidently over it, or neither."""
        if self.upper <= limit:
            return "within"
        return "over" if self.lower > limit else "undecided"


def quantile(ordered: Ordered, probability: float) -> float:
    """The smallest observation that at least this share of the sample does not exceed."""
    return float(ordered[quantile_rank(len(ordered), probability) - 1])


def quantile_of(values: NDArray[np.float64], probability: float) -> float:
    """The same of values in any order: one of them is found sooner than all are put in order."""
    place = quantile_rank(len(values), probability) - 1
    return float(np.partition(values, place)[place])


def quantile_rank(n: int, probability: float) -> int:
    """Says which of n ascending observations the quantile is, counted from 1."""
    # Rounding first keeps 0.07 * 100 = 7.000000000000001 from becoming the eighth.
    return max(math.ceil(round(n * probability, 9)), 1)


def quantile_bounds(
    ordered: Ordered, probability: float, confidence: float = CONFIDENCE, *, design_effect: float = 1.0
) -> Bounds:
    """Order statistics that the true quantile is over, and under, each with this confidence. `ordered` ascends."""
    size, risk = effective_size(len(ordered), design_effect), 1 - confidence
    return bounds_at(ordered, size, few(size, probability, risk), few(size, 1 - probability, risk))


def few(n: int, probability: float, risk: float) -> float:
    """So few successes of n, or fewer, occur no more often than the risk; under 0 where not even none is as rare.

    Between whole numbers, the cumulative probability is taken to rise in a straight line.
    """
    least = int(scipy.stats.binom.ppf(risk, n, probability)) if n else 0
    if not least:
        return -1.0
    below, reached = (float(scipy.stats.binom.cdf(number, n, probability)) for number in (least - 1, least))
    return least - 1 + (risk - below) / (reached - below)


def bounds_at(ordered: Ordered, size: int, few_within: float, few_over: float) -> Bounds:
    """The observations over `few_within`, and under `few_over` others, where all together count as `size`."""
    n = len(ordered)
    return Bounds(
        lower=float(ordered[int(few_within * n / size)]) if few_within >= 0 else -math.inf,
        upper=float(ordered[n - 1 - int(few_over * n / size)]) if few_over >= 0 else math.inf,
    )


def samples_min(probability: float, confidence: float = CONFIDENCE) -> int:
    """The fewest samples that have an upper bound: 59 for p95 and 299 for p99."""
    # All of them lie under the true quantile with this probability to the power of their number.
    return math.ceil(round(math.log(1 - confidence) / math.log(probability), 9))


def further_samples(
    within: int, n: int, probability: float, confidence: float = CONFIDENCE, *, design_effect: float = 1.0
) -> int | None:
    """Says how many more samples decide `quantile <= limit`, if the same share of them stays within the limit.

    `within` of `n` samples (at least one) do not exceed the limit. Rounded against the decision that is expected; None
    when `FURTHER_SAMPLES_MAX` would not be enough, which means that the quantile lies on the limit.
    """
    size = effective_size(n, design_effect)
    total = _size_that_decides(within, n, size, probability, confidence)
    more = math.ceil(total * design_effect) - n if total else 0
    return more if 0 < more <= FURTHER_SAMPLES_MAX else None


def _size_that_decides(within: int, n: int, size: int, probability: float, confidence: float) -> int | None:
    """The next larger one than this that does, if any is in reach."""
    about = _needed(within / n, probability, confidence)
    if about > 2 * FURTHER_SAMPLES_MAX:
        return None
    # Half of what the normal approximation asks for is never enough where it asks for thousands.
    first = size + 1 if about < NORMAL_FROM else max(size + 1, int(about / 2))
    while first <= size + FURTHER_SAMPLES_MAX:
        totals = np.arange(first, min(2 * first, size + FURTHER_SAMPLES_MAX) + 1)
        if within >= n * probability:
            risk = scipy.stats.binom.sf(totals * within // n - 1, totals, probability)
        else:
            risk = scipy.stats.binom.cdf(-(-totals * within // n), totals, probability)
        decided = np.flatnonzero(risk <= 1 - confidence)
        if decided.size:
            return int(totals[decided[0]])
        first = int(totals[-1]) + 1
    return None


def _needed(share_within: float, probability: float, confidence: float) -> float:
    """How large a sample decides by the normal approximation, roughly."""
    distance = abs(share_within - probability)
    return (
        float(scipy.stats.norm.ppf(confidence)) ** 2 * probability * (1 - probability) / distance**2
        if distance
        else math.inf
    )
