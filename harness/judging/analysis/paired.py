"""Says whether a candidate is slower than a baseline, from values of both that were measured round by round.

The unit of inference is the round, not the request: requests of one round share a minute of the machine, so a thousand
of them say less about the next round than ten rounds do (Kalibera and Jones; duet benchmarking, arXiv 2001.05811). A
value of a round is a statistic of its requests, such as their p95. Rounds are compared by the logarithm of candidate
over baseline, so a change of scale cancels, and so does whatever both sides of a round shared.

The interval is Student's t over the rounds. A bootstrap of so few rounds would have to be expanded by just this factor
(Hesterberg 2015, section 3.2), and could not resolve the small error that one of many intervals is allowed.

Everything that is judged at once shares one risk of a false alarm (Holm): each interval is at the level at which Holm
tests it, so an interval leaves out "no change" exactly where the change is confirmed.
"""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

import numpy as np
import scipy

from harness.judging.analysis.quantiles import quantile

RISK: Final = 0.01
"""Of any false alarm at all among everything that is judged at once, when nothing differs."""

POWER: Final = 0.99
"""With what probability a change is found that a noise floor names."""

ROUNDS_MAX: Final = 10_000

LOGARITHM_MAX: Final = 700.0
"""Of a number that a float holds."""

Values = np.ndarray[tuple[int], np.dtype[np.float64]]
Word = Literal["faster", "slower", "same", "undecided"]
Key = TypeVar("Key", bound=Hashable)

STATISTICS: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {
    "mean": lambda latencies: float(np.mean(latencies)),
    "p50": lambda latencies: quantile(sorted(latencies), 0.50),
    "p95": lambda latencies: quantile(sorted(latencies), 0.95),
}
"""What the requests of one side of one round come to."""


@dataclass(frozen=True, slots=True)
class Effect:
    """The mean logarithm of candidate over baseline, and how far it may be off. One round has no error to estimate."""

    log_ratio: float
    standard_error: float
    degrees_of_freedom: float
    rounds: int

    @property
    def p_value(self) -> float:
        """Two-sided, of "no change"."""
        if self.standard_error == 0:
            return 1.0 if self.log_ratio == 0 else 0.0
        if not self.degrees_of_freedom:
            return 1.0
        return 2 * float(scipy.stats.t.sf(abs(self.log_ratio) / self.standard_error, self.degrees_of_freedom))

    def half_width(self, risk: float) -> float:
        """Of the interval that misses the true log ratio with this probability."""
        if not self.degrees_of_freedom:
            return math.inf
        return float(scipy.stats.t.isf(risk / 2, self.degrees_of_freedom)) * self.standard_error


@dataclass(frozen=True, slots=True)
class Difference:
    """Says what is said of one effect. Ratios are candidate over baseline; the interval holds with `confidence`.

    `further_rounds`, of what is undecided, would decide it if they were like these; None when none would.
    """

    word: Word
    ratio: float
    lower: float
    upper: float
    confidence: float
    rounds: int
    further_rounds: int | None = None


def paired(baseline: Sequence[float], candidate: Sequence[float]) -> Effect | None:
    """Of sides that were measured in the same rounds, value by value; None where a side is zero or infinite."""
    assert len(baseline) == len(candidate), "a round has both sides"
    if not _have_ratios(baseline, candidate):
        return None
    ratios = np.log(candidate) - np.log(baseline)
    return Effect(float(np.mean(ratios)), _standard_error(ratios), len(ratios) - 1, len(ratios))


def unpaired(baseline: Sequence[float], candidate: Sequence[float]) -> Effect | None:
    """Of sides that were measured apart, in rounds of their own (Welch); None where a side is zero or infinite."""
    if not _have_ratios(baseline, candidate):
        return None
    sides = np.log(baseline), np.log(candidate)
    errors = [_standard_error(side) for side in sides]
    return Effect(
        log_ratio=float(np.mean(sides[1]) - np.mean(sides[0])),
        standard_error=math.hypot(*errors),
        degrees_of_freedom=_welch(errors, [len(side) - 1 for side in sides]),
        rounds=min(map(len, sides)),
    )


def decide(effects: Mapping[Key, Effect], *, margin: float, risk: float = RISK) -> dict[Key, Difference]:
    """A word on each: `slower` and `faster` are confirmed and at least the margin, `same` is confirmed to be within it.

    `risk` is that of any false alarm among them all.
    """
    levels = _holm({key: effect.p_value for key, effect in effects.items()}, risk)
    return {key: _difference(effect, levels[key], math.log1p(margin)) for key, effect in effects.items()}


def detectable(null: Effect, judged: int, *, margin: float, risk: float = RISK, power: float = POWER) -> float:
    """The least slowdown, as a share of the baseline, that rounds as noisy as these find with this probability.

    `null` is the effect of a baseline on itself; `judged` is among how many effects the risk is shared.
    """
    freedom, error = null.degrees_of_freedom, null.standard_error
    if not freedom:
        return math.inf
    confirmed = (
        float(scipy.special.nctdtrinc(freedom, 1 - power, scipy.stats.t.isf(risk / judged / 2, freedom))) * error
    )
    over_margin = math.log1p(margin) + float(scipy.stats.norm.ppf(power)) * error
    logarithm = max(confirmed, over_margin)
    return math.expm1(logarithm) if logarithm < LOGARITHM_MAX else math.inf


def _have_ratios(*sides: Sequence[float]) -> bool:
    return all(len(side) > 0 and all(0 < value < math.inf for value in side) for side in sides)


def _standard_error(values: Values) -> float:
    return math.sqrt(np.var(values, ddof=1) / len(values)) if len(values) > 1 else math.inf


def _welch(errors: Sequence[float], freedoms: Sequence[int]) -> float:
    """Satterthwaite's degrees of freedom; 0 where a side has one round."""
    if not all(freedoms):
        return 0
    spread = sum(error**4 / freedom for error, freedom in zip(errors, freedoms, strict=True))
    return math.hypot(*errors) ** 4 / spread if spread else sum(freedoms)


def _holm(p_values: Mapping[Key, float], risk: float) -> dict[Key, float]:
    """The level at which each is tested: the smallest at a share of the risk, and so on until one is over its level."""
    levels: dict[Key, float] = {}
    untested, level, confirmed = len(p_values), 0.0, True
    for key in sorted(p_values, key=p_values.__getitem__):
        level = risk / untested if confirmed else level
        confirmed = confirmed and p_values[key] <= level
        levels[key] = level
        untested -= 1
    return levels


def _difference(effect: Effect, level: float, margin: float) -> Difference:
    half = effect.half_width(level)
    word = _word(effect, level, margin)
    return Difference(
        word=word,
        ratio=math.exp(effect.log_ratio),
        lower=math.exp(effect.log_ratio - half),
        upper=math.exp(effect.log_ratio + half),
        confidence=1 - level,
        rounds=effect.rounds,
        further_rounds=_further_rounds(effect, level, margin) if word == "undecided" else None,
    )


def _word(effect: Effect, level: float, margin: float) -> Word:
    """`margin` is a logarithm here, so that it is as far up as down."""
    if effect.p_value <= level and abs(effect.log_ratio) >= margin:
        return "slower" if effect.log_ratio > 0 else "faster"
    return "same" if abs(effect.log_ratio) + effect.half_width(level) <= margin else "undecided"


def _further_rounds(effect: Effect, level: float, margin: float) -> int | None:
    """How many more rounds of the same mean and spread make the interval narrow enough to leave no doubt."""
    if not effect.degrees_of_freedom:
        return None
    size = abs(effect.log_ratio)
    allowed = size if size >= margin else margin - size
    totals = np.arange(effect.rounds + 1, effect.rounds + ROUNDS_MAX + 1)
    # Two sides that were measured apart have more degrees of freedom per round, in the proportion seen.
    freedoms = effect.degrees_of_freedom * (totals - 1) / (effect.rounds - 1)
    halves = scipy.stats.t.isf(level / 2, freedoms) * effect.standard_error * np.sqrt(effect.rounds / totals)
    narrow = np.flatnonzero(halves <= allowed)
    return int(narrow[0]) + 1 if narrow.size else None
