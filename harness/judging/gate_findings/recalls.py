"""Recall, where a search may miss something: what both sides find of what an exact one does."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from harness.judging.gate_findings.protocol import COPIES_MIN, GateFinding, PairView, is_of_one_user
from harness.judging.searches import is_approximate, recall_of, recalls_of, tells_complete
from harness.quantities import share
from harness.record import VariantRecord

RECALL_LOSS: Final = 0.03
"""By which share less may be found than at the base, since chance builds such an index."""
RECALL: Final = "recall, as a share"


@dataclass(frozen=True, slots=True)
class GateRecall:
    """Says what both sides find at a place of what an exact search does; None where nobody knows."""

    place: str
    """The size of the data."""
    operation: str
    """The operation that searches."""
    base: float | None
    """The base's share."""
    candidate: float | None
    """The candidate's share."""

    @property
    def sentence(self) -> str:
        return f"Recall of {self.operation}, {self.place}: {share(self.candidate)} ({share(self.base)} at the base)."


def recalls(view: PairView) -> Iterable[GateRecall]:
    """Where both ask far away, they find what they find at the same size nearby."""
    for operation, phases in view.by_operation().items():
        sides = view.base, view.candidate
        counted = any(is_of_one_user(pair[0]) for pair in phases) and len(phases) >= COPIES_MIN
        missing = any(is_approximate(side, operation) and not tells_complete(side, operation) for side in sides)
        known = any(recalls_of(side, operation) for side in sides) and not any(side.plans for side in sides)
        if counted and (missing or known):
            yield GateRecall(view.pair.place, operation, *(_recall(side, operation) for side in sides))


def _recall(side: VariantRecord, operation: str) -> float | None:
    """All where no plan of the side may miss anything, and it was held against nothing."""
    found = recall_of(side, operation)
    return 1.0 if found is None and side.plans and not is_approximate(side, operation) else found


def recalls_lost(view: PairView) -> Iterable[GateFinding]:
    for each in recalls(view):
        if each.base is not None and each.candidate is not None and abs(each.base - each.candidate) > RECALL_LOSS:
            is_worse = each.candidate < each.base
            sides = each.base, each.candidate
            yield GateFinding(each.place, each.operation, RECALL, "counted", *sides, is_worse=is_worse)
