"""Scenario files: what is shipped is right, and what is changed or wrong is said."""

import json
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.judging.budget_metrics import METRICS
from harness.judging.budgets import parse
from harness.judging.feasibility import check
from harness.measuring import scenario_files
from harness.measuring.latencies import LATENCIES
from harness.measuring.scenario import Variant
from harness.measuring.scenario_files import parsed
from harness.measuring.shipped import shipped
from harness.measuring.targets.anima.scenario import MemoryScenario

TIMELINE = "timeline=[{%s}]"
SHIPPED = sorted(shipped())


def test_the_three_scenarios_of_the_readme_are_shipped() -> None:
    assert {"guide", "local", "smoke"} <= set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_scenario_can_be_followed(name: str) -> None:
    chosen = scenario_files.load_scenario(name)
    check(chosen.model_dump(mode="json"))
    assert chosen.name == name
    assert chosen.title


@pytest.mark.parametrize("name", SHIPPED)
def test_the_candidates_quantiles_can_be_decided_by_the_samples_asked_for(name: str) -> None:
    """59 samples bound a p95: a scenario with fewer could never say that a budget on it holds."""
    chosen = scenario_files.load_scenario(name)
    workload = next(chosen.workloads())
    requests = [request for phase in chosen.phases for request in workload.by_phase[phase.name][phase.warm_up :]]
    for budget in chosen.budgets:
        if ".p95" in budget:
            operation = budget.partition(".")[0].partition("{")[0]
            is_known = "{text=known}" in budget
            judged = [r for r in requests if r.operation == operation and not (is_known and r.first_time_text)]
            assert len(judged) >= 59, budget


def test_rounds_go_back_and_forth_so_that_drift_favours_no_variant() -> None:
    chosen = scenario_files.load_scenario("smoke", settings=["rounds=3"])
    assert [(number, [each.name for each in variants]) for number, variants in chosen.schedule()] == [
        (1, ["naive", "batched"]),
        (2, ["batched", "naive"]),
        (3, ["naive", "batched"]),
    ]


def test_a_control_measures_the_baseline_again_on_the_other_side_of_the_candidate() -> None:
    chosen = scenario_files.load_scenario("smoke", settings=["rounds=2", "control=true"])
    assert [[each.name for each in variants] for _, variants in chosen.schedule()] == [
        ["naive", "batched", "naive (control)"],
        ["naive (control)", "batched", "naive"],
    ]
    assert chosen.lineup[-1] == Variant("naive (control)", strategy="naive", control_of="naive")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (["phases.0.arrival={kind='constant_rate', rate_per_s=5}"], "constant_rate has a schedule of its own"),
        (
            ["timeline=[{phase='query', at_s=1, action='terminate_backends'}]"],
            "a timeline counts from the beginning of a phase",
        ),
        (["cache.redis='auto'"], "Redis is one for all variants"),
    ],
)
def test_what_has_a_time_of_its_own_is_not_cut_into_slices(settings: list[str], reason: str) -> None:
    phase = "phases=[{workload='query', time_s=3, arrival={kind='closed_loop'}, requests=5}]"
    if "phases" in settings[0]:
        phase, settings = "phases=[{workload='query', time_s=3, arrival={kind='constant_rate', rate_per_s=5}}]", []
    with pytest.raises(UsageError, match=f"slices: {reason}"):
        scenario_files.load_scenario("smoke", settings=["slices=4", phase, *settings])


def test_the_slices_of_a_phase_share_its_time_and_have_draws_of_their_own() -> None:
    phase = scenario_files.load_scenario("smoke", settings=["slices=4"]).phases[1]
    slices = [phase.slice(number, 4) for number in range(4)]
    assert [each.duration_s for each in slices] == [phase.duration_s / 4] * 4
    assert len({each.name for each in slices}) == 4
    assert phase.slice(0, 1) is phase


def test_loaded_memories_have_the_state_that_their_tier_implies() -> None:
    chosen = scenario_files.load_scenario("smoke")
    assert isinstance(chosen, MemoryScenario)
    loaded = chosen.loaded()
    assert len(loaded) == chosen.corpus.size
    assert {(memory.tier, memory.access_count) for memory in loaded} == {("active", 0), ("thread", 5), ("stable", 20)}


def test_a_latency_model_is_a_name_or_its_numbers() -> None:
    assert scenario_files.load_scenario("smoke", settings=["latency=dogfood"]).latency == LATENCIES["dogfood"]
    own = scenario_files.load_scenario("smoke", settings=['latency={description="mine", database_rtt_ms=3}'])
    assert (own.latency.database_rtt_ms, own.latency.embedding) == (3, None)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (["corpus.size"], "expected KEY=VALUE"),
        (["=3"], "expected KEY=VALUE"),
        (["name.size=3"], "'name' is not a section"),
        (["rounds=0"], "rounds"),
        (["latency=dogfod"], "Did you mean 'dogfood'?"),
        (["target=anmia"], "Did you mean 'anima'?"),
        (["cache.redis=progam"], "Did you mean 'program'?"),
        (["database.provisioner=embeded"], "Did you mean 'embedded'?"),
        (['strategies=["naive", "batched", "naive"]'], "naive stands more than once"),
        (['phases=[{workload="mix",requests=1},{workload="mix",requests=1}]'], "mix stands more than once"),
        (["phases=[]"], "phases"),
        (["budgets=query.p95"], "'budgets' has to be a list."),
        (["corpus=3"], "'corpus' has to be a table."),
        (["cache=near"], "'cache' has to be a table."),
        (["corpus.size=many"], "'corpus.size' has to be a whole number."),
        (["corpus.size=3.5"], "'corpus.size' has to be a whole number."),
        (["title=3"], "'title' has to be a text, in quotes."),
        (["phases=[1]"], "'phases.0' has to be a table."),
        (["embedding_faults.http_400=1"], "Did you mean 'http_500'?"),
        (["corpus.tiers.activ=1"], "Did you mean 'active'?"),
        (['phases=[{workload="mix",requests=1,users=3}]'], "unknown key 'phases.0.users'"),
        (['phases=[{workload="mix",requests=1,arrival={kind="closed_lop"}}]'], "Did you mean 'closed_loop'?"),
        (['phases=[{workload="mix",requests=1,arrival={users=3}}]'], "'phases.0.arrival.kind' is missing"),
        (
            ['phases=[{workload="mix",requests=1,arrival={kind="closed_loop",user=3}}]'],
            "unknown key 'phases.0.arrival.user'. Did you mean 'users'?",
        ),
        (['phases=[{workload="mix",arrival={kind="closed_loop"}}]'], "`requests` is missing"),
        (
            ['phases=[{workload="mix",requests=1,arrival={kind="constant_rate",rate_per_s=5}}]'],
            "Leave `requests` out",
        ),
        (
            [TIMELINE % 'phase="query",at_s=1,action="restrat"'],
            "timeline.0.action: there is no action 'restrat'. Did you",
        ),
        ([TIMELINE % 'phase="qeury",at_s=1,action="restart"'], "Did you mean 'query'?"),
        ([TIMELINE % 'phase="query",at_s=9,action="restart"'], "restart at 9 s of 'query', which lasts 3 s"),
        ([TIMELINE % 'phase="query",at_s=-1,action="restart"'], "timeline.0.at_s"),
        ([TIMELINE % 'phase="query",at_s=1,action="pause"'], "`for_s` is missing"),
        ([TIMELINE % 'phase="query",at_s=1,action="terminate_backends",for_s=1'], "Leave it out"),
        ([TIMELINE % 'phase="query",at_s=1,action="fail_over",for_s=1'], "fail_over, which is over by itself"),
        ([TIMELINE % 'phase="query",at=1,action="restart"'], "unknown key 'timeline.0.at'. Did you mean 'at_s'?"),
        (["phases=[{requests=1}]"], "phases.0: `workload` is missing. Known: add"),
    ],
)
def test_what_cannot_be_followed_is_said_with_the_way_out(settings: list[str], complaint: str) -> None:
    with pytest.raises(UsageError) as raised:
        scenario_files.load_scenario("smoke", settings=settings)
    assert complaint in str(raised.value)


def test_phases_of_one_workload_are_told_apart_by_their_names() -> None:
    phases = 'phases=[{workload="mix",requests=3},{name="again",workload="mix",requests=3}]'
    chosen = scenario_files.load_scenario("smoke", settings=[phases])
    assert [phase.name for phase in chosen.phases] == ["mix", "again"]
    workload = next(chosen.workloads())
    assert {name: len(requests) for name, requests in workload.by_phase.items()} == {"mix": 3, "again": 3}


def test_an_open_phase_draws_as_many_requests_as_it_starts_and_those_of_its_warm_up() -> None:
    phases = 'phases=[{workload="mix",warm_up=2,time_s=3,arrival={kind="constant_rate",rate_per_s=5}}]'
    chosen = scenario_files.load_scenario("smoke", settings=[phases])
    assert len(next(chosen.workloads()).by_phase["mix"]) == 17


def test_a_value_that_is_not_toml_is_text() -> None:
    assert scenario_files.load_scenario("smoke", settings=["title=Before and after"]).title == "Before and after"


def test_choosing_strategies_keeps_the_pair_where_it_can() -> None:
    chosen = scenario_files.load_scenario("guide", strategies="fix1, frontier,fix2")
    assert (chosen.variant_names, chosen.baseline, chosen.candidate) == (
        ("fix1", "frontier", "fix2"),
        "fix1",
        "frontier",
    )


def test_smoke_is_held_to_nothing_that_depends_on_how_fast_the_machine_is() -> None:
    budgets = map(parse, scenario_files.load_scenario("smoke").budgets)
    assert not [str(each) for each in budgets if METRICS[each.metric].timed == "always"]


def test_the_schema_for_editors_knows_each_section() -> None:
    schema = scenario_files.json_schema()
    assert {"phases", "corpus", "workload", "latency", "budgets"} <= set(
        schema["$defs"]["MemoryScenario"]["properties"]
    )


def test_a_file_is_named_by_its_path(tmp_path: Path) -> None:
    copy = tmp_path / "mine.toml"
    copy.write_text(shipped()["smoke"].read_text(encoding="utf-8"), encoding="utf-8")
    assert scenario_files.load_scenario(str(copy)) == scenario_files.load_scenario("smoke")
    copy.write_bytes(b"name = ")
    with pytest.raises(UsageError, match=r"mine\.toml: not readable as TOML"):
        scenario_files.load_scenario(str(copy))


def test_what_a_worker_is_told_names_no_key_that_an_older_one_need_not_know() -> None:
    whole, cut = (scenario_files.load_scenario("smoke", settings=settings) for settings in ((), ["slices=4"]))
    assert "slices" not in whole.for_worker
    assert cut.for_worker["slices"] == 4
    for chosen in (whole, cut):
        assert parsed(json.loads(json.dumps(chosen.for_worker))) == chosen


def test_an_operation_of_a_trace_that_there_is_not_is_named(tmp_path: Path) -> None:
    trace = tmp_path / "day.jsonl"
    trace.write_text('{"offset_s": 0, "operation": "qeury", "arguments": {}}\n', encoding="utf-8")
    phases = f"phases=[{{arrival={{kind='trace', path='{trace}'}}}}]"
    with pytest.raises(
        UsageError, match=r"phases\.0: there is no operation for a trace: 'qeury'\. Did you mean 'query'"
    ):
        scenario_files.load_scenario("smoke", settings=[phases])


OLD_SPELLING = """
name = "old"
title = "Old"
target = "http"
strategies = ["external"]
baseline = "external"
candidate = "external"
latency = "local"
service_url = "http://127.0.0.1:7399/"
[database]
provisioner = "embedded"
[corpus]
kind = "generated"
size = 10
[[phases]]
workload = "query"
arrival = { kind = "closed_loop", users = 1 }
requests = 20
"""


def test_the_memory_systems_service_is_found_under_its_old_name(tmp_path: Path) -> None:
    path = tmp_path / "old.toml"
    path.write_text(OLD_SPELLING, encoding="utf-8")
    chosen = scenario_files.load_scenario(str(path), settings=["seed=3"])
    assert (type(chosen), chosen.target) == (MemoryScenario, "anima-http")
    selected = scenario_files.load_scenario("smoke", settings=["target=http"], strategies="batched")
    assert selected.target == "anima-http"
    recorded = {**chosen.model_dump(mode="json"), "target": "http"}
    assert scenario_files.stored("run", recorded, None).target == "anima-http"


@pytest.mark.parametrize(("encoding", "complaint"), [("utf-16", "Save it as UTF-8"), ("latin-1", "Save it as UTF-8")])
def test_a_scenario_in_another_encoding_is_told_so(tmp_path: Path, encoding: str, complaint: str) -> None:
    copy = tmp_path / "copy.toml"
    copy.write_text("# é\n" + shipped()["smoke"].read_text(encoding="utf-8"), encoding=encoding)
    with pytest.raises(UsageError, match=complaint):
        scenario_files.load_scenario(str(copy))


def test_an_editors_mark_before_a_scenario_is_passed_over(tmp_path: Path) -> None:
    copy = tmp_path / "copy.toml"
    copy.write_text(shipped()["smoke"].read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert scenario_files.load_scenario(str(copy)) == scenario_files.load_scenario("smoke")
