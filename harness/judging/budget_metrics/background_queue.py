"""background_queued_at_end, background_queued_growth, background_drain: whether work after responses keeps up.

A variant that only puts work off is not faster. Of several phases, or rounds of one, the worst counts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from harness.judging.budget_metrics.protocol import Evaluation, Observed, Outcome, Scope, WhenTimed
from harness.judging.limits import Limit
from harness.quantities import Unit
from harness.record import PhaseRecord

QUEUED: Final = "background_queued"


def queued_at_end(phase: PhaseRecord) -> float | None:
    queued = phase.levels.values.get(QUEUED) if phase.levels else None
    return queued[-1] if queued else None


def queued_growth_per_s(phase: PhaseRecord) -> float | None:
    queued = phase.levels.values.get(QUEUED) if phase.levels else None
    elapsed_s = phase.ended_s - phase.started_s
    return (queued[-1] - queued[0]) / elapsed_s if queued and elapsed_s > 0 else None


def drain_s(phase: PhaseRecord) -> float | None:
    return phase.drain_s


@dataclass(frozen=True, slots=True)
class BackgroundQueue:
    """One figure of the work that a phase put off, the worst of the phases that are judged together."""

    read: Callable[[PhaseRecord], float | None]
    """The figure of one phase; None for a phase that does not say it."""
    unit: Unit
    """In what it is shown."""
    meaning: str
    """What it measures, for people."""
    kind: Literal["exact", "sampled"] = "exact"
    """Whether it is a fact about the run or an estimate."""
    subject: str | None = None
    """The only operation that may be named before it; None where any may."""
    scope: Scope = "phase"
    """Whether it is counted for a phase or for an operation."""
    timed: WhenTimed = "always"
    """When it depends on how fast the machine was."""
    ends_a_run: bool = False
    """Whether a run may end early when it fails."""
    samples_min: int = 1
    """How many requests it needs."""

    def evaluate(self, observed: Observed, limit: Limit) -> Evaluation:
        read = [self.read(phase) for phase in observed.phases]
        known = [value for value in read if value is not None]
        if not known or len(known) < len(read):
            return Evaluation(
                Outcome.INVALID, n=0, reason="the target, or one of several workers, does not tell its background queue"
            )
        measured = max(known)
        return Evaluation(
            outcome=Outcome.PASS if limit.excess(measured) <= 0 else Outcome.FAIL,
            n=sum(phase.started for phase in observed.phases),
            measured=measured,
            limit=limit.value(),
        )
