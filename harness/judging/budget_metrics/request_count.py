"""statements, round_trips, rows: what one answered request cost, held to the limit by every one of them.

The limit may be a law in what that request returned, so the value reported is the one that lies nearest to its own
limit, or furthest over it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from harness.judging.budget_metrics.protocol import Evaluation, Observed, Outcome, Scope, WhenTimed
from harness.judging.limits import Limit
from harness.quantities import Unit
from harness.samples import Traits

SERVER_COUNTS: Final = ("statements", "rows")
"""What the server counts of any target, around whole phases."""


@dataclass(frozen=True, slots=True)
class RequestCount:
    counted: Literal["statements", "round_trips", "rows"]
    """Which count of each request is meant."""
    meaning: str
    """What it measures, for people."""
    unit: Unit = "count"
    """In what it is shown."""
    kind: Literal["exact", "sampled"] = "exact"
    """Whether it is a fact about the run or an estimate."""
    subject: str | None = None
    """The only operation that may be named before it; None where any may."""
    scope: Scope = "requests"
    """From what it is computed."""
    timed: WhenTimed = "never"
    """When it depends on how fast the machine was."""
    ends_a_run: bool = True
    """Whether a run may end early when it fails."""
    samples_min: int = 1
    """How many requests it needs."""

    def evaluate(self, observed: Observed, limit: Limit) -> Evaluation:
        answered = observed.answered.tally()
        if any(getattr(each, self.counted) is None for each in answered):
            instead = f"; the server does for {self.counted}_per_op" if self.counted in SERVER_COUNTS else ""
            return Evaluation(Outcome.INVALID, n=0, reason=f"the target did not count {self.counted}{instead}")
        if not all(limit.variables <= _variables(each).keys() for each in answered):
            return Evaluation(
                Outcome.INVALID, n=0, reason=f"the target did not say {', '.join(sorted(limit.variables))}"
            )
        worst = max(answered, key=lambda each: limit.excess(getattr(each, self.counted), _variables(each)))
        measured, variables = int(getattr(worst, self.counted)), _variables(worst)
        return Evaluation(
            outcome=Outcome.PASS if limit.excess(measured, variables) <= 0 else Outcome.FAIL,
            n=len(observed.answered),
            measured=measured,
            limit=limit.value(variables),
            reason=", ".join(f"{name} = {variables[name]}" for name in sorted(limit.variables)),
            warning=_constant(answered) if "n" in limit.variables else "",
        )


def _constant(answered: Iterable[Traits]) -> str:
    """A law that was asked at one point only says nothing about how the count grows."""
    sizes = {traits.results for traits in answered}
    if len(sizes) > 1:
        return ""
    return (
        f"Every request had n = {sizes.pop()}, and a constant hides a loop: ask for several n, as with "
        "limit = [1, 20, 100] in [workload.query]."
    )


def _variables(traits: Traits) -> dict[str, int]:
    """What `harness.judging.limits.VARIABLES` names, as far as the target said it."""
    return {
        name: value for name, value in (("n", traits.results), ("promotions", traits.promotions)) if value is not None
    }
