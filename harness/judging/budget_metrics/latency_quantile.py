"""p50 … p99.9: the latency that this share of the requests does not exceed.

A failed request counts as slower than any limit: nobody got an answer from it, and a service must not become fast by
refusing. Requests that resemble their neighbours count as fewer (`harness.judging.analysis.dependence`).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.judging.analysis.dependence import design_effect, effective_size
from harness.judging.analysis.quantiles import (
    Bounds,
    Ordered,
    further_samples,
    quantile,
    quantile_bounds,
    samples_min,
)
from harness.judging.analysis.sequential import confidence_next, sequential_bounds
from harness.judging.budget_metrics.protocol import OUTCOMES, Evaluation, Observed, Outcome, Scope, WhenTimed
from harness.judging.limits import Limit
from harness.quantities import Unit


@dataclass(frozen=True, slots=True)
class LatencyQuantile:
    probability: float
    unit: Unit = "time"
    kind: Literal["exact", "sampled"] = "sampled"
    subject: str | None = None
    scope: Scope = "requests"
    timed: WhenTimed = "always"
    ends_a_run: bool = True
    meaning: str = (
        "The latency that this share of the requests does not exceed; a failed request exceeds any limit. "
        "Passes or fails with 95% confidence, or is undecided."
    )

    @property
    def samples_min(self) -> int:
        return samples_min(self.probability)

    def evaluate(self, observed: Observed, limit: Limit) -> Evaluation:
        latencies = observed.requests.judged_s_ascending
        limit_s, n = limit.value(), len(latencies)
        effect = self.effect(observed, limit_s)
        bounds = self.bounds(latencies, observed, effect)
        outcome = OUTCOMES[bounds.decide(limit_s)]
        within = int(np.searchsorted(latencies, limit_s, side="right"))
        # Looking ahead takes longer than a request may be held up.
        undecided = outcome is Outcome.UNDECIDED and observed.run_is_over
        next_look = confidence_next(observed.looks, self.probability, 1 - observed.risk, design_effect=effect)
        more = further_samples(within, n, self.probability, next_look, design_effect=effect) if undecided else None
        return Evaluation(
            outcome=outcome,
            n=n,
            n_effective=effective_size(n, effect) if effect > 1 else None,
            measured=quantile(latencies, self.probability),
            limit=limit_s,
            lower=bounds.lower,
            upper=bounds.upper,
            further_samples=more,
        )

    def effect(self, observed: Observed, limit_s: float) -> float:
        """By what factor the requests count as fewer, as far as it matters to whether this limit is held."""
        return design_effect(observed.passes(observed.requests.judged_s), self.probability, limit_s)

    def bounds(self, latencies: Ordered, observed: Observed, effect: float) -> Bounds:
        """Exact over several looks; where the looks or windows are not nested in each other, each has its own part."""
        if observed.risk_share == 1 and observed.looks[-1:] in ((), (len(latencies),)):
            return sequential_bounds(
                latencies, observed.looks, self.probability, 1 - observed.risk, design_effect=effect
            )
        return Bounds(
            lower=quantile_bounds(latencies, self.probability, observed.fail_confidence, design_effect=effect).lower,
            upper=quantile_bounds(latencies, self.probability, observed.confidence, design_effect=effect).upper,
        )
