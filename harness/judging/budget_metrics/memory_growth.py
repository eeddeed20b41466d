"""client_growth_bytes_per_op, service_growth_bytes_per_op: what each request leaves in memory, at most in any phase."""

from dataclasses import dataclass
from typing import Final, Literal

from harness.judging.analysis.growth import steady_growth
from harness.judging.budget_metrics.protocol import Evaluation, Observed, Outcome, Scope, WhenTimed
from harness.judging.limits import Limit
from harness.quantities import Unit
from harness.record import LevelsRecord, PhaseRecord

REQUESTS: Final = "requests"
TOO_FEW: Final = "the phase was too short to see memory grow: give it a second or more"


@dataclass(frozen=True, slots=True)
class MemoryGrowth:
    """`level` is what was read of a process while the phase went on."""

    level: str
    """The level that was read now and then."""
    meaning: str
    """What it measures, for people."""
    untold: str
    """Why it was not read, where it was not."""
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
        if not observed.phases:
            return Evaluation(Outcome.INVALID, n=0, reason="no phase was its own, or came to its end")
        if any(levels_of(phase, self.level) is None for phase in observed.phases):
            return Evaluation(Outcome.INVALID, n=0, reason=self.untold)
        known = [growth for phase in observed.phases if (growth := growth_per_request(phase, self.level)) is not None]
        if len(known) < len(observed.phases):
            return Evaluation(Outcome.INVALID, n=0, reason=TOO_FEW)
        measured = max(known)
        return Evaluation(
            outcome=Outcome.PASS if limit.excess(measured) <= 0 else Outcome.FAIL,
            n=sum(phase.started for phase in observed.phases),
            measured=measured,
            limit=limit.value(),
        )


def growth_per_request(phase: PhaseRecord, level: str) -> float | None:
    """In bytes; None where it was not read, or not often enough."""
    levels = levels_of(phase, level)
    if levels is None or not phase.started:
        return None
    # Who asks a service from another process does not see how many requests it had by then.
    at = levels.values.get(REQUESTS, levels.at_s)
    growth = steady_growth(at, levels.values[level])
    requests = at[-1] - at[0] if REQUESTS in levels.values else phase.started
    return growth / requests if growth is not None and requests else None


def levels_of(phase: PhaseRecord, level: str) -> LevelsRecord | None:
    """Holds its readings; None where there are none."""
    return next((each for each in phase.memory if level in each.values), None)
