"""The presets: the fixes of the guide, each by itself and in its order."""

from dataclasses import asdict
from itertools import pairwise

import pytest

from anima.access_records import ACCESS_RECORDS
from anima.associations import ASSOCIATIONS
from anima.bootstraps import BOOTSTRAPS
from anima.consolidations import CONSOLIDATIONS
from anima.errors import InvalidInput
from anima.migrations import all_migrations
from anima.recalls import RECALLS
from anima.searches import SEARCHES
from anima.strategy import APPROXIMATE, BATCHED, FIXES, NAIVE, NUMBERS, PRESETS, Strategy, preset

LABELS = {"name", "description"}
REGISTERED: dict[str, set[str]] = {
    "recall": set(RECALLS),
    "search": set(SEARCHES),
    "access_records": set(ACCESS_RECORDS),
    "associations": set(ASSOCIATIONS),
    "consolidation": set(CONSOLIDATIONS),
    "bootstrap": set(BOOTSTRAPS),
}


def choices(strategy: Strategy) -> set[tuple[str, object]]:
    return {(axis, choice) for axis, choice in asdict(strategy).items() if axis not in LABELS}


def changed(before: Strategy, after: Strategy) -> set[tuple[str, object]]:
    return choices(after) - choices(before)


def test_naive_is_the_system_before_the_fixes() -> None:
    assert choices(NAIVE) == {
        ("recall", "stepwise"),
        ("search", "exact"),
        ("access_records", "per_memory"),
        ("associations", "per_pair"),
        ("association_placement", "inline"),
        ("consolidation", "full_scan"),
        ("consolidation_placement", "inline"),
        ("bootstrap", "three_queries"),
        ("bootstrap_records_access", True),
        ("embedding_cache", False),
        ("embedding_batches", False),
        ("schema_version", 6),
        ("pool_size", 20),
        ("acquire_timeout_s", 2.0),
    }


@pytest.mark.parametrize("number", NUMBERS)
def test_each_fix_alone_changes_what_it_adds_in_the_guides_order(number: int) -> None:
    fixes = [NAIVE, *(preset(f"fix{n}") for n in NUMBERS)]
    step = changed(*list(pairwise(fixes))[number - 1])
    assert step
    assert step == changed(NAIVE, preset(f"only-fix{number}"))


def test_no_choice_is_changed_by_two_fixes() -> None:
    axes = [axis for _, changes in FIXES for axis in changes]
    assert len(axes) == len(set(axes))


def test_batched_has_all_fixes_and_what_they_leave_to_gain_and_approximate_differs_in_its_search_alone() -> None:
    assert changed(preset("fix7"), BATCHED) == {("search", "exact_once"), ("schema_version", 8)}
    assert changed(BATCHED, APPROXIMATE) == {("search", "hnsw")}


def test_every_preset_asks_for_a_schema_that_there_is() -> None:
    assert {strategy.schema_version for strategy in PRESETS.values()} <= {known.version for known in all_migrations()}


@pytest.mark.parametrize("axis", REGISTERED)
def test_every_preset_names_a_choice_that_its_axis_has(axis: str) -> None:
    assert {getattr(strategy, axis) for strategy in PRESETS.values()} <= REGISTERED[axis]


def test_presets_go_by_their_names_and_say_what_they_are() -> None:
    assert list(PRESETS) == [strategy.name for strategy in PRESETS.values()]
    assert len({strategy.description for strategy in PRESETS.values()}) == len(PRESETS)


def test_an_unknown_strategy_is_answered_with_those_there_are() -> None:
    with pytest.raises(InvalidInput, match=r"no strategy 'bached'.*naive.*batched.*only-fix7"):
        preset("bached")
