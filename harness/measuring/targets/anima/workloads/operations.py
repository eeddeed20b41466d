"""One operation, over and over."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import repeat

from harness.measuring.draws import Draws
from harness.measuring.targets.anima.workloads.protocol import OperationName, WorkloadSettings


@dataclass(frozen=True, slots=True)
class Only:
    operation: OperationName

    def __call__(self, settings: WorkloadSettings, draws: Draws) -> Iterator[OperationName]:
        del settings, draws
        return repeat(self.operation)
