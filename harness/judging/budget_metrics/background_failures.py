"""background.failures: work that was accepted with a request and did not succeed after it."""

from typing import Literal

from harness.judging.budget_metrics.protocol import Evaluation, Observed, Outcome, Scope, WhenTimed
from harness.judging.limits import Limit
from harness.quantities import Unit


class BackgroundFailures:
    unit: Unit = "count"
    kind: Literal["exact", "sampled"] = "exact"
    subject: str | None = "background"
    scope: Scope = "variant"
    timed: WhenTimed = "if failed"
    ends_a_run: bool = False
    samples_min: int = 1
    meaning = "How many pieces of background work failed."

    def evaluate(self, observed: Observed, limit: Limit) -> Evaluation:
        failures = sum(work.failures for work in observed.variant.background)
        return Evaluation(
            outcome=Outcome.PASS if limit.excess(failures) <= 0 else Outcome.FAIL,
            n=sum(work.count for work in observed.variant.background),
            measured=failures,
            limit=limit.value(),
        )
