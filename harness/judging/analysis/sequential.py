"""Looking at a growing sample again and again, with the risk of a wrong decision bounded over all looks together.

Testing at 5 % after every round would be wrong far more often than 5 %: each look is another chance. So the risk is
spent: the first look may use four fifths of it, which leaves p95 decidable from 63 samples where a single look needs
59, and each later look half of what is then left, so that any number of them stays within the whole.

For quantiles the spending is exact. On the boundary the number of samples over the limit is binomial and grows by
independent binomial steps, so the probability of having decided at an earlier look is carried forward state by state,
and what a discrete step leaves unspent is there for the next look. It holds as far as samples are independent and the
size of a further round does not depend on what the samples were. Of dependent samples, each look is taken to have had
its effective size.

Sources: Lan and DeMets, Biometrika 70 (1983); Jennison and Turnbull, Group Sequential Methods, chapters 7 and 12.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
import scipy
from numpy.typing import NDArray

from harness.judging.analysis.dependence import effective_size
from harness.judging.analysis.quantiles import CONFIDENCE, Bounds, Ordered, bounds_at, quantile_bounds

FIRST_LOOK_SHARE: Final = 0.8


def risk_spent(look: int, risk: float = 1 - CONFIDENCE) -> float:
    """Says how much of the risk the looks up to this one, counted from 1, may use together."""
    return risk * (1 - (1 - FIRST_LOOK_SHARE) * 0.5 ** (look - 1))


def confidence_at(look: int, confidence: float = CONFIDENCE) -> float:
    """The confidence of a test at one look that keeps all of them within the risk, whatever is tested (Bonferroni)."""
    earlier = risk_spent(look - 1, 1 - confidence) if look > 1 else 0.0
    return 1 - (risk_spent(look, 1 - confidence) - earlier)


def sequential_bounds(
    ordered: Ordered,
    sizes: Sequence[int],
    probability: float,
    confidence: float = CONFIDENCE,
    *,
    design_effect: float = 1.0,
) -> Bounds:
    """The quantile's bounds at the last of several looks. `sizes` is how many samples there were at each of them.

    `ordered` are those of the last look, and ascend. Nothing was decided before: the first decision stands. Without
    `sizes` there is only one look, at the full confidence.
    """
    if not sizes:
        return quantile_bounds(ordered, probability, confidence, design_effect=design_effect)
    assert len(ordered) == sizes[-1], "the last look is at all samples"
    effective = tuple(effective_size(size, design_effect) for size in sizes)
    few_within, few_over = (_stopping(effective, each, 1 - confidence)[0] for each in (probability, 1 - probability))
    return bounds_at(ordered, effective[-1], few_within, few_over)


def confidence_next(
    sizes: Sequence[int], probability: float, confidence: float = CONFIDENCE, *, design_effect: float = 1.0
) -> float:
    """Of a bound on the quantile at the look after these, about: what they have not spent is left for it."""
    if not sizes:
        return confidence
    effective, risk = tuple(effective_size(size, design_effect) for size in sizes), 1 - confidence
    spent = max(_stopping(effective, each, risk)[1] for each in (probability, 1 - probability))
    return 1 - (risk_spent(len(sizes) + 1, risk) - spent)


@lru_cache(maxsize=4096)
def _stopping(sizes: tuple[int, ...], probability: float, risk: float) -> tuple[float, float]:
    """At how few successes the last look decides, if each sample is one with this probability at least; as `few` says.

    And the probability of having decided at it or before, where that is wrong.
    """
    alive, before, crossed, few = np.ones(1), 0, 0.0, -1.0
    for number, size in enumerate(sizes, start=1):
        alive = _after(alive, size - before, probability)
        cumulative = crossed + np.cumsum(alive)
        few = float(np.interp(risk_spent(number, risk), cumulative, np.arange(len(alive)), left=-1.0))
        if few >= 0:
            crossed = float(cumulative[int(few)])
            alive[: int(few) + 1] = 0.0
        before = size
    return few, crossed


def _after(alive: NDArray[np.float64], steps: int, probability: float) -> NDArray[np.float64]:
    """The distribution of successes after further samples."""
    added = scipy.stats.binom.pmf(np.arange(steps + 1), steps, probability)
    # The transform leaves values of some 1e-17 where there is nothing, of either sign.
    return added if len(alive) == 1 else np.maximum(scipy.signal.fftconvolve(alive, added), 0.0)
