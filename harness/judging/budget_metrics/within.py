"""within_200ms …: the share of the requests that were answered in this time, as a load test's checks count them."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from harness.judging.budget_metrics.protocol import Evaluation, Observed, Outcome, Scope, WhenTimed
from harness.judging.limits import Limit
from harness.quantities import Unit


@dataclass(frozen=True, slots=True)
class Within:
    time_s: float
    """The time that a request may take."""
    unit: Unit = "share"
    """In what it is shown."""
    kind: Literal["exact", "sampled"] = "exact"
    """Whether it is a fact about the run or an estimate."""
    subject: str | None = None
    """The only operation that may be named before it; None where any may."""
    scope: Scope = "requests"
    """From what it is computed."""
    timed: WhenTimed = "always"
    """When it depends on how fast the machine was."""
    ends_a_run: bool = False
    """Whether a run may end early when it fails."""
    samples_min: int = 1
    """How many requests it needs."""
    meaning: str = "The share of this run's requests that were answered without an error in less than this time."
    """What it measures, for people."""

    def evaluate(self, observed: Observed, limit: Limit) -> Evaluation:
        n = len(observed.samples)
        passed = int(np.sum(observed.answered.latency_s < self.time_s)) / n
        return Evaluation(
            outcome=Outcome.PASS if limit.excess(passed) <= 0 else Outcome.FAIL,
            n=n,
            measured=passed,
            limit=limit.value(),
        )
