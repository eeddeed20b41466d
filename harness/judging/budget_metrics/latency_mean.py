"""mean: the average latency of the answered requests; `errors` is the budget for the others."""

from typing import Literal

import numpy as np

from harness.judging.analysis.means import further_samples, mean_bounds
from harness.judging.analysis.quantiles import Bounds
from harness.judging.budget_metrics.protocol import OUTCOMES, Evaluation, Observed, Outcome, Scope, WhenTimed
from harness.judging.limits import Limit
from harness.quantities import Unit


class LatencyMean:
    unit: Unit = "time"
    kind: Literal["exact", "sampled"] = "sampled"
    subject: str | None = None
    scope: Scope = "requests"
    timed: WhenTimed = "always"
    ends_a_run: bool = True
    samples_min: int = 2
    meaning = "The average latency of the answered requests; its 95% bounds (Student's t) are approximate."

    def evaluate(self, observed: Observed, limit: Limit) -> Evaluation:
        latencies = observed.answered.latency_s
        bounds = Bounds(
            lower=mean_bounds(latencies, observed.fail_confidence).lower,
            upper=mean_bounds(latencies, observed.confidence).upper,
        )
        outcome, limit_s = OUTCOMES[bounds.decide(limit.value())], limit.value()
        undecided = outcome is Outcome.UNDECIDED
        return Evaluation(
            outcome=outcome,
            n=len(latencies),
            measured=float(np.mean(latencies)),
            limit=limit_s,
            lower=bounds.lower,
            upper=bounds.upper,
            further_samples=further_samples(latencies, limit_s, observed.confidence_next) if undecided else None,
        )
