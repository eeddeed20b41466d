"""Says whether latencies went one way while they were measured: a trend that is there, and large enough to matter.

Within a pass, Spearman's rank correlation with the order of the starts asks for a trend. Neighbours are often slow
together, which makes trends by chance likelier, so its variance grows with the autocorrelation of the ranks that is
left without the trend (Hamed and Rao, Journal of Hydrology 204 (1998)). Passes are put together by Stouffer's method.
Between rounds, Kendall's test on the rounds' medians asks the same. The size is Sen's slope (JASA 63 (1968)) over
medians of blocks. Test and size both have to speak: a test alone fires on changes that nobody needs to know of, a size
alone on noise.

Simulated passes of 200 requests (`tests/unit/harness/judging/analysis/test_drift.py`): of steady ones, log-normal,
heavy-tailed, bimodal or correlated by 0.8 from one request to the next, at most 1 in 100 is called drifting; of those
that become slower by half, on a spread of 0.4 in the logarithm, 1 in 2 is found in one pass and nearly all in three.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy
from numpy.typing import NDArray

BLOCKS: Final = 10
SAMPLES_MIN: Final = 50
"""Of one pass. Shorter ones are not tested."""

RISK: Final = 0.0005
"""Of calling steady latencies drifting, in each of the two tests: a run has some twenty of variants and operations."""

CHANGE_MIN: Final = 1.25
"""A trend by less than a quarter moves a quantile by less than its bounds usually leave open."""


@dataclass(frozen=True, slots=True)
class Drift:
    """From beginning to end, latencies changed by this factor: `within` each pass, or from round to round."""

    factor: float
    within: bool


def find_drift(passes: Sequence[Sequence[float] | NDArray[np.float64]]) -> Drift | None:
    """Latencies over 0 of one operation, pass by pass, in the order of their starts."""
    logarithms = [np.log(latencies) for latencies in passes if len(latencies) >= SAMPLES_MIN]
    if not logarithms:
        return None
    return _within(logarithms) or _across(logarithms)


def _within(passes: Sequence[NDArray[np.float64]]) -> Drift | None:
    """A trend that the passes have in common, as when each begins before the system has warmed up."""
    change = float(np.median([_change(_block_medians(values)) for values in passes]))
    # The size is asked for first, since ranks of ten million latencies take seconds.
    if not _matters(change):
        return None
    score = sum(map(_score, passes)) / math.sqrt(len(passes))
    return _drift(2 * float(scipy.stats.norm.sf(abs(score))), change, within=True)


def _across(passes: Sequence[NDArray[np.float64]]) -> Drift | None:
    """A trend over the whole run, which may be too slow to show within one pass."""
    if len(passes) < 3:  # noqa: PLR2004 -- two values have a difference and no trend.
        return None
    medians = [float(np.median(values)) for values in passes]
    change = _change(medians)
    if not _matters(change):
        return None
    return _drift(float(scipy.stats.kendalltau(range(len(medians)), medians).pvalue), change, within=False)


def _score(values: NDArray[np.float64]) -> float:
    """Standard normal where there is no trend; over 0 where values rise."""
    time = np.arange(len(values)) - (len(values) - 1) / 2
    ranks = scipy.stats.rankdata(values) - (len(values) + 1) / 2
    if not ranks.any():
        return 0.0
    slope = float(time @ ranks / (time @ time))
    correlation = slope * math.sqrt(time @ time / (ranks @ ranks))
    return correlation * math.sqrt((len(values) - 1) / _inflation(ranks - slope * time))


def _inflation(residuals: NDArray[np.float64]) -> float:
    """By what factor autocorrelation widens the variance of a mean, from the lags before it is first gone."""
    n = len(residuals)
    variance = float(residuals @ residuals)
    inflation = 1.0
    for lag in range(1, n // 4):
        correlation = float(residuals[lag:] @ residuals[:-lag]) / variance if variance else 0.0
        if correlation <= 0:
            break
        inflation += 2 * correlation
    return inflation


def _block_medians(values: NDArray[np.float64]) -> list[float]:
    return [float(np.median(block)) for block in np.array_split(values, BLOCKS)]


def _change(values: Sequence[float]) -> float:
    """By how much the logarithm changes from the first to the last."""
    return float(scipy.stats.theilslopes(values).slope) * (len(values) - 1)


def _matters(change: float) -> bool:
    return abs(change) >= math.log(CHANGE_MIN)


def _drift(risk: float, change: float, *, within: bool) -> Drift | None:
    return Drift(math.exp(change), within) if risk <= RISK else None
