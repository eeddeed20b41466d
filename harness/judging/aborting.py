"""Ends a run as soon as a budget that says `abort` has failed for sure: the rest would cost time and change nothing."""

from collections.abc import Collection, Sequence
from typing import Final, Self

from harness.errors import Aborted
from harness.judging.analysis import ready
from harness.judging.budgets import Budget, parse
from harness.judging.declaration import Declaration
from harness.judging.evaluation import fails_already
from harness.record import VariantRecord
from harness.samples import Sample

LOOK_INTERVAL_S: Final = 2.0
GROWTH_MIN: Final = 1.1
"""Between two looks. Each is another chance to be wrong, and takes time from the requests that are measured."""


class AbortWatch:
    """Receives each sample as it is taken, and raises `Aborted`, which names the budget.

    The looks share the risk of a wrong FAIL: the k-th takes 1 / (k (k + 1)) of it, and all together no more than one.
    """

    def __init__(self, budgets: Sequence[Budget], candidate: str) -> None:
        self._watched = [_Watched(budget, budget.variant or candidate) for budget in budgets if budget.aborts]

    @classmethod
    def of(cls, declared: Declaration, waived: Collection[str] = ()) -> Self:
        """Of the budgets that are not waived: the run is to show how those stand."""
        # It is imported at its first use, and that must not be while a request is measured.
        ready()
        budgets = [parse(text) for text in declared.budgets]
        return cls([each for each in budgets if str(each) not in waived], declared.candidate or "")

    def __call__(self, variant: str, sample: Sample) -> None:
        for watched in self._watched:
            if watched.variant == variant:
                watched.take(sample)


class _Watched:
    """One budget, the samples of its variant, and when it was looked at last."""

    def __init__(self, budget: Budget, variant: str) -> None:
        self.variant = variant
        self._budget = budget
        self._samples: list[Sample] = []
        self._looks = 0
        self._size = 0
        self._looked: tuple[int, float] = (0, 0.0)

    def take(self, sample: Sample) -> None:
        self._samples.append(sample)
        self._size += self._budget.selects(sample)
        if self._is_due(sample):
            self._looks += 1
            self._looked = (self._size, sample.ended_s)
            self._look()

    def _is_due(self, sample: Sample) -> bool:
        assert self._budget.abort_after_s is not None, "only those that abort are watched"
        size, at_s = self._looked
        # The clock of samples begins anew with each round.
        waited = sample.ended_s < at_s or sample.ended_s - at_s >= LOOK_INTERVAL_S
        return waited and sample.ended_s >= self._budget.abort_after_s and self._size > size * GROWTH_MIN

    def _look(self) -> None:
        # Not validated again: a look takes time from the requests that are measured.
        seen = VariantRecord.model_construct(name=self.variant, samples=tuple(self._samples))
        if fails_already(self._budget, seen, 1 / (self._looks * (self._looks + 1))):
            raise Aborted(str(self._budget))
