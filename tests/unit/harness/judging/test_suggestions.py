"""What is proposed for a budget: exactly what was counted, a fifth above what varies, nothing for what is no number."""

from collections.abc import Sequence

import pytest

from harness.judging.suggestions import BudgetSuggestion, suggestions
from harness.record import RunRecord
from tests.records import phase, record, sample, variant


def measured(statements: int = 3, wal_bytes: float = 100_000.0, cpu_s: float = 0.01) -> RunRecord:
    """Ten queries of a phase of their own."""
    samples = [sample("query", 0.1, phase="query", statements=statements, results=2) for _ in range(10)]
    counters = {"wal_bytes": 10 * wal_bytes, "server_cpu_s": 10 * cpu_s}
    alone = phase("query", workload="query", started=10, counters=counters)
    return record(variant("batched", samples, phases=(alone,)))


def proposed(text: str, *records: RunRecord, timed: bool = False) -> BudgetSuggestion:
    [found] = suggestions(records or [measured()], [text], timed=timed)
    return found


@pytest.mark.parametrize(
    ("stands", "expected"),
    [
        ("query.statements <= 7", "query.statements <= 3"),
        ("query.statements >= 1", "query.statements >= 3"),
        ("query.wal_bytes_per_op <= 300000", "query.wal_bytes_per_op <= 120000"),
        ("query.wal_bytes_per_op <= 300kB", "query.wal_bytes_per_op <= 120kB"),
        ("query.server_cpu_ms_per_op <= 120", "query.server_cpu_ms_per_op <= 12"),
        ("query.statements <= 7 abort after 5s", "query.statements <= 3 abort after 5s"),
    ],
)
def test_what_is_counted_is_held_exactly_and_what_varies_has_a_fifth_of_room(stands: str, expected: str) -> None:
    found = proposed(stands)
    assert found.proposed == expected
    assert found.is_tighter
    assert found.risk is None


@pytest.mark.parametrize(
    ("stands", "reason"),
    [
        ("query.plan uses hnsw", "no number"),
        ("query.statements <= 4 + ceil(n / 500)", "no number"),
        ("query.errors <= 1%", "a share"),
        ("query.p95 <= 300ms", "an estimate of a time"),
        ("add.statements <= 4", "not measured"),
        ("query.statements <= 3", "tight already"),
    ],
)
def test_what_is_left_as_it_is_says_why(stands: str, reason: str) -> None:
    found = proposed(stands)
    assert not found.changes
    assert found.reason.startswith(reason)


def test_the_worst_of_several_runs_counts() -> None:
    found = proposed("query.statements <= 9", measured(3), measured(5), measured(4))
    assert (found.proposed, found.measured) == ("query.statements <= 5", (3, 5, 4))


def test_a_budget_that_is_broken_is_loosened_and_not_called_tighter() -> None:
    found = proposed("query.statements <= 2")
    assert (found.proposed, found.is_tighter) == ("query.statements <= 3", False)


def risk(values: Sequence[float]) -> float | None:
    return proposed("query.wal_bytes_per_op <= 900000", *(measured(wal_bytes=value) for value in values)).risk


def test_the_risk_is_that_of_the_next_run_beyond_the_limit() -> None:
    assert risk([100_000, 100_000, 100_000]) == 0.0
    steady, unsteady = risk([100_000, 101_000, 99_500]), risk([100_000, 60_000, 130_000])
    assert steady is not None
    assert unsteady is not None
    assert steady < 0.01 < unsteady < 0.5


def test_an_estimate_is_proposed_for_when_it_is_asked_for() -> None:
    assert proposed("query.p95 <= 300ms", timed=True).proposed == "query.p95 <= 120ms"
