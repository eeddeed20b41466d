"""wal_bytes_per_op, rows_per_op, client_cpu_ms_per_op …: what probes counted around whole phases, per request.

The background work that a phase leaves behind is in it, since its requests caused it. So it can be told of an operation
only where that had a phase to itself, which a scenario of somebody's own operations gives it; of a phase with several,
it is the cost of the mix.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.judging.budget_metrics.protocol import Evaluation, Observed, Outcome, Scope, WhenTimed
from harness.judging.limits import Limit
from harness.quantities import Unit
from harness.record import PhaseRecord


@dataclass(frozen=True, slots=True)
class PerOperation:
    """`counters` are added up, and `factor` brings them to the unit of the metric's name."""

    counters: tuple[str, ...]
    """The counters whose sum it is."""
    meaning: str
    """What it measures, for people."""
    factor: float = 1.0
    """What brings the counters to the unit of the metric's name."""
    unit: Unit = "amount"
    """In what it is shown."""
    kind: Literal["exact", "sampled"] = "exact"
    """Whether it is a fact about the run or an estimate."""
    subject: str | None = None
    """The only operation that may be named before it; None where any may."""
    scope: Scope = "phase"
    """Whether it is counted for a phase or for an operation."""
    timed: WhenTimed = "never"
    """When it depends on how fast the machine was."""
    ends_a_run: bool = False
    """Whether a run may end early when it fails."""
    samples_min: int = 1
    """How many requests it needs."""
    in_some: bool = False
    """Whether it is counted in some of an operation's phases only, and the others have nothing to say of it."""

    def evaluate(self, observed: Observed, limit: Limit) -> Evaluation:
        phases = self._phases(observed)
        requests = sum(phase.started for phase in phases)
        missing = self._missing(phases)
        if missing or not requests:
            return Evaluation(Outcome.INVALID, n=0, reason=missing or "no phase was its own, or came to its end")
        counted = sum(phase.counters[counter] for phase in phases for counter in self.counters)
        measured = self.factor * counted / requests
        return Evaluation(
            outcome=Outcome.PASS if limit.excess(measured) <= 0 else Outcome.FAIL,
            n=requests,
            measured=measured,
            limit=limit.value(),
        )

    def _phases(self, observed: Observed) -> Sequence[PhaseRecord]:
        if not self.in_some:
            return observed.phases
        said = [phase for phase in observed.phases if {*phase.counters, *phase.uncounted}.issuperset(self.counters)]
        return said or observed.phases

    def _missing(self, phases: Sequence[PhaseRecord]) -> str:
        for phase in phases:
            for counter in self.counters:
                if counter not in phase.counters:
                    why = phase.uncounted.get(counter, "the run's harness had no probe for it")
                    return f"{counter} was not counted: {why}"
        return ""
