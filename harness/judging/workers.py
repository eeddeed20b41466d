"""Says which worker is meant, where several shared a load: a reader has to find the host."""

from harness.record import VariantRecord, WorkerRecord


def worker_named(variant: VariantRecord, worker: int | None) -> str:
    """` of worker 2 on 10.0.0.7`; nothing where there was one alone."""
    if worker is None:
        return ""
    known = (each for phase in variant.phases for each in phase.workers if each.worker == worker)
    return named(found) if (found := next(known, None)) else f" of worker {worker + 1}"


def named(worker: WorkerRecord) -> str:
    return f" of worker {worker.worker + 1} on {worker.host}"
