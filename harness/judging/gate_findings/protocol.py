"""The seam of what a gate finds: both sides of a place in one round, and what is otherwise at the candidate."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from harness.judging.plan_differences import PlanSide
from harness.judging.waivers import Standing
from harness.record import PhaseRecord, VariantRecord

FindingKind = Literal["counted", "planned", "timed"]

COPIES_MIN: Final = 5


@dataclass(frozen=True, slots=True)
class GatePair:
    """The variants of one place."""

    place: str
    base: str
    candidate: str


WHOLE_SCENARIO: Final = "whole scenario"
"""The place of what is no phase of the gate's own."""


@dataclass(frozen=True, slots=True)
class GateFinding:
    """Says what is otherwise at the candidate.

    Times are milliseconds, sizes bytes; `detail` says where it comes from.
    """

    place: str
    """Where it was found: at a size of the data, or apart."""
    subject: str
    """The operation or statement."""
    counter: str
    """What is counted, in words."""
    kind: FindingKind
    """Whether it was counted, planned or timed."""
    before: float | None = None
    """What the base came to, for each request."""
    after: float | None = None
    """What the candidate came to."""
    detail: str = ""
    """The statements or the plan that it comes from; empty where nobody can tell."""
    is_worse: bool = True
    """Whether it fails the gate."""
    standing: Standing | None = None
    """What it is with its waiver; None without one."""

    @property
    def figure(self) -> str:
        """Names what is otherwise, wherever it was found: a latency of the whole scenario as comparisons do."""
        return f"{self.subject}{'.' if self.place == WHOLE_SCENARIO else ' '}{self.counter}"


@dataclass(frozen=True, slots=True)
class PairView:
    """Both sides of a place in one round."""

    pair: GatePair
    base: VariantRecord
    candidate: VariantRecord
    runs_client: bool
    """Whether the client's own process is what is measured."""
    polled_tables: frozenset[str]
    """What the target reads again and again by itself."""
    plans: tuple[PlanSide, PlanSide]
    """Of the base and of the candidate, in all rounds."""

    @property
    def phases(self) -> Iterable[tuple[PhaseRecord, PhaseRecord]]:
        """Of which both sides sent as many requests."""
        others = {each.name: each for each in self.candidate.phases}
        for phase in self.base.phases:
            other = others.get(phase.name)
            if other is not None and other.started == phase.started > 0:
                yield phase, other

    def by_operation(self) -> Mapping[str, list[tuple[PhaseRecord, PhaseRecord]]]:
        found: defaultdict[str, list[tuple[PhaseRecord, PhaseRecord]]] = defaultdict(list)
        for base, other in self.phases:
            found[base.workload].append((base, other))
        return found


def is_of_one_user(phase: PhaseRecord) -> bool:
    """Requests that run side by side take turns as they come."""
    return phase.users == 1


Finder = Callable[[PairView], Iterable[GateFinding]]
"""Yields what is otherwise at the candidate, worse or better."""
