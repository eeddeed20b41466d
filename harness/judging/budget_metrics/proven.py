"""proven: the share of requests whose search was proven complete without ranking everything."""

from typing import Literal

from harness.judging.budget_metrics.protocol import Evaluation, Observed, Outcome, Scope, WhenTimed
from harness.judging.limits import Limit
from harness.quantities import Unit


class Proven:
    unit: Unit = "share"
    kind: Literal["exact", "sampled"] = "exact"
    subject: str | None = None
    scope: Scope = "requests"
    timed: WhenTimed = "never"
    ends_a_run: bool = False
    samples_min: int = 1
    meaning = "The share of this run's searches that an index proved complete, or that needed no index."

    def evaluate(self, observed: Observed, limit: Limit) -> Evaluation:
        proven = observed.answered.tally_by(lambda traits: traits.proven)
        n = proven.get(True, 0) + proven.get(False, 0)
        if not n:
            return Evaluation(Outcome.INVALID, n=0, reason="the target did not say whether its searches were proven")
        share = proven.get(True, 0) / n
        return Evaluation(
            outcome=Outcome.PASS if limit.excess(share) <= 0 else Outcome.FAIL,
            n=n,
            measured=share,
            limit=limit.value(),
        )
