"""Latencies whose true quantiles are known, of the shapes that services have; in seconds."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.special import ndtr
from scipy.stats import norm

TYPICAL_S: Final = 0.02
SPREAD: Final = 0.4
"""Of the logarithm."""

PARETO_SHAPE: Final = 1.5
"""Has a mean and no variance."""

SLOW_SHARE, SLOW_TIMES = 0.1, 20.0
"""Of a bimodal population: one in ten misses the cache, and takes this many times as long."""

CORRELATION: Final = 0.8
"""Of the logarithms of one request and the next."""

REGIME_TIMES, REGIME_REQUESTS = 1.8, 5
"""Of a population with a noisy neighbour, who makes half of the requests so much slower, so many of them in a row."""

DRIFT_TIMES: Final = 2.0
"""By how much latencies grow from the first to the last of a run."""

PopulationValues = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Population:
    """`draw` gives latencies in the order of their coming, `quantile` the true one of all of them.

    `independent` says whether the samples are, as exact tests suppose, and `steady` whether all have one distribution.
    """

    draw: Callable[[Generator, int], PopulationValues]
    quantile: Callable[[float], float]
    independent: bool = True
    steady: bool = True


def _log_normal(random: Generator, n: int) -> PopulationValues:
    return TYPICAL_S * np.exp(SPREAD * random.standard_normal(n))


def _log_normal_quantile(probability: float) -> float:
    return TYPICAL_S * math.exp(SPREAD * float(norm.ppf(probability)))


def _pareto(random: Generator, n: int) -> PopulationValues:
    return TYPICAL_S * (1 - random.random(n)) ** (-1 / PARETO_SHAPE)


def _bimodal(random: Generator, n: int) -> PopulationValues:
    return _log_normal(random, n) * np.where(random.random(n) < SLOW_SHARE, SLOW_TIMES, 1.0)


def _correlated(random: Generator, n: int) -> PopulationValues:
    """An autoregressive process of the first order, whose every value has the same distribution."""
    noise = random.standard_normal(n) * math.sqrt(1 - CORRELATION**2)
    noise[0] = random.standard_normal()
    return TYPICAL_S * np.exp(SPREAD * lfilter([1.0], [1.0, -CORRELATION], noise))


def _regimes(random: Generator, n: int) -> PopulationValues:
    changes = random.random(n) < 1 / REGIME_REQUESTS
    slow = (np.cumsum(changes) + random.integers(2)) % 2 == 1
    return _log_normal(random, n) * np.where(slow, REGIME_TIMES, 1.0)


def _drifting(random: Generator, n: int) -> PopulationValues:
    return _log_normal(random, n) * np.linspace(1.0, DRIFT_TIMES, n)


def _inverse(cumulative: Callable[[float], float]) -> Callable[[float], float]:
    """The quantile function, by halving the range in which it lies."""

    def quantile(probability: float) -> float:
        low, high = TYPICAL_S / 1e3, TYPICAL_S * 1e3
        for _ in range(100):
            middle = math.sqrt(low * high)
            low, high = (middle, high) if cumulative(middle) < probability else (low, middle)
        return high

    return quantile


def _log_normal_share(value: float) -> float:
    return float(ndtr(math.log(value / TYPICAL_S) / SPREAD))


def _bimodal_share(value: float) -> float:
    return (1 - SLOW_SHARE) * _log_normal_share(value) + SLOW_SHARE * _log_normal_share(value / SLOW_TIMES)


def _regimes_share(value: float) -> float:
    return (_log_normal_share(value) + _log_normal_share(value / REGIME_TIMES)) / 2


def _drifting_share(value: float) -> float:
    return float(np.mean([_log_normal_share(value / times) for times in np.linspace(1.0, DRIFT_TIMES, 101)]))


POPULATIONS: Final[Mapping[str, Population]] = {
    "log-normal": Population(_log_normal, _log_normal_quantile),
    "heavy tail": Population(_pareto, lambda probability: TYPICAL_S * (1 - probability) ** (-1 / PARETO_SHAPE)),
    "bimodal": Population(_bimodal, _inverse(_bimodal_share)),
    "drifting": Population(_drifting, _inverse(_drifting_share), independent=False, steady=False),
    "correlated": Population(_correlated, _log_normal_quantile, independent=False),
    "noisy neighbour": Population(_regimes, _inverse(_regimes_share), independent=False),
}
