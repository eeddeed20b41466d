"""A weighted mix. One draw decides each request, so the shares are the stated ones."""

from collections.abc import Iterator

from harness.measuring.draws import Draws, Weights
from harness.measuring.targets.anima.workloads.protocol import OPERATIONS, OperationName, WorkloadSettings


def mix(settings: WorkloadSettings, draws: Draws) -> Iterator[OperationName]:
    weights = Weights([getattr(settings.mix, operation) for operation in OPERATIONS])
    while True:
        yield OPERATIONS[weights.index(draws)]
