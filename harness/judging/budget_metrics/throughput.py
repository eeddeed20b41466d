"""throughput: the answered requests of a second of the timed pass, as they were in this run.

In a closed loop it says how fast the system answered its users; in an open one, whether it kept up with the rate.
"""

from typing import Literal

from harness.judging.budget_metrics.protocol import Evaluation, Observed, Outcome, Scope, WhenTimed
from harness.judging.limits import Limit
from harness.quantities import Unit


class Throughput:
    unit: Unit = "rate"
    kind: Literal["exact", "sampled"] = "exact"
    subject: str | None = None
    scope: Scope = "requests"
    timed: WhenTimed = "always"
    ends_a_run: bool = False
    samples_min: int = 1
    meaning = "The answered requests of each second that their phases took."

    def evaluate(self, observed: Observed, limit: Limit) -> Evaluation:
        if observed.elapsed_s <= 0:
            return Evaluation(Outcome.INVALID, n=0, reason="the requests took no time that could be measured")
        rate_per_s = len(observed.answered) / observed.elapsed_s
        return Evaluation(
            outcome=Outcome.PASS if limit.excess(rate_per_s) <= 0 else Outcome.FAIL,
            n=len(observed.answered),
            measured=rate_per_s,
            limit=limit.value(),
        )
