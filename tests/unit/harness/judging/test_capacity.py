"""A search for a capacity finds the one that is planted, says what breaks first, and what it cannot say."""

from itertools import pairwise

import pytest

from harness.errors import ExitCode, UsageError
from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.budgets import parse
from harness.judging.capacity import CapacityVerdict, capacity_phases, judge_capacity
from harness.judging.evaluation import evaluate
from harness.judging.rates import PILED_UP
from harness.record import AskedRate
from tests.queues import constant, searched, slots, varied
from tests.records import sample, variant

PLANTED = [(1, 0.02), (2, 0.05), (4, 0.05), (4, 0.1), (3, 0.1), (3, 0.03), (1, 0.05), (5, 0.1), (2, 0.1), (2, 0.025)]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "service_s"), PLANTED)
def test_a_planted_capacity_is_found_within_a_twentieth(number: int, service_s: float) -> None:
    verdict = judge_capacity(searched({"current": slots(number, constant(service_s))}))
    [found] = verdict.capacities
    assert (verdict.outcome, verdict.exit_code) == (Outcome.PASS, ExitCode.PASS)
    assert found.lower_per_s is not None
    assert found.upper_per_s is not None
    assert found.lower_per_s == pytest.approx(number / service_s, rel=0.05)
    assert found.upper_per_s == pytest.approx(number / service_s, rel=0.05)
    assert found.lower_per_s < found.upper_per_s
    assert found.breaks_first in {"query.p95 <= 200ms", PILED_UP}


@pytest.mark.parametrize("seed", range(3))
def test_so_is_that_of_a_system_whose_service_varies(seed: int) -> None:
    found = searched({"current": slots(4, varied(0.1))}, ["query.p95 <= 900ms"], seed=seed, time_s=10.0)
    [capacity] = judge_capacity(found).capacities
    assert capacity.lower_per_s == pytest.approx(4 / 0.1, rel=0.05)


def test_a_queue_that_grows_breaks_a_rate_though_its_latencies_are_within_the_budget() -> None:
    verdict = judge_capacity(searched({"current": slots(2, constant(0.05))}, ["query.p95 <= 60s"]))
    [found] = verdict.capacities
    assert found.lower_per_s == pytest.approx(40, rel=0.05)
    assert found.breaks_first == PILED_UP


@pytest.mark.parametrize(
    ("limit", "outcome"),
    [("30/s", Outcome.PASS), ("39/s", Outcome.PASS), ("43/s", Outcome.FAIL), ("90/s", Outcome.FAIL)],
)
def test_a_budget_is_decided_though_the_capacity_lies_beside_it(limit: str, outcome: Outcome) -> None:
    budgets = ["query.p95 <= 200ms", f"query.capacity >= {limit}"]
    verdict = judge_capacity(searched({"current": slots(2, constant(0.05))}, budgets))
    assert [each.outcome for each in verdict.budgets] == [outcome]
    assert verdict.outcome is outcome
    assert verdict.exit_code is ExitCode[outcome.name]


def test_where_no_rate_holds_it_fails_and_says_of_the_lowest_why() -> None:
    verdict = judge_capacity(searched({"current": slots(9, constant(0.3))}))
    assert verdict.exit_code is ExitCode.FAIL
    assert verdict.sentence.startswith("Not even ")
    assert "query.p95 <= 200ms: 300 ms" in verdict.sentence


def late_from(rate_per_s: float, late_s: float = 0.5) -> CapacityVerdict:
    """Of a system that is never at its end, asked by a generator that is late from this rate on."""

    def late(asked: AskedRate) -> float:
        return late_s if asked.rate_per_s > rate_per_s else 0.0

    return judge_capacity(searched({"current": slots(1_000, constant(0.05), late)}))


def test_where_the_generator_comes_to_its_end_first_the_search_is_invalid_and_says_what_could_be_sent() -> None:
    verdict = late_from(70)
    [found] = verdict.capacities
    assert verdict.exit_code is ExitCode.INVALID
    assert found.lower_per_s == pytest.approx(70, rel=0.03)
    assert found.upper_per_s is None
    assert "the load generator could not send more" in verdict.sentence
    assert "lateness" in verdict.sentence


def test_a_rate_holds_though_the_generator_was_late_where_that_takes_it_over_no_limit() -> None:
    """Lateness is part of each response time, so without it they would have been shorter."""
    late = slots(2, constant(0.05), lambda _: 0.02)
    [found] = judge_capacity(searched({"current": late})).capacities
    assert found.outcome is Outcome.PASS
    assert found.lower_per_s == pytest.approx(40, rel=0.05)


def test_of_two_variants_the_higher_capacity_is_named_and_a_lower_one_of_the_candidate_fails() -> None:
    wide, narrow = slots(3, constant(0.05)), slots(2, constant(0.05))
    worse, better = (
        judge_capacity(searched(systems))
        for systems in ({"wide": wide, "narrow": narrow}, {"narrow": narrow, "wide": wide})
    )
    assert (worse.comparisons[0].word, worse.exit_code) == ("lower", ExitCode.FAIL)
    assert (better.comparisons[0].word, better.exit_code) == ("higher", ExitCode.PASS)
    assert worse.comparisons[0].lower is not None
    assert worse.comparisons[0].upper is not None
    assert worse.comparisons[0].lower == pytest.approx(2 / 3, rel=0.05)
    assert worse.comparisons[0].upper == pytest.approx(2 / 3, rel=0.05)


def test_a_system_against_itself_has_the_same_capacity() -> None:
    one, other = slots(2, constant(0.05)), slots(2, constant(0.05))
    [comparison] = judge_capacity(searched({"one": one, "other": other})).comparisons
    assert comparison.word == "same"


def test_rates_are_doubled_and_halved_between_and_then_both_ends_are_confirmed_and_one_is_observed() -> None:
    found = searched({"current": slots(4, constant(0.05))}, time_s=5.0)
    purposes = [each.purpose for each in found.rates]
    assert purposes == sorted(purposes, key=("search", "confirm", "observe").index)
    rates = [each.rate_per_s for each in found.rates if each.purpose == "search"]
    doubled = [later for earlier, later in pairwise(rates) if later == pytest.approx(2 * earlier, rel=0.001)]
    assert rates[0] == pytest.approx(118 / 5, rel=0.01), "as many requests as a p95 needs, and as many again"
    assert doubled == pytest.approx([47.2, 94.4], rel=0.01)
    assert purposes.count("observe") == 1


def test_each_rate_to_be_confirmed_shares_the_risk_of_all() -> None:
    """59 requests under the limit hold with 95 %, and not with what is left for a second one."""
    measured = variant("current", [sample("query", 0.1) for _ in range(59)])
    budget = parse("query.p95 <= 200ms")
    assert evaluate(budget, measured).outcome is Outcome.PASS
    assert evaluate(budget, measured, risk=0.005).outcome is Outcome.UNDECIDED


def test_budgets_that_no_rate_can_break_are_named() -> None:
    leak = "query.client_growth_bytes_per_op <= 10kB"
    budgets = ["query.p95 <= 200ms", "cache.hit_rate >= 80%", "query.throughput >= 5/s", leak]
    [remark] = [
        each
        for each in judge_capacity(searched({"current": slots(2, constant(0.05))}, budgets)).remarks
        if each.startswith("No rate was held to")
    ]
    assert "cache.hit_rate >= 80% (it is of the whole run, not of a rate)" in remark
    assert "query.throughput >= 5/s (it fails at every lower rate)" in remark
    assert f"{leak} (it takes more requests than one rate has)" in remark


SCENARIO = {
    "name": "shop",
    "strategies": ["current"],
    "candidate": "current",
    "operations": ["find", "place"],
    "phases": [{"name": "find"}, {"name": "both"}],
    "planned": {"find": {"find": 10}, "both": {"find": 5, "place": 5}},
    "budgets": ["find.p95 <= 100ms"],
}


@pytest.mark.parametrize(
    ("changed", "named", "phases"),
    [
        ({}, "both", ("both",)),
        ({"budgets": ["find.p95 <= 1s", "find.capacity >= 5/s"]}, None, ("find",)),
        ({"budgets": ["find.p95 <= 1s", "both.capacity >= 5/s", "find.capacity >= 5/s"]}, None, ("both", "find")),
        ({"phases": [{"name": "find"}]}, None, ("find",)),
    ],
)
def test_whose_capacity_is_searched(changed: dict[str, object], named: str | None, phases: tuple[str, ...]) -> None:
    assert capacity_phases({**SCENARIO, **changed}, named) == phases


@pytest.mark.parametrize(
    ("changed", "named", "said"),
    [
        ({}, None, "has 2 phases, and each has a capacity of its own. Say which with --phase: find, both"),
        ({}, "fnd", "--phase fnd: the scenario has no such phase. Did you mean 'find'?"),
        ({"budgets": []}, "find", "no budget that a rate of find could break"),
        ({"budgets": ["cache.hit_rate >= 5%"]}, "find", "no budget that a rate of find could break"),
        ({"budgets": ["place.capacity >= 5/s"]}, None, "place"),
        ({"budgets": ["find.capacity <= 5/s"]}, None, "capacity is limited from below: write >=."),
        ({"budgets": ["find.capacity >= 5ms"]}, None, "/s"),
    ],
)
def test_what_has_no_capacity_is_refused_with_a_sentence(
    changed: dict[str, object], named: str | None, said: str
) -> None:
    with pytest.raises(UsageError) as refused:
        capacity_phases({**SCENARIO, **changed}, named)
    assert said in str(refused.value)
