"""What a gate measures of a scenario: each operation alone, at two sizes, and once far away."""

import hashlib
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.measuring.gating import APART, COPIES, RECALL_QUERIES, SEVERAL, GatePlan, gate_plan
from harness.measuring.operations import Request, Workload
from harness.measuring.own_scenario import OwnScenario
from harness.measuring.scenario_files import load_scenario
from harness.measuring.worker import digest

ROOT = Path(__file__).parents[4]


def plan_of(name: str, *settings: str) -> GatePlan:
    return gate_plan(load_scenario(name, settings=settings), None)


@pytest.mark.parametrize(
    ("scenario", "settings", "places"),
    [
        ("smoke", (), ["300 memories", "3,000 memories", APART]),
        ("local", (), ["1,000 memories", "10,000 memories", APART]),
        ("local", ("corpus.size=1",), ["1 memories", "10 memories", APART]),
        (str(ROOT / "examples/shop/shop.toml"), (), ["20,000 rows", "200,000 rows", APART]),
        (str(ROOT / "examples/shop/shop.toml"), ("database.size=300000",), ["30,000 rows", "300,000 rows", APART]),
    ],
)
def test_both_sizes_are_those_that_load_in_seconds(scenario: str, settings: tuple[str, ...], places: list[str]) -> None:
    plan = plan_of(scenario, *settings)
    assert [place.name for place in plan.places] == places
    assert plan.remark == ""


def test_data_of_one_size_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(
        'name = "own"\ntarget = "sql"\noperations.one.sql = "SELECT 1"\nphases = [{ requests = 4 }]\n', encoding="utf-8"
    )
    plan = plan_of(str(tmp_path / "own.toml"))
    assert [place.name for place in plan.places] == ["all data", APART]
    assert plan.remark.startswith("The data has one size: state `size`")


def test_the_data_is_of_the_size_that_a_place_is_named_after() -> None:
    small, large, apart = (place.scenario for place in plan_of("smoke").places)
    assert [small.size, large.size, apart.size] == [300, 3_000, 300]


def test_each_operation_is_asked_alone_by_one_user_and_its_work_is_done_before_the_next() -> None:
    counted = plan_of("smoke").places[0].scenario
    names = {phase.name.rpartition(" ")[0] for phase in counted.phases}
    assert names == {"add", "query", "bootstrap"}
    assert len(counted.phases) == COPIES * len(names)
    assert {phase.open(1).side_by_side for phase in counted.phases} == {1}
    assert {phase.requests for phase in counted.phases} == {counted.slices}


def test_what_searches_find_is_held_against_an_exact_search_at_each_size_of_the_data() -> None:
    """Far away they find no less."""
    assert [place.scenario.recall_queries for place in plan_of("smoke").places] == [RECALL_QUERIES, RECALL_QUERIES, 0]


def test_far_away_one_asks_and_then_several_do() -> None:
    apart = plan_of("smoke").places[-1].scenario
    assert [phase.open(1).side_by_side for phase in apart.phases] == [1, SEVERAL] * 3
    assert apart.latency.database_rtt_ms > 0
    assert apart.latency.embedding is not None


def test_the_server_says_what_was_sent_where_the_target_does_not() -> None:
    counted = plan_of(str(ROOT / "examples/notes/notes.toml")).places[0].scenario
    assert isinstance(counted, OwnScenario)
    assert {counted.watched_in(phase) for phase in counted.phases} == {"", "create", "read", "newest"}


def test_what_is_asked_decides_the_digest() -> None:
    same, other, third = plan_of("smoke"), plan_of("smoke", "seed=4"), gate_plan(load_scenario("smoke"), "naive")
    assert plan_of("smoke").digest == same.digest
    assert len({same.digest, other.digest, third.digest}) == 3


def test_a_digest_is_that_of_the_list_that_other_revisions_show_as_a_whole() -> None:
    asked = {"one": (Request("query", {"query": "a", "limit": 2}), Request("add", {"content": "é'"})), "none": ()}
    shown = [("one", "query", [("limit", 2), ("query", "a")]), ("one", "add", [("content", "é'")])]
    found = digest(Workload((), asked))
    assert found == hashlib.sha256(repr(shown).encode()).hexdigest()
    assert digest(Workload((), {}, found)) == found


def test_a_service_that_runs_already_cannot_be_counted(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(
        'name = "own"\ntarget = "http"\nservice.url = "http://127.0.0.1:9"\noperations.one.path = "/"\n'
        "phases = [{ requests = 4 }]\n",
        encoding="utf-8",
    )
    with pytest.raises(UsageError, match="runs already, with a database of its own, so nothing can be counted"):
        plan_of(str(tmp_path / "own.toml"))
