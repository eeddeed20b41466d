"""errors: the share of this run's requests that failed."""

from typing import Literal

from harness.budget_metrics.protocol import Evaluation, Observed, Outcome
from harness.limits import Limit
from harness.quantities import Unit


class Errors:
    unit: Unit = "share"
    kind: Literal["exact", "sampled"] = "exact"
    subject: str | None = None
    meaning = "The share of this run's requests that failed."

    def evaluate(self, observed: Observed, limit: Limit) -> Evaluation:
        n = len(observed.samples)
        failed = (n - len(observed.answered)) / n
        return Evaluation(
            outcome=Outcome.PASS if limit.excess(failed) <= 0 else Outcome.FAIL,
            n=n,
            measured=failed,
            limit=limit.value(),
        )
