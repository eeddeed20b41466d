"""query.recall: what an approximate search found of that which an exact one returns, by the operation that searches.

On as many queries as the scenario's `recall_queries` says, after the timed pass and on the database as it is then.
"""

from statistics import fmean
from typing import Literal

from harness.judging.budget_metrics.protocol import Evaluation, Observed, Outcome, Scope, WhenTimed
from harness.judging.limits import Limit
from harness.judging.searches import recalls_of
from harness.quantities import Unit


class RecallMetric:
    unit: Unit = "share"
    kind: Literal["exact", "sampled"] = "exact"
    subject: str | None = None
    scope: Scope = "variant"
    timed: WhenTimed = "never"
    ends_a_run: bool = False
    samples_min: int = 1
    meaning = "The share of exact search's results that the variant's search found, averaged over the sampled queries."

    def evaluate(self, observed: Observed, limit: Limit) -> Evaluation:
        recalls = recalls_of(observed.variant, observed.subject)
        if not recalls:
            return Evaluation(
                Outcome.INVALID, n=0, reason=f"the target did not search exactly as well as by {observed.subject}"
            )
        recall = fmean(recalls)
        return Evaluation(
            outcome=Outcome.PASS if limit.excess(recall) <= 0 else Outcome.FAIL,
            n=len(recalls),
            measured=recall,
            limit=limit.value(),
        )
