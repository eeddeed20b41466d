"""Tells what a plan of PostgreSQL, as EXPLAIN (FORMAT JSON) writes it, says about how a statement is executed."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from harness.record import PLAN_DEPTH_MAX, PLAN_STEPS_MAX, PlanRecord, PlanStep, StepExecution

EXPLAIN: Final = "EXPLAIN (FORMAT JSON) "
"""Goes before a statement, which then is planned with the values that it is given, and not executed."""

EXPLAIN_EXECUTED: Final = "EXPLAIN (ANALYZE, BUFFERS, WAL, SETTINGS, VERBOSE, FORMAT JSON) "
"""Goes before a statement that is executed, and so belongs into a transaction that is rolled back.

VERBOSE has the server say its number for the statement, where it has one.
"""

ACCESS_METHODS: Final = """
SELECT indexrelname AS index, amname AS access_method
  FROM pg_stat_user_indexes JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_am ON pg_am.oid = relam
"""
"""The kind of each index, which EXPLAIN does not say."""

RELATIONS: Final = ("Relation Name", "CTE Name", "Function Name", "Alias")
"""Where a step says what it reads or writes; the first that is there."""


@dataclass(frozen=True, slots=True)
class ExplainedCost:
    """Says what the server spent on one execution; blocks are of 8 KiB, found in its memory (hit) or not (read).

    `query_id` is the server's number for the statement, by which `pg_stat_statements` knows it.
    """

    planning_ms: float
    execution_ms: float
    rows: int
    blocks_hit: int
    blocks_read: int
    wal_bytes: int
    query_id: int | None = None


@dataclass(frozen=True, slots=True)
class StatementPlan:
    """A plan as records keep it. `cost` is None where the statement was planned and not executed."""

    record: PlanRecord
    cost: ExplainedCost | None = None


def read_plan(statement: str, explained: str, access_methods: Mapping[str, str]) -> StatementPlan:
    """`access_methods` are the kinds of indexes by their names."""
    whole = json.loads(explained)[0]
    nodes = list(_nodes(whole["Plan"]))
    record = PlanRecord(
        statement=statement,
        indexes=tuple(sorted({node["Index Name"] for node in nodes if "Index Name" in node})),
        scans=tuple(sorted({node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"})),
        root=_bounded(_step(whole["Plan"], access_methods)),
    )
    return StatementPlan(record, _cost(whole) if "Execution Time" in whole else None)


def _cost(whole: dict[str, Any]) -> ExplainedCost:
    plan = whole["Plan"]
    return ExplainedCost(
        planning_ms=whole["Planning Time"],
        execution_ms=whole["Execution Time"],
        rows=round(plan["Actual Rows"] * plan["Actual Loops"]),
        blocks_hit=plan["Shared Hit Blocks"],
        blocks_read=plan["Shared Read Blocks"],
        wal_bytes=plan.get("WAL Bytes", 0),
        query_id=whole.get("Query Identifier"),
    )


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _step(node: dict[str, Any], access_methods: Mapping[str, str]) -> PlanStep:
    index = node.get("Index Name", "")
    join_type = node.get("Join Type", "")
    return PlanStep(
        # A step that writes is named after what it does, as EXPLAIN's text names it.
        node_type=node.get("Operation", node["Node Type"]) if node["Node Type"] == "ModifyTable" else node["Node Type"],
        join_type="" if join_type == "Inner" else join_type,
        strategy="" if node.get("Strategy") == "Plain" else node.get("Strategy", ""),
        relation=next((node[key] for key in RELATIONS if key in node), ""),
        index=index,
        access_method=access_methods.get(index, ""),
        role=node.get("Subplan Name", ""),
        is_parallel=node.get("Parallel Aware", False),
        rows_estimated=node.get("Plan Rows", 0),
        executed=_execution(node) if "Actual Loops" in node else None,
        steps=tuple(_step(child, access_methods) for child in node.get("Plans", ())),
    )


def _execution(node: dict[str, Any]) -> StepExecution:
    """EXPLAIN tells the mean of the loops."""
    loops = node["Actual Loops"]
    return StepExecution(
        rows=node["Actual Rows"] * loops,
        loops=loops,
        elapsed_ms=node.get("Actual Total Time", 0) * loops,
        blocks=node.get("Shared Hit Blocks", 0) + node.get("Shared Read Blocks", 0),
    )


def _bounded(root: PlanStep) -> PlanStep:
    """As much of the plan as a record has room for: level by level, so that what is left out lies deepest."""
    level, kept, depth = [root], 1, 1
    while (below := [step for each in level for step in each.steps]) and depth < PLAN_DEPTH_MAX:
        if kept + len(below) > PLAN_STEPS_MAX:
            break
        level, kept, depth = below, kept + len(below), depth + 1
    return _cut(root, depth)


def _cut(step: PlanStep, depth: int) -> PlanStep:
    if depth == 1:
        return step.model_copy(update={"steps": (), "omitted": sum(1 for _ in step.walk()) - 1})
    return step.model_copy(update={"steps": tuple(_cut(each, depth - 1) for each in step.steps)})
