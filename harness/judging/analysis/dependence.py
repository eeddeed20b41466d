"""Says how much less a series of latencies says about its quantile because requests resemble their neighbours.

Each request is over the quantile or not. Where that is correlated from one request to the next, the share that is over
varies more than a binomial share does, by a factor that is called the design effect: `n` requests then say as much as
`n / design_effect` independent ones, their effective sample size, and a binomial test is right again with that size
(Korn and Graubard, Survey Methodology 24 (1998)).

It is estimated twice, and the larger one counts. The autocorrelations of the latencies' normal scores, each turned into
that of the exceedances by the Gaussian copula, use all requests and so are steady; they miss what only the tail does,
as when a neighbour on the machine slows down a few in a row. The autocorrelations of the exceedances themselves see
that, from fewer requests. Both are summed up to the end of Geyer's initial positive sequence (Statistical Science 7
(1992)), without a linear trend that the passes have in common: that is growth, and the drift check's matter.

Independent requests are not to pay for the noise of an estimate. So they count as they are unless neighbours are alike
beyond chance, by the correlation of their scores or by the number of runs that the slow ones form (Wald and Wolfowitz,
Annals of Mathematical Statistics 11 (1940), whose distribution is exact). And what is far from the limit counts as
equal in these two tests: whether 2 ms follow on 3 ms says nothing of how often 300 ms are exceeded.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import scipy
from numpy.typing import NDArray

RISK: Final = 0.005
"""Of taking independent requests for dependent ones, in each of the two tests."""

FAR: Final = 2
"""From the limit: so many times as long, or that part of it."""

SAMPLES_MIN: Final = 20
"""With fewer, neither test can tell."""

ROUNDING: Final = 1e-9
"""Of a variance for each value: what is no more is left by rounding."""

FITTED: Final = 2
"""Level and trend, which the correlations are computed without."""

SeriesValues = NDArray[np.float64]
Kinds = Sequence[Sequence[Sequence[float] | NDArray[np.float64 | np.bool_]]]
"""Passes by their kind, such as a phase or a stage of one; those of one kind have a level and a trend in common."""


def design_effect(kinds: Kinds, probability: float, limit: float) -> float:
    """Of the share over the quantile, at least 1, as far as it matters to whether the quantile is within this limit.

    Latencies are in the order of their starts, and infinite where a request failed.
    """
    latencies = np.concatenate([np.asarray(each, dtype=np.float64) for passes in kinds for each in passes])
    if len(latencies) < SAMPLES_MIN or limit <= 0:
        return 1.0
    near = _ranks_between(latencies, limit / FAR, limit * FAR)
    if np.ptp(near) == 0 or not _are_alike(near, kinds, probability):
        return 1.0
    ranks = scipy.stats.rankdata(latencies)
    by_copula = _Correlations.of(_scores(ranks), kinds).inflation(lambda each: _of_exceedances(each, probability))
    return max(1.0, by_copula, _Correlations.of(_are_over(ranks, probability), kinds).inflation())


def share_design_effect(kinds: Kinds) -> float:
    """Of a share, at least 1: series of 1 where something occurred, and 0 where it did not."""
    occurred = np.concatenate([np.asarray(each, dtype=np.bool_) for passes in kinds for each in passes])
    if len(occurred) < SAMPLES_MIN or occurred.all() or not _are_clustered(occurred):
        return 1.0
    return max(1.0, _Correlations.of(occurred, kinds).inflation())


def effective_size(n: int, design_effect: float) -> int:
    """As how many independent requests these count."""
    return max(int(n / design_effect), 1) if n else 0


def _ranks_between(values: SeriesValues, least: float, most: float) -> SeriesValues:
    """Ranks where all up to `least` are equal, and all from `most` on: only the others have to be put in order."""
    under, over = values <= least, values >= most
    n_under, n_over = int(under.sum()), int(over.sum())
    ranks = np.where(under, (n_under + 1) / 2, len(values) - (n_over - 1) / 2)
    between = ~(under | over)
    ranks[between] = n_under + scipy.stats.rankdata(values[between])
    return ranks


def _are_alike(ranks: SeriesValues, kinds: Kinds, probability: float) -> bool:
    """Whether neighbours are, beyond chance."""
    return _are_clustered(_are_over(ranks, probability)) or _are_correlated(_scores(ranks), kinds)


def _are_correlated(values: SeriesValues, kinds: Kinds) -> bool:
    """Whether neighbours are beyond chance; their correlation is about normal where they are independent."""
    residuals = [residual for kind in _by_kind(values, kinds) for residual in _without_trend(kind)]
    pairs = sum(len(each) - 1 for each in residuals)
    variance = sum(float(each @ each) for each in residuals) / len(values)
    # Of equal values, and of those that only grow, nothing but rounding is left.
    if not pairs or variance <= ROUNDING * len(values):
        return False
    covariance = sum(float(each[1:] @ each[:-1]) for each in residuals) / pairs
    return covariance / variance * math.sqrt(pairs) > float(scipy.stats.norm.isf(RISK))


def _scores(ranks: SeriesValues) -> SeriesValues:
    """Blom's normal scores, which are finite for the least and the greatest."""
    return np.asarray(scipy.special.ndtri((ranks - 0.375) / (len(ranks) + 0.25)), dtype=np.float64)


def _are_over(ranks: SeriesValues, probability: float) -> NDArray[np.bool_]:
    """Which lie over the sample's own quantile."""
    return np.asarray(ranks > len(ranks) * probability, dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class _Correlations:
    """From one value to the next, the one after that and so on, up to half of the longest pass.

    `weights` are how many pairs each is the mean of, as a share of the `n` values.
    """

    at_lags: SeriesValues
    weights: SeriesValues
    n: int

    @classmethod
    def of(cls, values: NDArray[np.float64 | np.bool_], kinds: Kinds) -> Self:
        residuals = [residual for kind in _by_kind(values.astype(float), kinds) for residual in _without_trend(kind)]
        lengths = [len(each) for each in residuals]
        lags = np.arange(1 + max(lengths) // 2)
        weights = np.maximum(np.subtract.outer(lengths, lags), 0).sum(axis=0) / len(values)
        covariances = _products(residuals, max(lengths))[lags] / weights
        varies = covariances[0] > ROUNDING * len(values)
        correlations = covariances[1:] / covariances[0] if varies else 0.0 * weights[1:]
        return cls(correlations, np.asarray(weights[1:], dtype=np.float64), len(values))

    def inflation(self, mapped: Callable[[SeriesValues], SeriesValues] = lambda correlations: correlations) -> float:
        """By what factor the correlations that these are `mapped` to widen the variance of a mean."""
        # Level and trend were estimated from the same values, which makes all correlations too small (Anderson,
        # The Statistical Analysis of Time Series (1971), chapter 8).
        bias = FITTED * max(1 + 2 * float(_initial(self.at_lags).sum()), 1.0) / self.n
        initial = _initial(np.minimum(self.at_lags + bias * (1 - self.at_lags), 1.0))
        return 1 + 2 * float(self.weights[: len(initial)] @ mapped(initial))


def _by_kind(values: SeriesValues, kinds: Kinds) -> list[list[SeriesValues]]:
    series = iter(np.split(values, np.cumsum([len(each) for passes in kinds for each in passes])[:-1]))
    return [[next(series) for _ in passes] for passes in kinds]


def _without_trend(passes: Sequence[SeriesValues]) -> list[SeriesValues]:
    """What is left of passes without the level and the linear trend that they have in common."""
    time = np.concatenate([np.arange(len(each)) - (len(each) - 1) / 2 for each in passes])
    values = np.concatenate(passes)
    values = values - values.mean()
    slope = float(time @ values) / max(float(time @ time), 1.0)
    return np.split(values - slope * time, np.cumsum([len(each) for each in passes])[:-1])


def _products(series: Sequence[SeriesValues], length: int) -> SeriesValues:
    """Over all series, the sums of products of values that are 0, 1, 2 … apart."""
    size = scipy.fft.next_fast_len(2 * length, real=True)
    spectrum = np.sum([np.abs(scipy.fft.rfft(each, size)) ** 2 for each in series], axis=0)
    return np.asarray(scipy.fft.irfft(spectrum, size)[:length], dtype=np.float64)


def _initial(correlations: SeriesValues) -> SeriesValues:
    """Up to the first two neighbouring lags, counted from 0, whose correlations are not positive together."""
    from_0 = np.concatenate([[1.0], correlations])
    pairs = from_0[: len(from_0) // 2 * 2].reshape(-1, 2).sum(axis=1)
    ends = np.flatnonzero(pairs <= 0)
    return from_0[1 : 2 * (int(ends[0]) if ends.size else len(pairs))]


def _of_exceedances(correlations: SeriesValues, probability: float) -> SeriesValues:
    """Of being over the quantile, for two standard normal values that are so correlated; by Owen's T."""
    apart = scipy.special.owens_t(scipy.special.ndtri(probability), np.sqrt((1 - correlations) / (1 + correlations)))
    return np.asarray(1 - 2 * apart / (probability * (1 - probability)), dtype=np.float64)


def _are_clustered(occurred: NDArray[np.bool_]) -> bool:
    """Whether what occurred did so in fewer runs than chance makes of as many."""
    n, times = len(occurred), int(occurred.sum())
    runs = int(occurred[:1].sum() + np.sum(occurred[1:] & ~occurred[:-1]))
    # Each run takes one of the places before, between and after what did not occur.
    return float(scipy.stats.hypergeom.cdf(runs, n, n - times + 1, times)) <= RISK
