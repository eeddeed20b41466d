"""What is refused, or doubted, before anything is measured."""

import re

import pytest

from harness.errors import UsageError
from harness.judging.feasibility import check
from tests.records import SCENARIO

PLANNED = {
    "bootstrap": {"bootstrap": 100},
    "mix": {"add": 50, "query": 50},
    "query": {"query": 10},
}


def scenario(**changes: object) -> dict[str, object]:
    return SCENARIO | changes


def test_a_scenario_that_can_be_judged_is_accepted_without_doubt() -> None:
    assert check(scenario()) == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budgets": ["bached: query.p95 <= 1s"]}, "no variant 'bached'. Did you mean 'batched'?"),
        ({"budgets": ["quer.p95 <= 1s"]}, "no operation 'quer'. Did you mean 'query'?"),
        (
            {"operations": ["add"], "planned": {"a": {"add": 9}}, "budgets": ["query.p95 <= 1s"]},
            "'query'. Known: add, a.",
        ),
        (
            {"operations": ["add", "query"], "planned": {"a": {"add": 9}}, "budgets": ["query.errors <= 1%"]},
            "no phase performs query, so there would be nothing to judge.",
        ),
        ({"references": [{"operation": "quer", "variant": "naive"}]}, "references, entry 1: the scenario runs no"),
        ({"references": [{"operation": "query"}]}, "scenario: 'references.0.variant' is missing"),
        ({"references": [{"operation": "query", "variant": "naive", "lo_s": 3}]}, "references.0.lo_s"),
    ],
)
def test_a_budget_or_reference_that_no_run_could_answer_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message.replace(".", r"\.").replace("?", r"\?")):
        check(scenario(**changes))


def planned(*budgets: str, **changes: object) -> dict[str, object]:
    """Of a run that does not sample on."""
    return scenario(**({"planned": PLANNED, "budgets": list(budgets), "sampling": {"time_s_max": 0}} | changes))


@pytest.mark.parametrize(
    ("high", "low"),
    [
        ("query.statements <= 2", "query.statements >= 3"),
        ("query.statements <= 2 + n", "batched: query.statements >= 3 + n"),
        ("query{text=known}.throughput <= 1/s", "query{text=known}.throughput >= 61/min"),
    ],
)
def test_budgets_that_no_run_can_hold_together_are_refused_both_named(high: str, low: str) -> None:
    with pytest.raises(UsageError, match="no run can hold both") as caught:
        check(planned(low, high))
    assert high in str(caught.value)
    assert low in str(caught.value)


@pytest.mark.parametrize(
    "budgets",
    [
        ("query.statements <= 3", "query.statements >= 3"),
        ("query.statements <= 2", "naive: query.statements >= 3"),
        ("query{text=known}.statements <= 2", "query.statements >= 3"),
        ("query.statements <= 2 + n", "query.statements >= 3"),
        ("query.statements <= 2", "query.round_trips >= 3"),
    ],
)
def test_budgets_that_can_hold_together_are_not(budgets: tuple[str, ...]) -> None:
    assert check(planned(*budgets)) == ()


@pytest.mark.parametrize(
    ("budget", "needed", "plans"),
    [("add.p95 <= 1s", 59, 50), ("mix.p99 <= 1s", 299, 100), ("query{text=known}.p99 <= 1s", 299, 60)],
)
def test_a_quantile_that_the_planned_requests_cannot_decide_is_refused(budget: str, needed: int, plans: int) -> None:
    with pytest.raises(UsageError, match=rf"(?s){re.escape(budget)}.*with {needed} requests.* {plans} of"):
        check(planned(budget))


def test_more_rounds_or_a_lower_quantile_decide_it_and_so_does_sampling_on() -> None:
    assert check(planned("add.p95 <= 500ms", rounds=2)) == ()
    assert check(planned("add.p95 <= 500ms", sampling={"time_s_max": 60})) == ()
    assert check(planned("add.p90 <= 500ms")) == ()


def test_a_quantile_that_may_run_out_of_time_is_told_before() -> None:
    closed = {"name": "bootstrap", "time_s": 4.0, "arrival": {"kind": "closed_loop", "users": 1}}
    (doubt,) = check(planned("bootstrap.p95 <= 200ms", phases=[closed]))
    assert doubt.startswith("bootstrap.p95 <= 200ms: at 100 ms a request, its phase's `time_s` allows 40 requests, and")
    assert check(planned("bootstrap.p95 <= 100ms", phases=[closed])) == ()


def test_recall_that_nobody_measures_is_refused() -> None:
    with pytest.raises(UsageError, match="set `recall_queries = 50`"):
        check(planned("query.recall >= 90%"))
    assert check(planned("query.recall >= 90%", recall_queries=50)) == ()


def test_a_mix_shares_the_time_among_its_operations() -> None:
    mix = {"name": "mix", "time_s": 10.0, "arrival": {"kind": "closed_loop", "users": 1}}
    (doubt,) = check(planned("query.p95 <= 250ms", phases=[mix]))
    assert doubt.startswith("query.p95 <= 250ms: at 125 ms a request, its phase's `time_s` allows 50 requests, and")
    assert check(planned("mix.p95 <= 250ms", phases=[mix])) == ()
