"""Says what a scenario's phases can be named after: an operation, or a mix of them."""

from typing import Final

from harness.measuring.targets.anima.workloads.mix import mix
from harness.measuring.targets.anima.workloads.operations import Only
from harness.measuring.targets.anima.workloads.protocol import OperationOrder, WorkloadSettings

__all__ = ["WORKLOADS", "WorkloadSettings"]

WORKLOADS: Final[dict[str, OperationOrder]] = {
    "add": Only("add"),
    "query": Only("query"),
    "bootstrap": Only("bootstrap"),
    "mix": mix,
}
