"""pool.refusals: requests that failed since no connection to the database became free in time."""

from typing import Final, Literal

from harness.judging.budget_metrics.protocol import Evaluation, Observed, Outcome, Scope, WhenTimed
from harness.judging.columns import Columns
from harness.judging.limits import Limit
from harness.quantities import Unit

REFUSALS: Final = frozenset({"DatabaseBusy", "503 DATABASE_BUSY"})
"""As a target in this process and one over HTTP call it."""


class PoolRefusals:
    unit: Unit = "count"
    kind: Literal["exact", "sampled"] = "exact"
    subject: str | None = "pool"
    scope: Scope = "variant"
    timed: WhenTimed = "if failed"
    ends_a_run: bool = False
    samples_min: int = 1
    meaning = "How many requests failed since no connection to the database became free in time."

    def evaluate(self, observed: Observed, limit: Limit) -> Evaluation:
        kinds = Columns.of(observed.variant.samples).tally_by(lambda traits: traits.error)
        errors = sum(kinds.get(kind, 0) for kind in REFUSALS)
        return Evaluation(
            outcome=Outcome.PASS if limit.excess(errors) <= 0 else Outcome.FAIL,
            n=len(observed.variant.samples),
            measured=errors,
            limit=limit.value(),
        )
