"""A virtual machine whose processor is given to others stops without knowing it, in the middle of a request."""

from collections.abc import Iterator
from typing import Final

from harness.quantities import share
from harness.record import RunRecord

STEAL_MAX: Final = 0.05
"""Of the machine's processor time. A p95 is about the slowest twentieth: with as much stolen, all of it can be that."""


class StolenTime:
    of_timings_only = True
    meaning = "The hypervisor gave more than 5% of the machine's processor time to others while a variant was timed."

    def objections(self, record: RunRecord) -> Iterator[str]:
        for variant in record.variants:
            stolen_s = sum(phase.counters.get("host_steal_s", 0.0) for phase in variant.phases)
            all_s = sum(phase.counters.get("host_cpu_s", 0.0) for phase in variant.phases)
            if all_s and stolen_s / all_s > STEAL_MAX:
                yield (
                    f"{share(stolen_s / all_s)} of the processor time was stolen while {variant.name} was timed. Use a "
                    "machine with processors of its own, or another hour"
                )
