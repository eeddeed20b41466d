"""Says what a request cost in processor time: the load generator that asks, the service that answers, and its database.

Not for a target in the generator's own process, where nobody can tell the one from the other.
"""

from collections.abc import Iterable, Sequence

from harness.quantities import ABSENT, count, duration
from harness.record import PhaseRecord, RunRecord
from harness.showing.tables import Cell, Table, number_columns, printable, table_or_none, text_columns

COUNTERS = ("client_cpu_s", "service_cpu_s", "server_cpu_s")
NOTE = (
    "Of whole phases, background work included. Generator: what asking costs. Service: all processes of one that the "
    "run started. Database: all of the server's."
)


def processor_times_table(record: RunRecord) -> Table | None:
    columns = (*text_columns("Variant", "Phase"), *number_columns("Requests", "Generator", "Service", "Database"))
    return table_or_none("Processor time per request", columns, tuple(_rows(record)), NOTE)


def _rows(record: RunRecord) -> Iterable[tuple[Cell, ...]]:
    for variant in record.variants:
        names = dict.fromkeys(phase.name for phase in variant.phases) if not variant.in_process else ()
        for name in names:
            phases = [phase for phase in variant.phases if phase.name == name]
            if requests := sum(phase.started for phase in phases):
                costs = (_per_request(phases, counter, requests) for counter in COUNTERS)
                yield Cell(printable(variant.name)), Cell(printable(name)), Cell(count(requests)), *map(Cell, costs)


def _per_request(phases: Sequence[PhaseRecord], counter: str, requests: int) -> str:
    """Nothing of a counter that one round does not have."""
    if any(counter not in phase.counters for phase in phases):
        return ABSENT
    return duration(sum(phase.counters[counter] for phase in phases) / requests)
