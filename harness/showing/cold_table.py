"""Requests with a cold cache beside the same operation's others: what it costs to find nothing in memory."""

import math
from collections.abc import Iterator
from typing import Final

from harness.quantities import ABSENT, amount, count, significant
from harness.record import RunRecord, VariantRecord
from harness.samples import COLD
from harness.showing.summary import OperationSummary, Summary
from harness.showing.tables import Cell, Table, number_columns, printable, quantile_cell, table_or_none, text_columns

WAYS: Final = {"evictions": "eviction", "restarts": "restart"}
"""How a phase was made cold, by what is counted of it."""

READ: Final = "blocks_read"

NOTE: Final = (
    "Before each cold request the server gave up what it had of the database in its memory, by an eviction of the "
    "blocks or a restart, which is not timed; sessions were open. The operating system keeps what it has read of the "
    "files, so these are no reads from a disk. Read: blocks that the server asked the operating system for, per "
    "request, with those that a new session begins with."
)


def cold_table(record: RunRecord, summary: Summary) -> Table | None:
    """Nothing where no request was cold."""
    figures = number_columns("Cold requests", "p50 warm", "p50 cold", "Ratio", "Read warm", "Read cold")
    columns = (*text_columns("Variant", "Operation", "Made cold by"), *figures)
    rows = tuple(row for variant in record.variants for row in _rows(variant, summary))
    return table_or_none("Cold beside warm", columns, rows, NOTE)


def _rows(variant: VariantRecord, summary: Summary) -> Iterator[tuple[Cell, ...]]:
    for cold in summary.operations:
        if cold.variant == variant.name and cold.operation.endswith(COLD) and cold.texts == "all":
            name = cold.operation.removesuffix(COLD)
            warm = summary.operation(variant.name, name)
            yield (
                Cell(printable(variant.name)),
                Cell(printable(name)),
                Cell(", ".join(_ways(variant, cold.operation)) or ABSENT),
                Cell(count(cold.requests)),
                quantile_cell(warm.p50, warm.requests, "p50") if warm else Cell(ABSENT),
                quantile_cell(cold.p50, cold.requests, "p50"),
                Cell(_ratio(cold, warm)),
                Cell(_read(variant, name)),
                Cell(_read(variant, cold.operation)),
            )


def _ratio(cold: OperationSummary, warm: OperationSummary | None) -> str:
    if warm is None or not 0 < warm.p50.value_s < math.inf or math.isinf(cold.p50.value_s):
        return ABSENT
    return f"\N{MULTIPLICATION SIGN} {significant(cold.p50.value_s / warm.p50.value_s)}"


def _ways(variant: VariantRecord, operation: str) -> list[str]:
    counted = [phase.counters for phase in variant.phases if phase.workload == operation]
    return [word for name, word in WAYS.items() if any(name in each for each in counted)]


def _read(variant: VariantRecord, operation: str) -> str:
    """Of phases that asked nothing else; a phase whose sessions told the server nothing is none."""
    phases = [phase for phase in variant.phases if phase.workload == operation and READ in phase.counters]
    started = sum(phase.started for phase in phases)
    return amount(sum(phase.counters[READ] for phase in phases) / started) if started else ABSENT
