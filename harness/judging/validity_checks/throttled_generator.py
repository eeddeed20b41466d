"""A container's processor limit stops the load generator in the middle of a request, and with it what it measures."""

from collections.abc import Iterator
from typing import Final

from harness.quantities import share
from harness.record import RunRecord

THROTTLED_MAX: Final = 0.05
"""Of the quota's periods. A p95 is about the slowest twentieth: with as many throttled, all of it can be that."""


class ThrottledGenerator:
    of_timings_only = True
    meaning = (
        "A processor quota, such as a container's limit, stopped the load generator in more than 5% of its periods "
        "while a variant was timed."
    )

    def objections(self, record: RunRecord) -> Iterator[str]:
        for variant in record.variants:
            throttled = sum(phase.counters.get("cpu_quota_throttled_periods", 0.0) for phase in variant.phases)
            periods = sum(phase.counters.get("cpu_quota_periods", 0.0) for phase in variant.phases)
            if periods and throttled / periods > THROTTLED_MAX:
                yield (
                    f"a processor quota stopped the load generator in {share(throttled / periods)} of its periods "
                    f"while {variant.name} was timed. Raise the processor limit of its container or control group"
                )
