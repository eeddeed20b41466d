"""max: the slowest request of this run; it says nothing about the next run, a quantile does."""

import math
from typing import Literal

from harness.judging.budget_metrics.protocol import Evaluation, Observed, Outcome, Scope, WhenTimed
from harness.judging.limits import Limit
from harness.quantities import Unit


class LatencyMax:
    unit: Unit = "time"
    kind: Literal["exact", "sampled"] = "exact"
    subject: str | None = None
    scope: Scope = "requests"
    timed: WhenTimed = "always"
    ends_a_run: bool = True
    samples_min: int = 1
    meaning = "The latency of this run's slowest request; a failed request exceeds any limit."

    def evaluate(self, observed: Observed, limit: Limit) -> Evaluation:
        requests = observed.requests
        slowest_s = math.inf if requests.failed.any() else float(requests.latency_s.max())
        return Evaluation(
            outcome=Outcome.PASS if limit.excess(slowest_s) <= 0 else Outcome.FAIL,
            n=len(observed.samples),
            measured=slowest_s,
            limit=limit.value(),
        )
