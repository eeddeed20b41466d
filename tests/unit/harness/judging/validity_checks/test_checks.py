"""Each check at its limit, and that it says where and what to do."""

from typing import Any

import numpy as np
import pytest

from harness.errors import ExitCode
from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.budgets import parse
from harness.judging.validity_checks import VALIDITY_CHECKS
from harness.judging.verdict import judge
from harness.record import (
    ComparisonSettings,
    DisruptionRecord,
    LevelsRecord,
    Loop,
    PhaseRecord,
    ProfileRecord,
    RunRecord,
    StageRecord,
)
from harness.samples import Sample
from tests.records import record, sample, samples, variant


def phase(**fields: Any) -> PhaseRecord:
    values: dict[str, Any] = {
        "name": "query", "workload": "query", "round": 1, "arrival": "constant_rate", "loop": "open", "started": 100,
        "started_s": 0.0, "ended_s": 10.0,
    }  # fmt: skip
    return PhaseRecord(**(values | fields))


def objections(name: str, run: RunRecord) -> list[str]:
    return list(VALIDITY_CHECKS[name].objections(run))


def scheduled(lateness_s: float, latency_s: float, n: int = 100) -> list[Sample]:
    return [
        sample("query", latency_s, started_s=lateness_s, intended_s=0.0, scheduled=True, phase="query")
        for _ in range(n)
    ]


@pytest.mark.parametrize(
    ("lateness_s", "latency_s", "is_late"),
    [(0.0009, 0.001, False), (0.0012, 0.001, True), (0.004, 0.1, False), (0.006, 0.1, True)],
)
def test_a_generator_is_late_over_1_ms_and_over_5_percent_of_the_p50(
    lateness_s: float, latency_s: float, is_late: bool
) -> None:
    found = objections("late_generator", record(variant("batched", scheduled(lateness_s, latency_s))))
    assert bool(found) is is_late
    if is_late:
        assert "query of batched" in found[0]
        assert "Lower the rate" in found[0]


def test_a_phase_that_was_disrupted_is_not_late() -> None:
    """What waited for the database is answered at once afterwards, and what starts then waits for that."""
    disrupted = DisruptionRecord(round=1, phase="query", action="pause", planned_s=1.0, started_s=1.0, ended_s=2.0)
    for disruptions, found in (((), 1), ((disrupted,), 0)):
        run = record(variant("batched", scheduled(0.5, 0.001), disruptions=disruptions))
        assert len(objections("late_generator", run)) == found


def test_a_run_that_was_only_profiled_says_what_shows_it() -> None:
    profile = ProfileRecord(variant="batched", operation="query", round=1, requests=2, profiled_s=0.2, plain_s=0.1)
    run = record().model_copy(update={"profiles": (profile,)})
    [said] = objections("partial_run", run)
    assert said == f"no request was measured: it was only profiled, which `harness diff {run.run_id}` shows"


def test_a_closed_loop_is_never_late() -> None:
    assert not objections("late_generator", record(variant("batched", [sample(started_s=5.0, intended_s=0.0)])))


@pytest.mark.parametrize(("started", "missed"), [(1000, False), (990, False), (989, True)])
def test_a_rate_is_missed_when_over_1_percent_of_the_planned_requests_were_not_started(
    started: int, missed: bool
) -> None:
    run = record(variant("batched", [sample()], phases=(phase(planned=1000, started=started, dropped=5),)))
    found = objections("missed_rate", run)
    assert bool(found) is missed
    if missed:
        assert "11 of 1,000 planned requests (1.1%) were not started, 5 of them dropped" in found[0]


@pytest.mark.parametrize(
    ("fields", "in_process", "saturated"),
    [
        ({}, True, True),
        ({"processes": 2}, True, False),
        ({"loop": "closed"}, True, False),
        ({"loop": "closed"}, False, True),
        ({"counters": {"timed_client_cpu_s": 8.9}}, True, False),
        ({"counters": {}}, True, False),
        ({"counters": {"timed_client_cpu_s": 0.5}, "ended_s": 0.5}, True, False),
    ],
)
def test_a_client_is_saturated_where_its_processor_time_is_not_the_targets(
    fields: dict[str, Any], in_process: bool, saturated: bool
) -> None:
    busy = phase(**({"counters": {"timed_client_cpu_s": 9.5}} | fields))
    found = objections(
        "saturated_client", record(variant("batched", [sample()], phases=(busy,), in_process=in_process))
    )
    assert bool(found) is saturated
    if saturated:
        assert "busy for 95% of the time" in found[0]


@pytest.mark.parametrize(("stolen_s", "is_too_much"), [(2.0, False), (2.1, True)])
def test_time_is_stolen_over_5_percent_of_all_phases_together(stolen_s: float, is_too_much: bool) -> None:
    phases = (
        phase(counters={"host_steal_s": stolen_s, "host_cpu_s": 20.0}),
        phase(counters={"host_steal_s": 0.0, "host_cpu_s": 20.0}),
    )
    assert bool(objections("stolen_time", record(variant("batched", [sample()], phases=phases)))) is is_too_much


@pytest.mark.parametrize(("throttled", "is_too_much"), [(10.0, False), (11.0, True)])
def test_a_generator_is_throttled_over_5_percent_of_the_periods_of_all_phases(
    throttled: float, is_too_much: bool
) -> None:
    phases = (
        phase(counters={"cpu_quota_periods": 100.0, "cpu_quota_throttled_periods": throttled}),
        phase(counters={"cpu_quota_periods": 100.0, "cpu_quota_throttled_periods": 0.0}),
    )
    found = objections("throttled_generator", record(variant("batched", [sample()], phases=phases)))
    assert bool(found) is is_too_much
    if is_too_much:
        assert "5.5% of its periods" in found[0]
        assert "Raise the processor limit" in found[0]


def test_without_a_quota_no_generator_is_throttled() -> None:
    phases = (phase(counters={"cpu_quota_periods": 0.0, "cpu_quota_throttled_periods": 0.0}), phase())
    assert not objections("throttled_generator", record(variant("batched", [sample()], phases=phases)))


@pytest.mark.parametrize("loop", ["open", "closed"])
@pytest.mark.parametrize(
    ("counter", "says"), [("generator_stopped_s", "stood still for 3.00 s"), ("machine_asleep_s", "slept for 3.00 s")]
)
def test_a_generator_was_stopped_for_more_than_a_second_of_a_phase(loop: Loop, counter: str, says: str) -> None:
    found = list[str]()
    for stopped_s, count in ((0.0, 0), (1.0, 0), (3.0, 1)):
        phases = (phase(loop=loop, counters={counter: stopped_s}), phase(loop=loop))
        found = objections("stopped_generator", record(variant("batched", [sample()], phases=phases)))
        assert len(found) == count
    assert f"{says} in query of batched, round 1" in found[0]


@pytest.mark.parametrize(("kind", "advice"), [("EMFILE", "ulimit -n"), ("EADDRNOTAVAIL", "ip_local_port_range")])
def test_one_request_for_which_the_generator_had_no_file_or_port_makes_a_run_invalid(kind: str, advice: str) -> None:
    run = record(variant("batched", [*samples([0.1] * 99), sample(error=kind)]))
    (found,) = objections("exhausted_generator", run)
    assert f"1 requests to batched ({kind})" in found
    assert advice in found
    assert judge(run, [parse("query.errors <= 0%")]).exit_code == ExitCode.INVALID


def test_errors_of_the_system_are_not_the_generators() -> None:
    run = record(variant("batched", [sample(error="ClientConnectorError"), sample(error="503 UNAVAILABLE")]))
    assert not objections("exhausted_generator", run)


def growing(n: int = 200, **fields: Any) -> list[Sample]:
    random = np.random.default_rng(1)
    latencies_s = random.lognormal(-2, 0.2, n) * np.linspace(1, 2, n)
    return [
        sample("query", float(latency_s), started_s=float(place), phase="query", **fields)
        for place, latency_s in enumerate(latencies_s)
    ]


def test_latencies_that_rise_are_told_with_how_much_and_what_to_do() -> None:
    (found,) = objections("drifting_latencies", record(variant("batched", growing())))
    assert found.startswith("query of batched drifted: its latencies rose by ")
    assert "Raise `warm_up`" in found


def test_phases_that_are_meant_to_change_do_not_drift() -> None:
    staged = phase(stages=(StageRecord(start_s=0.0, users=10),))
    assert not objections("drifting_latencies", record(variant("batched", growing(), phases=(staged,))))


@pytest.mark.parametrize(
    ("budgets", "names"),
    [
        (["query.p95 <= 300ms", "naive: query.statements <= 250"], ["batched"]),
        (["naive: query.p95 <= 9s"], ["naive"]),
        (["query.statements <= 3"], ["naive", "batched"]),
    ],
    ids=["the candidate's time", "another's time", "no time at all"],
)
def test_drift_spoils_only_variants_whose_times_are_held_to_something(budgets: list[str], names: list[str]) -> None:
    scenario = {"name": "test", "strategies": ["naive", "batched"], "budgets": budgets}
    run = record(variant("naive", growing()), variant("batched", growing()), scenario=scenario)
    assert [found.split()[2] for found in objections("drifting_latencies", run)] == names


def test_a_comparison_is_spoilt_by_drift_of_its_own_variants_alone() -> None:
    run = record(
        variant("naive", growing()),
        variant("fix1", growing()),
        variant("batched", growing()),
        comparison=ComparisonSettings(baseline="naive", candidate="fix1", margin=0.05),
    )
    assert [found.split()[2] for found in objections("drifting_latencies", run)] == ["naive", "fix1"]


def test_first_time_texts_do_not_count_as_drift() -> None:
    assert not objections("drifting_latencies", record(variant("batched", growing(first_time_text=True))))


def test_an_objection_makes_the_whole_run_invalid_however_good_its_figures_are() -> None:
    run = record(variant("batched", scheduled(0.5, 0.1)))
    verdict = judge(run, [parse("query.p95 <= 10s")])
    assert (verdict.outcome, verdict.exit_code) == (Outcome.INVALID, ExitCode.INVALID)
    assert verdict.sentence.startswith("This run cannot be judged: the load generator was late")


def test_latencies_are_not_judged_where_more_failed_than_may() -> None:
    run = record(variant("batched", (samples([0.1] * 33) + samples([0.1], error="timeout")) * 3))
    verdict = judge(run, [parse("query.p90 <= 1s"), parse("query.errors <= 1%"), parse("query.p90 <= 1ms")])
    assert [budget.outcome for budget in verdict.budgets] == [Outcome.INVALID, Outcome.FAIL, Outcome.FAIL]
    assert "budget of errors" in verdict.budgets[0].sentence
    assert judge(run, [parse("query.p90 <= 1s"), parse("query.errors <= 5%")]).outcome is Outcome.PASS


def queue(*queued: float) -> LevelsRecord:
    return LevelsRecord(
        at_s=tuple(float(number) for number in range(len(queued))), values={"background_queued": queued}
    )


@pytest.mark.parametrize(
    ("levels", "drain_s", "is_debt"),
    [
        (queue(*range(131)), 6.8, True),
        (queue(*range(131)), 0.9, False),
        (queue(*range(131)), None, False),
        (queue(*range(50)), 6.8, False),
        (queue(*range(51)), 6.8, True),
        (queue(*range(66), *[65.0] * 65), 6.8, False),
        (queue(*range(66), *reversed(range(65))), 6.8, False),
        (queue(0.0, 130.0), 6.8, False),
        (None, 6.8, False),
    ],
    ids=["grows", "soon done", "an older record", "few", "enough", "settles", "falls again", "two looks", "untold"],
)
def test_a_phase_was_too_short_where_its_background_queue_grew_throughout(
    levels: LevelsRecord | None, drain_s: float | None, is_debt: bool
) -> None:
    run = record(variant("batched", [sample()], phases=(phase(levels=levels, drain_s=drain_s),)))
    found = objections("growing_backlog", run)
    assert bool(found) is is_debt
    if is_debt:
        assert "background work of batched did not keep up in query, round 1" in found[0]
        assert "took 6.80 s more" in found[0]


@pytest.mark.parametrize(
    ("refused", "scenario", "fields", "swallows"),
    [
        (10, {}, {}, True),
        (9, {}, {}, False),
        (10, {"operations": {"query": {"expect": {"json": {"id": 1}}}}}, {}, False),
        (10, {"operations": {"query": {"expect": {"status": 200, "json": None}}}}, {}, True),
        (10, {"operations": ["query"]}, {}, True),
        (10, {}, {"results": 1}, False),
    ],
)
def test_errors_are_swallowed_where_as_many_statements_failed_as_requests_that_nobody_looked_at_were_answered(
    refused: int, scenario: dict[str, Any], fields: dict[str, Any], swallows: bool
) -> None:
    answered = [sample("query", phase="query", round=1, **fields) for _ in range(8)]
    failed = [sample("query", phase="query", round=1, error="refused") for _ in range(2)]
    ran = variant("batched", [*answered, *failed], phases=(phase(counters={"failed_statements": float(refused)}),))
    found = objections("swallowed_errors", record(ran, scenario=scenario))
    assert bool(found) is swallows
    if swallows:
        assert "refused 10 statements in query of batched, round 1" in found[0]
        assert "reported 8 of 10 requests as answered" in found[0]


def test_a_log_that_nobody_could_read_says_nothing_of_errors() -> None:
    ran = variant("batched", [sample("query", phase="query", round=1)], phases=(phase(),))
    assert not objections("swallowed_errors", record(ran))
