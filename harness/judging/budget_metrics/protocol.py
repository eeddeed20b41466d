"""The seam between a budget and what it names: one family of metrics, and how its value is judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Final, Literal, Protocol

from numpy.typing import NDArray

from harness.errors import ExitCode
from harness.judging.analysis.quantiles import CONFIDENCE, Decision
from harness.judging.analysis.sequential import confidence_at
from harness.judging.columns import Columns
from harness.judging.limits import Limit
from harness.quantities import Unit
from harness.record import PhaseRecord, VariantRecord
from harness.samples import Sample

Scope = Literal["requests", "phase", "variant", "statement"]
"""What a metric is computed from: each request by itself, counters around whole phases, or something of the variant."""


WhenTimed = Literal["never", "if failed", "always"]
"""That no request failed is so whatever the clock did; that many did may come of what spoiled the timings."""


class Outcome(StrEnum):
    """PASS and FAIL are stated with confidence; UNDECIDED needs more samples; INVALID cannot be judged at all.

    WAIVED is a FAIL of a part that its owner accepts for some time; what else holds is then a PASS_WITH_WAIVERS.
    """

    PASS = "PASS"  # noqa: S105 -- an outcome, not a password.
    FAIL = "FAIL"
    UNDECIDED = "UNDECIDED"
    INVALID = "INVALID"
    WAIVED = "WAIVED"
    PASS_WITH_WAIVERS = "PASS WITH WAIVERS"  # noqa: S105 -- as above

    @property
    def exit_code(self) -> ExitCode:
        if self in {Outcome.WAIVED, Outcome.PASS_WITH_WAIVERS}:
            return ExitCode.PASS
        return ExitCode[self.name]


OUTCOMES: Final[Mapping[Decision, Outcome]] = {
    "within": Outcome.PASS,
    "over": Outcome.FAIL,
    "undecided": Outcome.UNDECIDED,
}


@dataclass(frozen=True)
class Observed:
    """Says what a budget selects from a record: samples, the phases they belong to, and their variant."""

    variant: VariantRecord
    """The variant that is judged."""
    samples: Sequence[Sample]
    """The selected requests."""
    looks: tuple[int, ...] = ()
    """How many of these samples there were at each time the run was looked at to see whether it may end, the last time
    with all of them; empty where there is only one look. An estimate's risk of being wrong is shared by them.
    """
    risk_share: float = 1.0
    """What part of the risk a FAIL may use: less where it is one of many any of which would fail the budget."""
    risk: float = 1 - CONFIDENCE
    """The risk of being wrong, of all looks together."""
    run_is_over: bool = True
    """Whether no further request will come."""
    phases: tuple[PhaseRecord, ...] = ()
    """The phases that are the subject's own."""
    elapsed_s: float = 0.0
    """How long the phases, stages or windows took."""
    subject: str = ""
    """What the budget names: an operation, a phase, or the statement whose plan is asked for."""

    @cached_property
    def requests(self) -> Columns:
        """The samples as arrays."""
        return Columns.of(self.samples)

    @property
    def answered(self) -> Columns:
        return self.requests.answered

    def passes(self, values: NDArray[Any]) -> Sequence[Sequence[NDArray[Any]]]:
        """Of each request its value, by its start, pass by pass; those of one phase, and stage of it, together."""
        return [[values[places] for places in kind] for kind in self.requests.passes]

    @property
    def confidence(self) -> float:
        """Of a test at this look that knows nothing of the looks before it."""
        return confidence_at(len(self.looks), 1 - self.risk) if self.looks else 1 - self.risk

    @property
    def fail_confidence(self) -> float:
        return 1 - (1 - self.confidence) * self.risk_share

    @property
    def confidence_next(self) -> float:
        """Of such a test at the next look; of a longer run's only one where there are not to be several."""
        return confidence_at(len(self.looks) + 1, 1 - self.risk) if self.looks else 1 - self.risk


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Says what a budget comes to for one variant. Values are seconds, ratios or counts, as the metric's unit is."""

    outcome: Outcome
    """Whether the budget holds."""
    n: int
    """How many requests the value was computed from."""
    n_effective: int | None = None
    """As how many independent requests these count; None where it is as many."""
    measured: float | None = None
    """The measured value; None where there is none."""
    limit: float | None = None
    """What it is held to; None where the limit depends on each request."""
    lower: float | None = None
    """A one-sided 95 % confidence bound below a sampled value, over all looks; None of an exact one."""
    upper: float | None = None
    """A one-sided 95 % confidence bound above a sampled value, over all looks; None of an exact one."""
    further_samples: int | None = None
    """How many more requests might decide it; None where that is not known."""
    n_later: int = 0
    """How many requests there were in the end, where the first `n` of them decided; else 0."""
    reason: str = ""
    """Why there is no verdict, or which request is meant; empty where nothing has to be said."""
    where: str = ""
    """Which window is meant; empty where the whole phase is."""
    finding: str = ""
    """A sentence on what is no number; empty without."""
    warning: str = ""
    """A sentence on what the outcome does not show; empty without."""


class BudgetMetric(Protocol):
    """Says what a budget can name. An implementation is stateless.

    `exact` values are facts about this run and are compared as they are; `sampled` ones are estimates, and pass or fail
    only with confidence.
    """

    @property
    def unit(self) -> Unit:
        """In what it is shown."""
        ...

    @property
    def kind(self) -> Literal["exact", "sampled"]:
        """Says whether it is a fact about the run or an estimate."""
        ...

    @property
    def subject(self) -> str | None:
        """The only operation that may be named before it; None where any may."""
        ...

    @property
    def scope(self) -> Scope:
        """From what it is computed."""
        ...

    @property
    def timed(self) -> WhenTimed:
        """When the value may be owed to how fast the machine was, as a count of statements never is."""
        ...

    @property
    def ends_a_run(self) -> bool:
        """Says whether a FAIL on the first part of a run stays one, so that the rest need not be measured."""
        ...

    @property
    def samples_min(self) -> int:
        """With fewer it cannot PASS."""
        ...

    @property
    def meaning(self) -> str:
        """One sentence for the manual and for reports."""
        ...

    def evaluate(self, observed: Observed, limit: Limit) -> Evaluation:
        """Judges what was observed; where requests are what it is about, at least one was answered."""
        ...
