"""What is read of a plan, and how a budget on it is judged."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.budgets import parse
from harness.judging.evaluation import evaluate
from harness.measuring.plans import read_plan
from harness.record import PLAN_DEPTH_MAX, PLAN_STEPS_MAX, PlanRecord, PlanStep, StepExecution
from tests.records import variant

PLAN: dict[str, Any] = {
    "Node Type": "ModifyTable", "Operation": "Update", "Relation Name": "memories", "Plan Rows": 0,
    "Plans": [
        {"Node Type": "Bitmap Heap Scan", "Relation Name": "memories", "Plan Rows": 20, "Plans": [
            {"Node Type": "Bitmap Index Scan", "Index Name": "memories_pkey", "Plan Rows": 20},
            {"Node Type": "Bitmap Index Scan", "Index Name": "memories_pkey", "Plan Rows": 20},
        ]},
        {"Node Type": "Seq Scan", "Relation Name": "tier_promotions", "Plan Rows": 7, "Parallel Aware": True,
         "Actual Rows": 2.5, "Actual Loops": 4, "Actual Total Time": 0.5,
         "Shared Hit Blocks": 3, "Shared Read Blocks": 1},
    ],
}  # fmt: skip


def read(plan: dict[str, Any]) -> PlanRecord:
    return read_plan("promotion.read", json.dumps([{"Plan": plan}]), {"memories_pkey": "btree"}).record


def test_a_plan_comes_to_its_indexes_and_the_tables_that_it_reads_whole() -> None:
    plan = read(PLAN)
    assert (plan.indexes, plan.scans, plan.access_methods) == (
        ("memories_pkey",),
        ("tier_promotions",),
        frozenset({"btree"}),
    )


def test_a_plan_is_kept_step_by_step_with_what_each_came_to_where_it_was_executed() -> None:
    root = read(PLAN).root
    assert root is not None
    assert [(step.node_type, step.relation, step.index) for step in root.walk()] == [
        ("Update", "memories", ""),
        ("Bitmap Heap Scan", "memories", ""),
        ("Bitmap Index Scan", "", "memories_pkey"),
        ("Bitmap Index Scan", "", "memories_pkey"),
        ("Seq Scan", "tier_promotions", ""),
    ]
    assert root.executed is None
    assert root.steps[1].is_parallel
    assert root.steps[1].executed == StepExecution(rows=10, loops=4, elapsed_ms=2, blocks=4)


def test_a_plan_survives_the_journal_and_one_without_steps_still_loads() -> None:
    plan = read(PLAN)
    assert PlanRecord.model_validate_json(json.dumps(plan.model_dump(exclude_defaults=True))) == plan
    assert PlanRecord.model_validate({"statement": "add", "indexes": ["idx_a"], "scans": []}).root is None


def nested(depth: int, width: int = 1) -> dict[str, Any]:
    below = [nested(depth - 1) for _ in range(width)] if depth > 1 else []
    return {"Node Type": "Append", "Plans": below}


@pytest.mark.parametrize(("plan", "steps"), [(nested(100), 100), (nested(3, PLAN_STEPS_MAX), 1 + 2 * PLAN_STEPS_MAX)])
def test_of_a_large_plan_the_deepest_steps_are_counted_and_not_kept(plan: dict[str, Any], steps: int) -> None:
    root = read(plan).root
    assert root is not None
    kept = list(root.walk())
    assert root.depth <= PLAN_DEPTH_MAX
    assert len(kept) <= PLAN_STEPS_MAX
    assert len(kept) + sum(step.omitted for step in kept) == steps


def test_a_plan_from_elsewhere_that_is_too_large_is_refused() -> None:
    root = PlanStep(node_type="Append", steps=(PlanStep(node_type="Result"),) * PLAN_STEPS_MAX)
    with pytest.raises(ValidationError, match=f"at most {PLAN_STEPS_MAX} steps"):
        PlanRecord(statement="add", root=root)


@pytest.mark.parametrize(
    ("text", "outcome", "sentence"),
    [
        ("query.search.plan uses idx_a", Outcome.PASS, "It uses idx_a, idx_b (hnsw)."),
        ("query.search.plan uses hnsw", Outcome.PASS, "It uses idx_a, idx_b (hnsw)."),
        ("query.search.plan uses btree", Outcome.FAIL, "It uses idx_a, idx_b (hnsw)."),
        ("query.search.plan uses idx_c", Outcome.FAIL, "It uses idx_a, idx_b (hnsw)."),
        ("add.plan uses idx_a", Outcome.FAIL, "It uses no index, and reads every row of memories."),
    ],
)
def test_a_budget_on_a_plan_says_what_the_plan_uses(text: str, outcome: Outcome, sentence: str) -> None:
    scan = PlanStep(node_type="Index Scan", index="idx_a", access_method="hnsw")
    plans = (
        PlanRecord(statement="query.search", indexes=("idx_a", "idx_b"), root=scan),
        PlanRecord(statement="add", scans=("memories",)),
    )
    evaluation = evaluate(parse(text), variant("batched", plans=plans))
    assert (evaluation.outcome, evaluation.finding) == (outcome, sentence)


def test_a_statement_that_was_not_executed_is_told_with_those_that_were() -> None:
    evaluation = evaluate(parse("query.find.plan uses idx_a"), variant(plans=(PlanRecord(statement="query.search"),)))
    assert evaluation.outcome is Outcome.INVALID
    assert evaluation.reason.endswith("Those that were: query.search")
    assert "neither the target nor the server tells them" in evaluate(parse("query.find.plan uses a"), variant()).reason
