"""A virtual machine whose processor is given to others stops without knowing it, in the middle of a request."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from harness.quantities import share
from harness.record import RunRecord, VariantRecord

STEAL_MAX: Final = 0.05
"""Of the machine's processor time. A p95 is about the slowest twentieth: with as much stolen, all of it can be that."""


class StolenTime:
    of_timings_only = True
    meaning = "The hypervisor gave more than 5% of the machine's processor time to others while a variant was timed."

    def objections(self, record: RunRecord) -> Iterator[str]:
        for variant in record.variants:
            for where, counters in _machines(variant):
                stolen_s = sum(each.get("host_steal_s", 0.0) for each in counters)
                all_s = sum(each.get("host_cpu_s", 0.0) for each in counters)
                if all_s and stolen_s / all_s > STEAL_MAX:
                    yield (
                        f"{share(stolen_s / all_s)} of the processor time{where} was stolen while {variant.name} was "
                        "timed. Use a machine with processors of its own, or another hour"
                    )


def _machines(variant: VariantRecord) -> Iterator[tuple[str, Sequence[Mapping[str, float]]]]:
    """This one, and each host that a worker counted on."""
    yield "", [phase.counters for phase in variant.phases]
    workers = [worker for phase in variant.phases for worker in phase.workers if worker.clock_ahead_s is not None]
    for host in dict.fromkeys(worker.host for worker in workers):
        yield f" of {host}", [worker.counters for worker in workers if worker.host == host]
