"""A scenario of somebody's own operations: what it fills in, what it draws, and what it refuses."""

from itertools import islice
from typing import Any

import pytest
from pydantic import ValidationError

from harness.judging.declaration import declare
from harness.measuring.arguments import Argument
from harness.measuring.own_scenario import Operation, OwnScenario


class Asked(Operation, frozen=True):
    asks: Argument = Argument(root={})


class AskingScenario(OwnScenario, frozen=True):
    target: str = "asking"
    operations: dict[str, Asked]


def scenario(**stated: Any) -> AskingScenario:
    document: dict[str, Any] = {
        "name": "shop",
        "operations": {"find": {"asks": {"id": {"uniform": {"min": 1, "max": 1_000}}}}, "buy": {}},
        "phases": [{"requests": 200}],
    }
    return AskingScenario.model_validate(document | stated)


def test_everything_that_can_be_left_out_is_filled_in() -> None:
    found = scenario()
    assert (found.title, found.baseline, found.candidate, found.variant_names) == (
        "shop",
        "current",
        "current",
        ("current",),
    )
    assert found.phases[0].name == "mix"
    assert found.latency.database_rtt_ms == 0


def test_the_first_variant_is_the_baseline_and_the_last_the_candidate() -> None:
    found = scenario(variants={"before": {}, "between": {}, "after": {}})
    assert (found.baseline, found.candidate) == ("before", "after")


def test_a_mix_has_the_stated_shares() -> None:
    found = scenario(phases=[{"requests": 1_000, "mix": {"find": 9, "buy": 1}}])
    requests = found.workload_of(1).by_phase["mix"]
    assert 850 < sum(request.operation == "find" for request in requests) < 950
    assert found.planned == {"mix": {"find": 900, "buy": 100}}


def test_requests_are_the_same_again_and_others_in_a_further_round() -> None:
    found = scenario()
    assert found.workload_of(1) == scenario().workload_of(1)
    assert found.workload_of(1) != found.workload_of(2)
    assert [each.by_phase.keys() for each in islice(found.workloads(), 2)] == [{"mix"}, {"mix"}]


def test_what_a_worker_is_told_is_the_scenario_again() -> None:
    found = scenario(variants={"before": {}, "after": {}}, database={"provisioner": "embedded"})
    assert AskingScenario.model_validate(found.for_worker) == found


def test_the_judge_knows_the_operations_and_the_ladder() -> None:
    declared = declare(scenario(variants={"before": {}, "after": {}}).model_dump(mode="json"))
    assert declared.operations == ("find", "buy")
    assert declared.strategies == ("before", "after")
    assert declared.planned == {"mix": {"find": 100, "buy": 100}}


def test_one_value_only_is_told() -> None:
    found = scenario(operations={"find": {"asks": {"id": {"zipf": {"of": [4]}}}}})
    assert found.doubts == (
        "operations.find: asks.id is the same in every request: what is measured is a sample of one.",
    )


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        (
            {"phases": [{"requests": 1, "operation": "fond"}]},
            "no operation for phase 'fond': 'fond'. Did you mean 'find'",
        ),
        ({"phases": [{"requests": 1, "mix": {"bye": 1}}]}, "Did you mean 'buy'"),
        ({"phases": [{"requests": 1, "mix": {"buy": 0}}]}, "every weight is 0"),
        ({"phases": [{"requests": 1, "mix": {"buy": 1}, "operation": "buy"}]}, "both say what is asked"),
        ({"operations": {}}, "there is none. Add a section"),
        ({"operations": {"a b": {}}}, "no name that a budget can use"),
        ({"database": {"schema": "nowhere.sql"}}, "there is no file nowhere.sql"),
        ({"candidate": "after"}, "no candidate among those that are run"),
    ],
)
def test_what_does_not_fit_together_is_refused(stated: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        scenario(**stated)


@pytest.mark.parametrize(
    ("budget", "watched"),
    [
        ("find.statements_per_op <= 3", True),
        ("find.plan uses btree", True),
        ("find.by_id.plan uses btree", True),
        ("after: find . plan uses btree", True),
        ("buy.find.plan uses btree", False),
        ("find.statements <= 3", False),
        ("find.p95 <= 1s", False),
    ],
)
def test_statements_that_only_the_server_tells_are_watched_in_a_phase_without_timing(
    budget: str, watched: bool
) -> None:
    stated = scenario(phases=[{"operation": "find", "requests": 2}], budgets=[budget]).completed()
    assert [phase.name for phase in stated.phases] == (["find", "find alone"] if watched else ["find"])
    assert [stated.watched_in(phase) for phase in stated.phases] == (["", "find"] if watched else [""])


def test_what_a_budget_counts_of_an_operation_among_others_is_counted_alone() -> None:
    counted = scenario(budgets=["find.rows_per_op <= 40", "find.p95 <= 1s", "buy.errors <= 0%"]).completed()
    mix, alone = counted.phases
    assert (alone.name, alone.asks, alone.requests, alone.is_timed, mix.is_timed) == (
        "find alone",
        "find",
        20,
        False,
        True,
    )
    assert counted.completed() == counted
    assert scenario(budgets=["mix.rows_per_op <= 40"]).completed().phases == (mix,)
    assert (
        scenario(phases=[{"requests": 2, "operation": "find"}], budgets=["find.rows_per_op <= 40"])
        .completed()
        .phases[1:]
        == ()
    )


def test_a_budget_on_recall_is_refused_where_the_target_does_not_search_exactly() -> None:
    with pytest.raises(ValidationError, match=r"find\.recall >= 90%: this target does not search exactly as well"):
        scenario(budgets=["find.recall >= 90%"], recall_queries=5)


COLD = {"operation": "find", "cache": "cold", "requests": 20}


def test_a_cold_phase_has_a_name_and_an_operation_of_its_own() -> None:
    found = scenario(phases=[{"operation": "find", "requests": 200}, COLD])
    assert found.planned == {"find": {"find": 200}, "find_cold": {"find{cache=cold}": 20}}
    assert found.operation_names == ("find",)


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"phases": [{**COLD, "arrival": {"kind": "closed_loop", "users": 2}}]}, "have one user of a closed loop ask"),
        ({"phases": [{**COLD, "arrival": {"kind": "poisson", "rate_per_s": 5}}]}, "have one user of a closed loop ask"),
        ({"phases": [COLD], "workers": 2}, "find_cold is cold for one request at a time. Leave `workers` out"),
        ({"phases": [COLD], "slices": 2}, "slices: what makes a database cold is done to the server of all variants"),
        ({"phases": [COLD, {"operation": "buy", "requests": 9}]}, "buy comes after find_cold, which empties the cache"),
        ({"phases": [{**COLD, "cache": "warm"}]}, "Input should be 'cold'"),
    ],
)
def test_what_cannot_be_cold_is_refused(stated: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        scenario(**stated)


def test_a_phase_that_is_not_cold_says_nothing_of_caches_to_workers_and_beside_stored_runs() -> None:
    found = scenario(phases=[{"operation": "find", "requests": 9}, COLD])
    for said in (found.for_worker, found.model_dump(mode="json")):
        assert [each.get("cache", "unsaid") for each in said["phases"]] == ["unsaid", "cold"]
