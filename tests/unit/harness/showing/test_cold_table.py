"""Cold requests beside warm ones, as a table."""

from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.budgets import parse
from harness.judging.evaluation import evaluate
from harness.quantities import ABSENT
from harness.record import PlanRecord, PlanStep
from harness.showing.cold_table import cold_table
from harness.showing.summary import summarise
from tests.records import phase, record, samples, variant

COLD = "find{cache=cold}"
MEASURED = (*samples([0.001] * 60, "find", phase="find"), *samples([0.02] * 20, COLD, phase="find_cold"))


def test_cold_requests_stand_beside_the_same_operations_warm_ones_with_what_both_read() -> None:
    phases = [
        phase("find", workload="find", started=60, counters={"blocks_read": 6.0}),
        phase("find_cold", workload=COLD, started=20, counters={"blocks_read": 500.0, "restarts": 20.0}),
    ]
    run = record(variant("current", MEASURED, phases=phases))
    found = cold_table(run, summarise(run))
    assert found is not None
    assert [[cell.text for cell in row] for row in found.rows] == [
        ["current", "find", "restart", "20", "1.00 ms", "20.0 ms", "\N{MULTIPLICATION SIGN} 20.0", "0.100", "25"]
    ]


def test_without_warm_ones_or_counts_there_is_nothing_beside() -> None:
    run = record(variant("current", samples([0.02] * 20, COLD), phases=[phase("find_cold", workload=COLD)]))
    found = cold_table(run, summarise(run))
    assert found is not None
    assert [cell.text for cell in found.rows[0]][2:] == [ABSENT, "20", ABSENT, "20.0 ms", ABSENT, ABSENT, ABSENT]
    warm = record(variant("current", samples([0.001] * 20, "find")))
    assert cold_table(warm, summarise(warm)) is None


def test_a_cold_search_needs_its_recall_as_a_warm_one_does() -> None:
    plan = PlanRecord(statement="find", root=PlanStep(node_type="Index Scan", access_method="hnsw"))
    budget = parse("find{cache=cold}.p50 <= 1s")
    assert evaluate(budget, variant("current", MEASURED, plans=[plan])).outcome is Outcome.INVALID
    found = evaluate(budget, variant("current", MEASURED, plans=[plan], recalls_by_operation={"find": (0.9, 1.0)}))
    assert (found.outcome, found.n) == (Outcome.PASS, 20)
