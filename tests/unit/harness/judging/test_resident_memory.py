"""Memory at the end of phases: the most of any round is held to the limit, and what nobody read is not judged."""

from typing import Any

from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.budgets import parse
from harness.judging.verdict import BudgetVerdict, judge
from tests.records import phase, record, sample, variant


def judged(budget: str, *phases: dict[str, Any]) -> BudgetVerdict:
    found = [phase("query", workload="query", round=number, **each) for number, each in enumerate(phases, start=1)]
    samples = [sample("query", phase="query", round=number + 1) for number in range(len(found))]
    [verdict] = judge(record(variant("batched", samples, phases=tuple(found))), [parse(budget)]).budgets
    return verdict


def test_the_most_of_any_round_counts() -> None:
    rounds = [{"counters": {"service_memory_bytes": size}} for size in (90e6, 120e6)]
    assert judged("query.service_rss_bytes <= 120MB", *rounds).outcome is Outcome.PASS
    failed = judged("query.service_rss_bytes <= 110MB", *rounds)
    assert (failed.outcome, failed.measured) == (Outcome.FAIL, 120e6)


def test_what_was_not_read_is_said_to_be() -> None:
    verdict = judged("query.service_rss_bytes <= 1MB", {"uncounted": {"service_memory_bytes": "no service"}})
    assert verdict.outcome is Outcome.INVALID
    assert "service_memory_bytes was not read: no service" in verdict.sentence


def test_files_that_outgrow_the_memory_for_them_are_counted() -> None:
    spilling = {"started": 4, "counters": {"temporary_files": 8.0}}
    assert judged("query.temp_files_per_op <= 2", spilling).outcome is Outcome.PASS
    assert judged("query.temp_files_per_op <= 0", spilling).outcome is Outcome.FAIL


def test_temporary_files_are_counted_for_each_request() -> None:
    spilling = {"started": 4, "counters": {"temporary_bytes": 4_000.0}}
    assert judged("query.temp_bytes_per_op <= 1kB", spilling).outcome is Outcome.PASS
    assert judged("query.temp_bytes_per_op <= 0", spilling).outcome is Outcome.FAIL
