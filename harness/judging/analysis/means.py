"""The mean of latencies and its confidence bounds.

Student's t leans on the central limit theorem: with the skew that latencies have, trust it from some 30 samples on, and
prefer a quantile, whose bounds are exact and whose meaning does not change with one slow request.
"""

import math
from collections.abc import Sequence

import numpy as np
import scipy
from numpy.typing import NDArray

from harness.judging.analysis.quantiles import CONFIDENCE, Bounds


def mean_bounds(values: Sequence[float] | NDArray[np.float64], confidence: float = CONFIDENCE) -> Bounds:
    """Says what the true mean is over, and under, each with this confidence; infinite below two samples."""
    if len(values) < 2:  # noqa: PLR2004 -- a spread needs two values.
        return Bounds(-math.inf, math.inf)
    half = (
        float(scipy.stats.t.ppf(confidence, len(values) - 1)) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    )
    return Bounds(float(np.mean(values)) - half, float(np.mean(values)) + half)


def further_samples(
    values: Sequence[float] | NDArray[np.float64], limit: float, confidence: float = CONFIDENCE
) -> int | None:
    """Says how many more samples of the same mean and spread decide `mean <= limit`; None when the mean lies on it.

    Fewer than two have no spread yet: then as many as it takes to have one.
    """
    n, distance = len(values), abs(limit - float(np.mean(values)))
    if distance == 0:
        return None
    if n < 2:  # noqa: PLR2004 -- see above
        return 2 - n
    # The t of today's sample is a little wider than that of the larger one, which errs towards more samples.
    needed = (float(scipy.stats.t.ppf(confidence, n - 1)) * float(np.std(values, ddof=1)) / distance) ** 2
    return max(math.ceil(needed) - n, 1)
