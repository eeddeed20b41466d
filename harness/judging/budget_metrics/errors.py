"""errors: the share of this run's requests that failed."""

from typing import Literal

from harness.judging.analysis.dependence import share_design_effect
from harness.judging.analysis.shares import exceeds
from harness.judging.budget_metrics.protocol import Evaluation, Observed, Outcome, Scope, WhenTimed
from harness.judging.limits import Limit
from harness.quantities import Unit


class Errors:
    unit: Unit = "share"
    kind: Literal["exact", "sampled"] = "exact"
    subject: str | None = None
    scope: Scope = "requests"
    timed: WhenTimed = "if failed"
    ends_a_run: bool = True
    samples_min: int = 1
    meaning = "The share of this run's requests that failed."

    def evaluate(self, observed: Observed, limit: Limit) -> Evaluation:
        n = len(observed.samples)
        failed = (n - len(observed.answered)) / n
        holds = limit.excess(failed) <= 0
        if not observed.run_is_over:
            # The share of a part is an estimate of the whole's.
            effect = share_design_effect(observed.passes(observed.requests.failed))
            holds = not exceeds(
                n - len(observed.answered), n, limit.value(), observed.fail_confidence, design_effect=effect
            )
        return Evaluation(
            outcome=Outcome.PASS if holds else Outcome.FAIL,
            n=n,
            measured=failed,
            limit=limit.value(),
        )
