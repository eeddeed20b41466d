"""A worker whose parts do not add up has lost something on its way, and nobody can say which requests those were."""

from collections.abc import Iterator

from harness.judging.columns import Columns
from harness.quantities import count
from harness.record import RunRecord, WorkerRecord


class LostSamples:
    of_timings_only = False
    meaning = (
        "Of several workers, one started and dropped another number of requests than were planned for it in an open "
        "loop, or sent another number of samples than it had started requests."
    )

    def objections(self, record: RunRecord) -> Iterator[str]:
        for variant in record.variants:
            timed = Columns.of(variant.samples).tally_by(lambda traits: traits.phase)
            for phase in variant.phases:
                for worker in phase.workers:
                    if difference := _difference(worker, is_timed=phase.name in timed):
                        yield (
                            f"worker {worker.worker + 1} on {worker.host} {difference} in {phase.name} of "
                            f"{variant.name}, round {phase.round}. Run it again, and see to that host"
                        )


def _difference(worker: WorkerRecord, *, is_timed: bool) -> str:
    accounted = worker.started + worker.dropped
    if worker.planned is not None and worker.planned != accounted:
        return f"was to start {count(worker.planned)} requests, and started or dropped {count(accounted)}"
    if is_timed and worker.received != worker.started:
        return f"started {count(worker.started)} requests, and {count(worker.received)} samples have come from it"
    return ""
