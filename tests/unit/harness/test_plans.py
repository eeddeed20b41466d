"""What is read of a plan, and how a budget on it is judged."""

import json

import pytest

from harness.budget_metrics.protocol import Outcome
from harness.budgets import parse
from harness.evaluation import evaluate
from harness.plans import StatementPlan, read_plan
from harness.record import PlanRecord
from tests.records import variant

PLAN = {
    "Node Type": "Limit",
    "Plans": [
        {"Node Type": "Bitmap Heap Scan", "Relation Name": "memories", "Plans": [
            {"Node Type": "Bitmap Index Scan", "Index Name": "memories_pkey"},
            {"Node Type": "Bitmap Index Scan", "Index Name": "memories_pkey"},
        ]},
        {"Node Type": "Seq Scan", "Relation Name": "tier_promotions"},
    ],
}  # fmt: skip


def test_a_plan_comes_to_its_indexes_and_the_tables_that_it_reads_whole() -> None:
    read = read_plan("promotion.read", json.dumps([{"Plan": PLAN}]))
    assert read == StatementPlan("promotion.read", ("memories_pkey",), ("tier_promotions",))


@pytest.mark.parametrize(
    ("text", "outcome", "sentence"),
    [
        ("query.search.plan uses idx_a", Outcome.PASS, "It uses idx_a, idx_b."),
        ("query.search.plan uses idx_c", Outcome.FAIL, "It uses idx_a, idx_b."),
        ("add.plan uses idx_a", Outcome.FAIL, "It uses no index, and reads every row of memories."),
    ],
)
def test_a_budget_on_a_plan_says_what_the_plan_uses(text: str, outcome: Outcome, sentence: str) -> None:
    plans = (
        PlanRecord(statement="query.search", indexes=("idx_a", "idx_b")),
        PlanRecord(statement="add", scans=("memories",)),
    )
    evaluation = evaluate(parse(text), variant("batched", plans=plans))
    assert (evaluation.outcome, evaluation.finding) == (outcome, sentence)


def test_a_statement_that_was_not_executed_is_told_with_those_that_were() -> None:
    evaluation = evaluate(parse("query.find.plan uses idx_a"), variant(plans=(PlanRecord(statement="query.search"),)))
    assert evaluation.outcome is Outcome.INVALID
    assert evaluation.reason.endswith("Those that were: query.search")
    assert "does not tell its statements" in evaluate(parse("query.find.plan uses a"), variant()).reason
