"""What a plan of PostgreSQL, as EXPLAIN (FORMAT JSON) writes it, says about how tables are reached."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

EXPLAIN: Final = "EXPLAIN (FORMAT JSON) "
"""Goes before a statement, which then is planned with the values that it is given, and not executed."""

EXPLAIN_EXECUTED: Final = "EXPLAIN (ANALYZE, BUFFERS, WAL, SETTINGS, FORMAT JSON) "
"""Goes before a statement that is executed, and so belongs into a transaction that is rolled back."""


@dataclass(frozen=True, slots=True)
class StatementCost:
    """What the server spent on one execution; blocks are of 8 KiB, found in its memory (hit) or not (read)."""

    planning_ms: float
    execution_ms: float
    rows: int
    blocks_hit: int
    blocks_read: int
    wal_bytes: int


@dataclass(frozen=True, slots=True)
class StatementPlan:
    """The indexes that a statement uses, and the tables of which it reads every row, each by name and once.

    `cost` is None where it was planned and not executed.
    """

    statement: str
    indexes: tuple[str, ...]
    scans: tuple[str, ...]
    cost: StatementCost | None = None


def read_plan(statement: str, explained: str) -> StatementPlan:
    whole = json.loads(explained)[0]
    nodes = list(_nodes(whole["Plan"]))
    return StatementPlan(
        statement,
        tuple(sorted({node["Index Name"] for node in nodes if "Index Name" in node})),
        tuple(sorted({node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"})),
        _cost(whole) if "Execution Time" in whole else None,
    )


def _cost(whole: dict[str, Any]) -> StatementCost:
    plan = whole["Plan"]
    return StatementCost(
        planning_ms=whole["Planning Time"],
        execution_ms=whole["Execution Time"],
        rows=round(plan["Actual Rows"] * plan["Actual Loops"]),
        blocks_hit=plan["Shared Hit Blocks"],
        blocks_read=plan["Shared Read Blocks"],
        wal_bytes=plan.get("WAL Bytes", 0),
    )


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)
