"""Some phases or operations of a scenario, and what is said of names that it does not have."""

import pytest

from harness.commands._shared.chosen import without_absent_budgets
from harness.errors import UsageError
from harness.measuring import scenario_files
from harness.measuring.parts import part_of
from harness.measuring.scenario import Scenario


def scenario() -> Scenario:
    return scenario_files.parsed(
        {
            "name": "shop",
            "target": "sql",
            "budgets": ["find.p95 <= 1s", "mix.errors <= 0%", "place.p95 <= 1s", "pool.refusals <= 0"],
            "operations": {name: {"sql": "SELECT 1"} for name in ("find", "place", "drop")},
            "phases": [
                {"name": "alone", "operation": "find", "requests": 5},
                {"mix": {"find": 3, "place": 1}, "requests": 7, "time_s": 3, "warm_up": 2},
                {"operation": "drop", "requests": 9},
            ],
        }
    )


def memories() -> Scenario:
    return scenario_files.load_scenario("smoke")


def test_a_phase_is_run_without_the_others() -> None:
    part = part_of(scenario(), ["mix"], [])
    assert [each.name for each in part.phases] == ["mix"]
    assert part.operation_names == ("find", "place")
    assert part.title == "shop, only mix"
    assert without_absent_budgets(part, scenario().operation_names).budgets == (
        "find.p95 <= 1s",
        "mix.errors <= 0%",
        "place.p95 <= 1s",
        "pool.refusals <= 0",
    )


def test_an_operation_is_asked_in_each_phase_that_asked_it_as_often_as_all_were() -> None:
    part = part_of(scenario(), [], ["find"])
    assert [(each.name, dict(part.shares(each))) for each in part.phases] == [
        ("alone", {"find": 5}),
        ("mix", {"find": 7}),
    ]
    assert (part.phases[1].time_s, part.phases[1].warm_up) == (3, 2)
    assert without_absent_budgets(part, scenario().operation_names).budgets == (
        "find.p95 <= 1s",
        "mix.errors <= 0%",
        "pool.refusals <= 0",
    )


def test_two_of_three_operations_have_a_phase_each() -> None:
    whole = scenario()
    three = whole.phases[1].model_copy(update={"mix": {"find": 1, "place": 1, "drop": 1}})
    part = part_of(whole.model_copy(update={"phases": (three,)}), [], ["find", "drop"])
    assert [each.name for each in part.phases] == ["mix find", "mix drop"]


@pytest.mark.parametrize("operation", ["add", "query", "bootstrap"])
def test_so_it_is_of_the_memory_system(operation: str) -> None:
    whole = memories()
    part = without_absent_budgets(part_of(whole, [], [operation]), whole.operation_names)
    assert part.operation_names == (operation,)
    assert all(
        f"{operation}." in budget or not any(f"{name}." in budget for name in whole.operation_names)
        for budget in part.budgets
    )


def test_nothing_named_is_the_whole() -> None:
    whole = scenario()
    assert part_of(whole, [], []) is whole


@pytest.mark.parametrize(
    ("phases", "operations", "said"),
    [
        (["mx"], [], "--phase mx: the scenario has no phase of that name. Did you mean 'mix'?"),
        (["xyzzy"], [], "--phase xyzzy: the scenario has no phase of that name. Known: alone, mix, drop."),
        ([], ["fnd"], "--only fnd: the scenario has no operation of that name. Did you mean 'find'?"),
        (["drop"], ["find"], "--only find: it is not asked in drop."),
    ],
)
def test_a_wrong_name_is_told_with_the_near_ones(phases: list[str], operations: list[str], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        part_of(scenario(), phases, operations)
    assert said in str(refused.value)
