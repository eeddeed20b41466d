"""capacity: the highest rate at which all other budgets of an operation hold, which `harness capacity` searches."""

from typing import Literal

from harness.judging.budget_metrics.protocol import Evaluation, Observed, Outcome, Scope, WhenTimed
from harness.judging.limits import Limit
from harness.quantities import Unit


class CapacityMetric:
    unit: Unit = "rate"
    kind: Literal["exact", "sampled"] = "sampled"
    subject: str | None = None
    scope: Scope = "phase"
    timed: WhenTimed = "always"
    ends_a_run: bool = False
    samples_min: int = 1
    meaning = (
        "The highest rate of requests at which all other budgets of the phase hold; only `harness capacity` tells."
    )

    def evaluate(self, observed: Observed, limit: Limit) -> Evaluation:
        del observed, limit
        reason = "requests at one rate do not tell it: `harness capacity` searches it"
        return Evaluation(Outcome.INVALID, n=0, reason=reason)
