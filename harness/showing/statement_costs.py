"""Says what the server spent on each statement of a variant, from the best source that the profiling pass had.

`pg_stat_statements` counted real executions, where the server has it; EXPLAIN carried out one of each statement.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from harness.record import PlanRecord, RunRecord, ServerStatement, StatementProfile

TEXT_LENGTH: Final = 60
SHARE_MIN: Final = 0.01
"""Of the server's time: what takes less, and has no name, is left out."""


@dataclass(frozen=True, slots=True)
class StatementCosts:
    """Says what one execution of a statement costs: the mean of `calls`, or the one that EXPLAIN carried out."""

    variant: str
    """The variant's name."""
    statement: str
    """The statement's name, or the beginning of its text where it has none."""
    plan: PlanRecord
    """Its plan; one of no steps where nobody asked for it."""
    calls: int | None
    """How many executions it is the mean of; None of the one that EXPLAIN carried out."""
    execution_ms: float
    """Milliseconds of its execution."""
    planning_ms: float | None
    """Milliseconds of its planning; None where they were not measured."""
    rows: float
    """How many rows it gave."""
    blocks_hit: float
    """How many blocks of 8 KiB were found in the server's memory."""
    blocks_read: float
    """How many blocks of 8 KiB were read from elsewhere."""
    wal_bytes: float
    """How many bytes of WAL it wrote."""


def statement_costs(record: RunRecord, variant: str) -> Iterable[StatementCosts]:
    counted = _counted(record, variant)
    explained = [each for each in record.statement_profiles if each.variant == variant]
    for profile in explained:
        seen = counted.pop(profile.query_id, None) if profile.query_id is not None else None
        yield _mean(variant, profile.statement, profile, seen, profile.planning_ms) if seen else _once(profile)
    spent_ms = sum(each.elapsed_ms for profile in _profiles(record, variant) for each in profile)
    for seen in counted.values():
        if seen.elapsed_ms >= SHARE_MIN * spent_ms:
            name = seen.text[:TEXT_LENGTH]
            yield _mean(variant, name, PlanRecord(statement=name), seen, None)


def _profiles(record: RunRecord, variant: str) -> Iterable[Sequence[ServerStatement]]:
    return (profile.server_statements for profile in record.profiles if profile.variant == variant)


def _counted(record: RunRecord, variant: str) -> dict[int, ServerStatement]:
    """All rounds and operations together, by the server's number of the statement."""
    sums: dict[int, ServerStatement] = {}
    for each in (statement for profile in _profiles(record, variant) for statement in profile):
        earlier = sums.get(each.query_id)
        sums[each.query_id] = _together(earlier, each) if earlier else each
    return sums


def _together(one: ServerStatement, other: ServerStatement) -> ServerStatement:
    return one.model_copy(
        update={
            "calls": one.calls + other.calls,
            "rows": one.rows + other.rows,
            "elapsed_ms": one.elapsed_ms + other.elapsed_ms,
            "blocks_hit": one.blocks_hit + other.blocks_hit,
            "blocks_read": one.blocks_read + other.blocks_read,
            "wal_bytes": one.wal_bytes + other.wal_bytes,
        }
    )


def _once(profile: StatementProfile) -> StatementCosts:
    return StatementCosts(
        profile.variant,
        profile.statement,
        profile,
        None,
        profile.execution_ms,
        profile.planning_ms,
        profile.rows,
        profile.blocks_hit,
        profile.blocks_read,
        profile.wal_bytes,
    )


def _mean(
    variant: str, statement: str, plan: PlanRecord, seen: ServerStatement, planning_ms: float | None
) -> StatementCosts:
    return StatementCosts(
        variant,
        statement,
        plan,
        seen.calls,
        seen.elapsed_ms / seen.calls,
        planning_ms,
        seen.rows / seen.calls,
        seen.blocks_hit / seen.calls,
        seen.blocks_read / seen.calls,
        seen.wal_bytes / seen.calls,
    )
