"""service_rss_bytes, client_rss_bytes: how much memory a process has when a phase is over, at most in any round."""

from dataclasses import dataclass
from typing import Literal

from harness.judging.budget_metrics.protocol import Evaluation, Observed, Outcome, Scope, WhenTimed
from harness.judging.limits import Limit
from harness.quantities import Unit


@dataclass(frozen=True, slots=True)
class ResidentMemory:
    """`counter` is what a probe read at the end of each phase."""

    counter: str
    """The level of a probe."""
    meaning: str
    """What it measures, for people."""
    unit: Unit = "amount"
    """In what it is shown."""
    kind: Literal["exact", "sampled"] = "exact"
    """Whether it is a fact about the run or an estimate."""
    subject: str | None = None
    """The only operation that may be named before it; None where any may."""
    scope: Scope = "phase"
    """Whether it is read for a phase or for an operation."""
    timed: WhenTimed = "never"
    """When it depends on how fast the machine was."""
    ends_a_run: bool = False
    """Whether a run may end early when it fails."""
    samples_min: int = 1
    """How many requests it needs."""

    def evaluate(self, observed: Observed, limit: Limit) -> Evaluation:
        read = [phase.counters[self.counter] for phase in observed.phases if self.counter in phase.counters]
        if not read or len(read) < len(observed.phases):
            untold = (phase.uncounted.get(self.counter) for phase in observed.phases)
            why = next(filter(None, untold), "no phase was its own, or the run's harness had no probe for it")
            return Evaluation(Outcome.INVALID, n=0, reason=f"{self.counter} was not read: {why}")
        measured = max(read)
        return Evaluation(
            outcome=Outcome.PASS if limit.excess(measured) <= 0 else Outcome.FAIL,
            n=sum(phase.started for phase in observed.phases),
            measured=measured,
            limit=limit.value(),
        )
