"""Which strategies are compared, and by which names."""

from dataclasses import replace

import pytest

from anima.errors import InvalidInput
from anima.strategy import NAIVE, PRESETS
from harness.measuring.targets.anima.equivalence.choices import (
    comparable,
    distinct,
    exact_presets,
    named,
    single_choices,
)


def test_a_preset_is_judged_with_read_only_bootstrap() -> None:
    assert named("naive") == replace(NAIVE, bootstrap_records_access=False)


def test_a_choice_changes_one_axis() -> None:
    name = "naive+associations=batched"
    assert named(name) == replace(named("naive"), associations="batched", name=name)


@pytest.mark.parametrize("name", ["nave", "naive+associations", "naive+associations=btched", "naive+pool_size=3"])
def test_what_is_no_strategy_is_refused_with_what_there_is(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"batched"):
        named(name)


def test_approximate_search_need_not_agree() -> None:
    with pytest.raises(InvalidInput, match="recall"):
        named("approximate")


def test_every_exact_preset_behaves_like_one_that_is_compared() -> None:
    compared = exact_presets()
    assert "approximate" not in compared
    for name in set(PRESETS) - {"approximate"}:
        assert distinct((*compared, name)) == compared


def test_every_other_choice_on_every_axis_is_compared() -> None:
    assert "naive+associations=batched" in single_choices()
    assert "naive+consolidation=off" in single_choices()
    assert "frontier+recall=stepwise" in single_choices()
    assert not any("hnsw" in name for name in single_choices())


@pytest.mark.parametrize(
    "name",
    [
        "naive+search=augmented",
        "batched+access_records=apart",
        "naive+consolidation=augmented",
        "frontier+bootstrap=one_query",
        "frontier+consolidation_placement=inline",
    ],
)
def test_what_would_read_in_one_place_what_it_writes_in_another_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"reads? in one place .* Choose frontier, or none"):
        named(name)


def test_with_consolidation_and_without_it_need_not_agree() -> None:
    with pytest.raises(InvalidInput, match="one by one"):
        comparable(["naive", "naive+consolidation=off"])
