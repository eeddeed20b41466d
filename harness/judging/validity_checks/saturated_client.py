"""A load generator without processor time to spare queues requests itself, and takes the queue for the system's.

In a closed loop on a target that lives in the generator's process, that processor time is the target's own work, and
nobody starts a request while it is busy: nothing is said of these.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from harness.judging.workers import named
from harness.quantities import share
from harness.record import PhaseRecord, RunRecord, WorkerRecord

BUSY_MAX: Final = 0.9
"""Of one processor's time. A queue that is served 90 % of the time is nine times as long as its service (M/M/1)."""


class SaturatedClient:
    of_timings_only = True
    meaning = (
        "The load generator used more than 90% of a processor for each of its processes; not in a closed loop on a "
        "target that lives in its process."
    )

    def objections(self, record: RunRecord) -> Iterator[str]:
        for variant in record.variants:
            for phase in variant.phases:
                if phase.loop == "closed" and variant.in_process:
                    continue
                for who, processes, part in _parts(phase):
                    cpu_s, elapsed_s = part.counters.get("timed_client_cpu_s"), part.ended_s - part.started_s
                    if cpu_s is None or elapsed_s < SHORTEST_S:
                        continue
                    busy = cpu_s / elapsed_s / processes
                    if busy > BUSY_MAX:
                        yield (
                            f"the load generator{who} was saturated in {phase.name} of {variant.name}, round "
                            f"{phase.round}: it was busy for {share(busy)} of the time. Lower the rate, or share it "
                            "among more workers"
                        )


def _parts(phase: PhaseRecord) -> Sequence[tuple[str, int, PhaseRecord | WorkerRecord]]:
    """Each worker by itself where there are several: one that is saturated measures itself."""
    return [(named(worker), 1, worker) for worker in phase.workers] or [("", phase.processes, phase)]


SHORTEST_S: Final = 1.0
"""Over less than a second, a processor that is busy for a moment says nothing."""
