"""Says which processes keep memory for every request that they answer: a finding, also where no budget asks for it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from harness.judging.budget_metrics import METRICS
from harness.judging.budget_metrics.memory_growth import MemoryGrowth, growth_per_request
from harness.record import RunRecord

PER_REQUEST_MIN_BYTES: Final = 200
REQUESTS_MIN: Final = 1_000
"""In a phase: with fewer a cache, which keeps something of each request until it is full, looks like a leak."""


@dataclass(frozen=True, slots=True)
class MemoryLeak:
    """Steady growth in one phase, the worst of its rounds."""

    variant: str
    """The variant's name."""
    phase: str
    """The phase's name."""
    metric: str
    """The metric by which a budget can be held to it."""
    bytes_per_request: float
    """What each request leaves."""
    requests: int
    """How many requests the phase had."""


def memory_leaks(record: RunRecord) -> Iterator[MemoryLeak]:
    """Those that show in every round of a phase."""
    for variant in record.variants:
        for phase in dict.fromkeys(each.name for each in variant.phases):
            rounds = [each for each in variant.phases if each.name == phase]
            for name, metric in METRICS.items():
                if isinstance(metric, MemoryGrowth):
                    growths = [growth_per_request(each, metric.level) or 0.0 for each in rounds]
                    least, requests = min(growths), min(each.started for each in rounds)
                    if least >= PER_REQUEST_MIN_BYTES and requests >= REQUESTS_MIN:
                        yield MemoryLeak(variant.name, phase, name, max(growths), requests)
