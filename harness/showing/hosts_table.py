"""Says what each worker did where a load was shared: on which host, how much of it, how late, and by which clock."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from harness.judging.analysis.quantiles import quantile_of
from harness.judging.columns import Columns
from harness.quantities import ABSENT, count, duration, share
from harness.record import RunRecord, VariantRecord, WorkerRecord
from harness.showing.tables import Cell, Table, number_columns, printable, table_or_none, text_columns

NOTE: Final = (
    "A worker is a process that takes its starts from all over the phase. Lateness is by its own clock; busy is its "
    "processor time. Clock: how far its host's was set ahead of the coordinator's, which nothing is timed by, and by "
    "how much the place of its requests in windows is uncertain."
)


@dataclass(slots=True)
class WorkerPart:
    """One worker's part of a phase, all rounds together."""

    records: list[WorkerRecord] = field(default_factory=list[WorkerRecord])
    lateness_p99_s: float | None = None


def hosts_table(record: RunRecord) -> Table | None:
    """Nothing where one process sent all requests."""
    figures = number_columns("Requests", "Share", "Lateness p99", "Busy", "Stolen", "Clock ahead", "Uncertain")
    columns = (*text_columns("Variant", "Phase", "Host", "Worker"), *figures)
    return table_or_none("Hosts", columns, tuple(_rows(record)), NOTE)


def _rows(record: RunRecord) -> Iterable[tuple[Cell, ...]]:
    for variant in record.variants:
        for (phase, _), part in _parts(variant).items():
            of_all = sum(each.started for each in variant.phases if each.name == phase)
            yield Cell(printable(variant.name)), Cell(printable(phase)), *_cells(part, of_all)


def _parts(variant: VariantRecord) -> Mapping[tuple[str, int], WorkerPart]:
    parts: dict[tuple[str, int], WorkerPart] = {}
    for phase in variant.phases:
        for worker in phase.workers:
            parts.setdefault((phase.name, worker.worker), WorkerPart()).records.append(worker)
    scheduled = Columns.of(variant.samples if parts else ()).select(lambda traits: traits.scheduled)
    for (phase_name, number), requests in scheduled.groups(lambda traits: (traits.phase, traits.worker)).items():
        if number is not None and (phase_name, number) in parts:
            parts[phase_name, number].lateness_p99_s = quantile_of(requests.lateness_s, 0.99)
    return parts


def _cells(part: WorkerPart, of_all: int) -> Iterable[Cell]:
    records, last = part.records, part.records[-1]
    started = sum(each.started for each in records)
    yield Cell(printable(last.host))
    yield Cell(str(last.worker + 1))
    yield Cell(count(started))
    yield Cell(share(started / of_all) if of_all else ABSENT)
    yield Cell(ABSENT if part.lateness_p99_s is None else duration(part.lateness_p99_s))
    yield Cell(_ratio(records, "timed_client_cpu_s", sum(each.ended_s - each.started_s for each in records)))
    yield Cell(_ratio(records, "host_steal_s", sum(each.counters.get("host_cpu_s", 0.0) for each in records)))
    known = last.clock_ahead_s is not None
    yield Cell(duration(last.clock_ahead_s) if known else ABSENT)
    yield Cell(f"± {duration(max(each.clock_error_s for each in records))}" if known else ABSENT)


def _ratio(records: Sequence[WorkerRecord], counter: str, whole: float) -> str:
    if whole <= 0 or any(counter not in each.counters for each in records):
        return ABSENT
    return share(sum(each.counters[counter] for each in records) / whole)
