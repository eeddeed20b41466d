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
    """`read` gives None for a phase that does not say it."""

    read: Callable[[PhaseRecord], float | None]
    unit: Unit
    meaning: str
    kind: Literal["exact", "sampled"] = "exact"
    subject: str | None = None
    scope: Scope = "phase"
    timed: WhenTimed = "always"
    ends_a_run: bool = False
    samples_min: int = 1

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
