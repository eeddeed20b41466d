"""A run ends when a budget that may end it has failed for sure, and not before."""

import random

import pytest

from harness.errors import Aborted, ExitCode
from harness.judging.aborting import AbortWatch
from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.budgets import parse
from harness.judging.verdict import judge
from harness.record import RunRecord
from tests.records import record, sample, variant


def watching(*budgets: str) -> AbortWatch:
    return AbortWatch([parse(text) for text in budgets], "batched")


def taken_until_abort(
    watch: AbortWatch, latencies_s: list[float], name: str = "batched", **fields: object
) -> int | None:
    """How many samples, ten a second, it takes to end the run."""
    for number, latency_s in enumerate(latencies_s, start=1):
        try:
            watch(name, sample("query", latency_s, started_s=number / 10 - latency_s, **fields))
        except Aborted:
            return number
    return None


def test_a_quantile_that_is_surely_over_its_limit_ends_the_run_soon() -> None:
    number = taken_until_abort(watching("query.p95 <= 300ms abort"), [0.5] * 1000)
    assert number is not None
    assert number <= 100


def test_only_its_own_variant_and_only_a_budget_that_says_so_ends_it() -> None:
    assert taken_until_abort(watching("query.p95 <= 300ms abort"), [0.5] * 300, name="naive") is None
    assert taken_until_abort(watching("query.p95 <= 300ms"), [0.5] * 300) is None
    assert taken_until_abort(watching("naive: query.p95 <= 300ms abort"), [0.5] * 300, name="naive") is not None


def test_not_within_its_grace_period() -> None:
    number = taken_until_abort(watching("query.p95 <= 300ms abort after 30s"), [0.5] * 1000)
    assert number is not None
    assert 300 <= number <= 330


def test_one_statement_too_many_is_enough() -> None:
    watch = watching("query.statements <= 3 abort")
    assert taken_until_abort(watch, [0.1] * 50, statements=3) is None
    assert taken_until_abort(watch, [0.1] * 100, statements=4) is not None


@pytest.mark.slow
def test_looking_again_and_again_ends_few_runs_whose_quantile_is_within_its_limit() -> None:
    """The p90 is exactly at the limit, where a wrong FAIL is likeliest; at 5 % a look it would be one run in three."""
    draw = random.Random(1)
    runs = [[0.2 if draw.random() < 0.1 else 0.1 for _ in range(400)] for _ in range(40)]
    ended = [taken_until_abort(watching("query.p90 <= 150ms abort"), run) for run in runs]
    assert sum(number is not None for number in ended) <= 3


def ended_early(*budgets: str) -> RunRecord:
    slow = variant("batched", [sample("query", 0.5)] * 100)
    return record(
        slow,
        state="partial",
        interruption="ended early by query.p95 <= 300ms abort",
        aborted_by="query.p95 <= 300ms abort",
        scenario={"candidate": "batched", "budgets": list(budgets)},
    )


def test_a_run_that_a_budget_ended_is_judged_and_fails() -> None:
    verdict = judge(ended_early("query.p95 <= 300ms abort", "query.p50 <= 1s"))
    assert [each.outcome for each in verdict.budgets] == [Outcome.FAIL, Outcome.PASS]
    assert (verdict.outcome, verdict.exit_code) == (Outcome.FAIL, ExitCode.FAIL)
    assert "ended early by query.p95 <= 300ms abort: what would have come then was not measured" in verdict.sentence


@pytest.mark.parametrize("text", ["query.wal_bytes_per_op <= 4 abort", "query.throughput >= 4/s abort"])
def test_what_is_known_only_at_the_end_cannot_end_it(text: str) -> None:
    with pytest.raises(Exception, match="only when the run is over"):
        parse(text)
