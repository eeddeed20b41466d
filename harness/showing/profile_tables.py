"""Where the time went as tables of text: what slow requests waited for, what changed, what the server spends."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from harness.judging.columns import Columns
from harness.judging.profile_differences import ProfileDifference, place
from harness.quantities import ABSENT, count, duration, share
from harness.record import RunRecord
from harness.showing.statement_costs import StatementCosts, statement_costs
from harness.showing.summary import Summary
from harness.showing.tables import Cell, Column, Table, number_columns, printable, table_or_none, text_columns
from harness.showing.waterfall import Waterfall, waterfall

WHOLE_FROM: Final = 10
FUNCTIONS_SHOWN: Final = 5


def waterfall_tables(record: RunRecord, summary: Summary) -> Iterable[Table]:
    """Per operation, what the baseline's and the candidate's requests around p95 waited for."""
    for operation in summary.declaration.operations:
        sides = _waterfalls(record, summary, operation)
        if sides:
            yield _waterfall_table(operation, sides)


def _waterfalls(record: RunRecord, summary: Summary, operation: str) -> Mapping[str, Waterfall]:
    """Of the pair, as far as its requests say where their time went."""
    rtt_s = summary.declaration.latency.database_rtt_ms / 1000
    sides = {
        variant.name: waterfall(requests, 0.95, rtt_s)
        for variant in record.variants
        if variant.name in summary.declaration.pair
        and (requests := Columns.of(variant.samples).by_operation.get(operation)) is not None
    }
    return {name: found for name, found in sides.items() if found}


def _waterfall_table(operation: str, sides: Mapping[str, Waterfall]) -> Table:
    parts = dict.fromkeys(part for found in sides.values() for part in found.parts_s)
    largest = sorted(parts, key=lambda part: -max(found.parts_s.get(part, 0.0) for found in sides.values()))
    rows = [
        (Cell(printable(part)), *(_part_cell(found.parts_s.get(part)) for found in sides.values())) for part in largest
    ]
    whole = (Cell("whole"), *(Cell(duration(found.whole_s)) for found in sides.values()))
    requests = " and ".join(count(found.requests) for found in sides.values())
    return Table(
        f"{operation}: what requests around p95 waited for",
        (Column("Part", code=True), *number_columns(*map(printable, sides))),
        (*rows, whole),
        f"The mean of {requests} requests. Each statement without the round-trip time that the harness adds, which "
        "stands as network.",
    )


def _part_cell(part_s: float | None) -> Cell:
    return Cell(duration(part_s), "muted" if part_s is None else "plain")


def statement_parts_table(record: RunRecord, summary: Summary) -> Table | None:
    """Says what requests around p95 waited for each statement, beside what the server spends; longest first."""
    columns = (
        *text_columns("Operation", "Variant"),
        Column("Statement", code=True),
        *number_columns("Sent", "Waited", "Execution", "Planning", "Rest"),
    )
    rows = tuple(
        row
        for operation in summary.declaration.operations
        for name, found in _waterfalls(record, summary, operation).items()
        for row in _statement_parts(operation, found, list(statement_costs(record, name)))
    )
    return table_or_none("What the server took of each statement around p95", columns, rows, STATEMENT_PARTS_NOTE)


STATEMENT_PARTS_NOTE: Final = (
    "Per request, without the round-trip time that the harness adds. Execution and planning: as often as the statement "
    "was sent, what one execution took in the profiling pass, where requests went one after the other. So they are "
    "estimates, and a connection that has planned a statement before may not plan it again. The rest is locks, other "
    "sessions, the driver and the real network; it is negative where the profiling pass was slower. Several statements "
    "may share a name, such as those of the queue: the first stands for them."
)


def _statement_parts(operation: str, found: Waterfall, costs: Sequence[StatementCosts]) -> Iterable[tuple[Cell, ...]]:
    known = [(each, found.parts_s[each.statement]) for each in costs if each.statement in found.parts_s]
    for each, waited_s in sorted(known, key=lambda pair: -pair[1]):
        sent = found.calls[each.statement]
        execution_s, planning_s = (sent * (part_ms or 0.0) / 1000 for part_ms in (each.execution_ms, each.planning_ms))
        yield (
            *(Cell(printable(text)) for text in (operation, each.variant, each.statement)),
            Cell(count(round(sent, 1))),
            Cell(duration(waited_s)),
            Cell(duration(execution_s)),
            Cell(duration(planning_s)),
            Cell(duration(waited_s - execution_s - planning_s)),
        )


def statement_profile_table(record: RunRecord, variants: Sequence[str]) -> Table | None:
    """Says what the server spends on each statement, and how it reaches the rows; the most expensive first."""
    columns = (
        Column("Variant"),
        Column("Statement", code=True),
        *number_columns("Execution", "Planning", "Rows", "Blocks"),
        Column("Not in memory", numeric=True, wide=True),
        Column("WAL", numeric=True),
        Column("Source"),
        Column("Reached by", code=True, wide=True),
    )
    found = [each for name in variants for each in statement_costs(record, name)]
    ordered = sorted(found, key=lambda each: (variants.index(each.variant), -each.execution_ms))
    rows = tuple(_statement_row(each, found) for each in ordered)
    note = (
        "The server's own time, without the network. Calls: the mean of those that pg_stat_statements counted while "
        "operations were profiled. EXPLAIN: executed once by itself, with the values of its first execution, and "
        "rolled back. Red: a table is read whole that the other variant reaches by an index."
    )
    return table_or_none("What the server spends on a statement", columns, rows, note)


def _statement_row(cost: StatementCosts, everything: Sequence[StatementCosts]) -> tuple[Cell, ...]:
    plan = cost.plan
    lost_index = plan.scans and any(
        other.plan.indexes and not other.plan.scans for other in everything if other.statement == cost.statement
    )
    ways = ", ".join((*plan.indexes, *(f"every row of {table}" for table in plan.scans)))
    return (
        Cell(printable(cost.variant)),
        Cell(printable(cost.statement)),
        Cell(duration(cost.execution_ms / 1000)),
        Cell(ABSENT if cost.planning_ms is None else duration(cost.planning_ms / 1000)),
        Cell(_mean(cost.rows)),
        Cell(_mean(cost.blocks_hit + cost.blocks_read)),
        Cell(_mean(cost.blocks_read)),
        Cell(f"{_mean(cost.wal_bytes)} B"),
        Cell("EXPLAIN" if cost.calls is None else f"{count(cost.calls)} calls"),
        Cell(printable(ways or ABSENT), "bad" if lost_index else "plain"),
    )


def _mean(number: float) -> str:
    """Of counts: whole from ten on, where a fraction says nothing more."""
    return count(round(number)) if number >= WHOLE_FROM else f"{number:.2g}"


def allocations_table(differences: Sequence[ProfileDifference]) -> Table | None:
    """Says how often a request of each operation allocates."""
    columns = (*text_columns("Operation"), *_side_columns(differences[0])) if differences else ()
    found = [
        (each.operation, [side.allocations(each.operation) for side in (each.before, each.after)])
        for each in differences
    ]
    rows = [
        (Cell(printable(operation)), *(Cell(ABSENT if number is None else _mean(number)) for number in numbers))
        for operation, numbers in found
        if any(number is not None for number in numbers)
    ]
    note = "In this process, the round with fewest. `memray flamegraph` draws where, from the files *.memray.bin."
    return table_or_none("How often a request allocates memory", columns, rows, note)


def waits_table(differences: Sequence[ProfileDifference]) -> Table | None:
    """Per operation, what sessions waited for on the server, as shares of the looks that found them at work."""
    columns = (*text_columns("Operation", "Waits for"), *_side_columns(differences[0])) if differences else ()
    rows: list[tuple[Cell, ...]] = []
    for difference in differences:
        sides = [side.waits(difference.operation) for side in (difference.before, difference.after)]
        events = sorted(
            {event for side in sides for event in side}, key=lambda event: -max(s.get(event, 0) for s in sides)
        )
        for event in events:
            cells = (Cell(share(side.get(event))) for side in sides)
            rows.append((Cell(printable(difference.operation)), Cell(printable(event)), *cells))
    note = "Client: ClientRead is a session inside a transaction that waits for its client and the network."
    return table_or_none("What sessions waited for on the server", columns, rows, note)


def server_functions_table(differences: Sequence[ProfileDifference]) -> Table | None:
    """Per operation, which functions of the server took its processor time, the largest first."""
    words = Column("Operation"), Column("Function", code=True)
    columns = (*words, *_side_columns(differences[0])) if differences else ()
    rows: list[tuple[Cell, ...]] = []
    for each in differences:
        for root in each.server_changes[:1]:
            listed = [("all", root.before_ms, root.after_ms), *each.server_functions()[:FUNCTIONS_SHOWN]]
            named = (
                (printable(name), duration(before / 1000), duration(after / 1000)) for name, before, after in listed
            )
            rows += [tuple(map(Cell, (printable(each.operation), *texts))) for texts in named]
    return table_or_none("What the server's processor time went to", columns, rows, SERVER_FUNCTIONS_NOTE)


SERVER_FUNCTIONS_NOTE: Final = (
    "Per request, of a function without what it called, as perf sampled the sessions that were open; parallel workers "
    "are not among them. It is no part of the requests' times in the flame graph, which wait for it."
)


def lock_waits_table(differences: Sequence[ProfileDifference]) -> Table | None:
    """Per operation, which statement waited for which lock of which other, the longest waits first."""
    words = Column("Operation"), Column("Waiting", code=True), Column("For the lock"), Column("Held by", code=True)
    columns = (*words, *_side_columns(differences[0])) if differences else ()
    rows: list[tuple[Cell, ...]] = []
    for difference in differences:
        sides = [side.lock_waits(difference.operation) for side in (difference.before, difference.after)]
        for wait, _ in (sides[0] | sides[1]).most_common():
            named = (Cell(printable(text)) for text in (difference.operation, *wait))
            rows.append((*named, *(Cell(count(side[wait]), "plain" if side[wait] else "muted") for side in sides)))
    note = "In how many of a hundred looks a second, all rounds together. Background work waits and holds as well."
    return table_or_none("Which statements waited for locks", columns, rows, note)


def _side_columns(difference: ProfileDifference) -> Iterable[Column]:
    return number_columns(printable(difference.before.label), printable(difference.after.label))


def culprits_table(difference: ProfileDifference) -> Table:
    """Where the change is, the largest part first."""
    columns = (
        Column("Change", numeric=True),
        *_side_columns(difference),
        Column("Where", code=True),
    )
    rows = tuple(
        (
            Cell(duration(each.change_ms / 1000), "bad" if each.change_ms > 0 else "good"),
            Cell(duration(each.before_ms / 1000)),
            Cell(duration(each.after_ms / 1000)),
            Cell(printable(place(each.stack))),
        )
        for each in difference.culprits
    )
    whole = difference.changes[0]
    overhead = " and ".join(
        share(each.overhead(difference.operation)) for each in (difference.before, difference.after)
    )
    listed = (
        "Only what survives a test over the rounds is listed." if rows else "Nothing survives a test over the rounds."
    )
    note = (
        f"Time per request, waiting included: {duration(whole.before_ms / 1000)} and "
        f"{duration(whole.after_ms / 1000)} as a whole. {listed} "
        f"Profiling itself added {overhead}."
    )
    if difference.server_unobserved:
        note += f" The server's own functions are not shown: {difference.server_unobserved}"
    return Table(f"{difference.operation}: where the time went", columns, rows, note)
