"""within_200ms …: the share of the requests that were answered in this time, as a load test's checks count them."""

from dataclasses import dataclass
from typing import Literal

from harness.judging.budget_metrics.protocol import Evaluation, Observed, Outcome, Scope, WhenTimed
from harness.judging.limits import Limit
from harness.quantities import Unit


@dataclass(frozen=True, slots=True)
class Within:
    time_s: float
    unit: Unit = "share"
    kind: Literal["exact", "sampled"] = "exact"
    subject: str | None = None
    scope: Scope = "requests"
    timed: WhenTimed = "always"
    ends_a_run: bool = False
    samples_min: int = 1
    meaning: str = "The share of this run's requests that were answered without an error in less than this time."

    def evaluate(self, observed: Observed, limit: Limit) -> Evaluation:
        n = len(observed.samples)
        passed = sum(sample.latency_s < self.time_s for sample in observed.answered) / n
        return Evaluation(
            outcome=Outcome.PASS if limit.excess(passed) <= 0 else Outcome.FAIL,
            n=n,
            measured=passed,
            limit=limit.value(),
        )
