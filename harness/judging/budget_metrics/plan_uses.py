"""query.search.plan uses hnsw: how the server plans a statement, asked before the timed pass.

What it has to use is an index by its name, or any index of a kind (`hnsw`, `btree`, as CREATE INDEX … USING has it).

With the values of the statement's first execution while warming up, on the variant's own database. It does not depend
on how busy the machine is; on the size of the tables and the server's settings it does.
"""

from typing import Literal

from harness.judging.budget_metrics.protocol import Evaluation, Observed, Outcome, Scope, WhenTimed
from harness.judging.limits import Limit
from harness.quantities import Unit
from harness.record import PlanRecord


class PlanUses:
    unit: Unit = "index"
    kind: Literal["exact", "sampled"] = "exact"
    subject: str | None = None
    scope: Scope = "statement"
    timed: WhenTimed = "never"
    ends_a_run: bool = False
    samples_min: int = 1
    meaning = "The index, or kind of index, that a statement's plan uses; before the dot stands the statement's name."

    def evaluate(self, observed: Observed, limit: Limit) -> Evaluation:
        plans = {plan.statement: plan for plan in observed.variant.plans}
        plan = plans.get(observed.subject)
        if plan is None:
            known = ", ".join(sorted(plans)) or "none, since neither the target nor the server tells them"
            return Evaluation(
                Outcome.INVALID,
                n=0,
                reason=f"no statement {observed.subject} was executed while warming up. Those that were: {known}",
            )
        outcome = Outcome.PASS if limit.text in {*plan.indexes, *plan.access_methods} else Outcome.FAIL
        return Evaluation(outcome, n=1, finding=_finding(plan))


def _finding(plan: PlanRecord) -> str:
    kinds = f" ({', '.join(sorted(plan.access_methods))})" if plan.access_methods else ""
    used = f"uses {', '.join(plan.indexes)}{kinds}" if plan.indexes else "uses no index"
    scanned = f", and reads every row of {', '.join(plan.scans)}" if plan.scans else ""
    return f"It {used}{scanned}."
