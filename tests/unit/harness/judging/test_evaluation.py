"""Which requests a budget is about: stages, windows, laws at one point, and a run that goes on."""

from harness.judging.budget_metrics.protocol import Evaluation, Outcome
from harness.judging.budgets import parse
from harness.judging.evaluation import evaluate, fails_already
from harness.record import PhaseRecord
from harness.samples import Sample
from tests.records import sample, samples, variant


def paced(*latencies_s: float, per_s: float = 10, **fields: object) -> tuple[Sample, ...]:
    """Requests that start at equal distances."""
    return tuple(
        sample("query", latency_s, started_s=number / per_s, phase="mix", **fields)
        for number, latency_s in enumerate(latencies_s)
    )


def evaluated(text: str, taken: tuple[Sample, ...]) -> Evaluation:
    return evaluate(parse(text), variant("batched", taken))


def test_a_stage_is_judged_by_its_own_requests() -> None:
    slow_start = paced(*[3.0] * 100, stage=0) + paced(*[0.1] * 100, stage=1)
    assert evaluated("mix{stage=1}.p95 <= 1s", slow_start).outcome is Outcome.FAIL
    assert evaluated("mix{stage=2}.p95 <= 1s", slow_start).outcome is Outcome.PASS
    assert evaluated("mix{stage=3}.p95 <= 1s", slow_start).reason.startswith("no such request was measured")


def test_every_window_has_to_hold_and_the_worst_is_named() -> None:
    hiccup = paced(*[0.1] * 100, *[2.0] * 100, *[0.1] * 4_800)
    assert evaluated("query.p50 <= 1s", hiccup).outcome is Outcome.PASS
    worst = evaluated("query{window=10s}.p50 <= 1s", hiccup)
    assert (worst.outcome, worst.n, worst.measured) == (Outcome.FAIL, 100, 2.0)
    assert worst.where == "from 10.0 s on, in round 1 of mix"


def test_one_of_many_windows_fails_only_when_it_is_surer_than_one_alone() -> None:
    """7 of 59 over the limit: by chance in 3 % of windows whose p95 is at it, so in nearly half of runs of 20."""
    window = ([0.1] * 7 + [2.0]) * 7 + [0.1] * 3
    assert evaluated("query.p95 <= 1s", paced(*window)).outcome is Outcome.FAIL
    everywhere_else = [0.1] * 59 * 19
    several = evaluated("query{window=5900ms}.p95 <= 1s", paced(*window, *everywhere_else))
    assert several.outcome is Outcome.UNDECIDED


def test_requests_that_resemble_their_neighbours_count_as_fewer_at_the_end_and_before() -> None:
    """7 of 59 are over the limit: apart, or one after another as in a single incident."""
    apart, together = ([0.5] * 7 + [1.5]) * 7 + [0.5] * 3, [0.5] * 30 + [1.5] * 7 + [0.5] * 22
    budget = parse("query.p95 <= 1s abort")
    spread, incident = (variant("batched", paced(*latencies)) for latencies in (apart, together))
    assert (evaluate(budget, spread).outcome, evaluate(budget, spread).n_effective) == (Outcome.FAIL, None)
    assert fails_already(budget, spread, 1.0)
    assert (evaluate(budget, incident).outcome, evaluate(budget, incident).n_effective) == (Outcome.UNDECIDED, 13)
    assert not fails_already(budget, incident, 1.0)


def test_neighbours_are_those_in_the_order_of_their_starts() -> None:
    incident = paced(*[0.5] * 30, *[1.5] * 7, *[0.5] * 22)
    answered_anyhow = tuple(sorted(incident, key=lambda each: each.intended_s % 0.7))
    assert evaluated("query.p95 <= 1s", answered_anyhow) == evaluated("query.p95 <= 1s", incident)


def test_a_window_in_which_nothing_was_answered_has_no_throughput() -> None:
    stalled = paced(*[0.1] * 100) + tuple(
        sample("query", 0.1, started_s=30 + number / 10, phase="mix") for number in range(100)
    )
    worst = evaluated("query{window=10s}.throughput >= 5/s", stalled)
    assert (worst.outcome, worst.measured) == (Outcome.FAIL, 0)


def test_a_pass_shorter_than_a_window_cannot_be_judged_by_it() -> None:
    assert evaluated("query{window=60s}.p50 <= 1s", paced(*[0.1] * 100)).outcome is Outcome.INVALID


def test_throughput_is_over_the_time_of_the_whole_phase_whoever_else_was_in_it() -> None:
    queries = paced(*[1.0] * 10, per_s=1)
    adds = tuple(sample("add", 0.5, started_s=19.5, phase="mix") for _ in range(10))
    assert evaluated("query.throughput >= 1/s", queries + adds).measured == 10 / 20
    assert evaluated("mix.throughput >= 1/s", queries + adds).measured == 20 / 20


def test_a_law_that_met_one_n_only_is_warned_of() -> None:
    constant = samples([0.1] * 5, statements=3, results=20)
    assert "Every request had n = 20" in evaluated("query.statements <= 2 + ceil(n / 20)", constant).warning
    assert not evaluated("query.statements <= 3", constant).warning
    swept = constant + samples([0.1], statements=3, results=1)
    assert not evaluated("query.statements <= 2 + ceil(n / 20)", swept).warning


def test_a_run_that_goes_on_fails_only_when_it_is_sure() -> None:
    one_error = variant("batched", samples([0.1] * 20) + samples([0.1], error="timeout"))
    many = variant("batched", (samples([0.1] * 4) + samples([0.1], error="timeout")) * 5)
    budget = parse("query.errors <= 5% abort")
    assert evaluate(budget, variant("batched", samples([0.1] * 9) + samples([0.1], error="timeout"))).outcome == "FAIL"
    assert fails_already(budget, one_error, 0.5) is None
    assert fails_already(budget, many, 0.5) is not None
    slow = variant("batched", samples([0.1] * 8 + [2.0] * 2))
    quantile = parse("query.p50 <= 1s abort")
    assert fails_already(quantile, slow, 0.5) is None
    assert fails_already(quantile, variant("batched", samples([2.0] * 20)), 0.5) is not None


def of_phase(name: str, started: int, **fields: object) -> PhaseRecord:
    return PhaseRecord.model_validate(
        {
            "name": name, "workload": name, "round": 0, "arrival": "closed_loop", "loop": "closed", "started": started,
            "started_s": 0.0, "ended_s": 1.0,
        }
        | fields
    )  # fmt: skip


def test_of_the_background_queue_the_worst_round_counts() -> None:
    rounds = (((0.0, 70.0, 30.0), 1.5), ((10.0, 60.0, 50.0), 0.5))
    phases = tuple(
        of_phase(
            "mix",
            100,
            round=number,
            ended_s=10.0,
            levels={"at_s": (0.0, 5.0, 10.0), "values": {"background_queued": queued}},
            drain_s=drain_s,
        )
        for number, (queued, drain_s) in enumerate(rounds, start=1)
    )
    run = variant("batched", samples([0.1] * 4, phase="mix"), phases=phases)
    for text, measured in (("queued_at_end <= 50", 50.0), ("queued_growth <= 4/s", 4.0), ("drain <= 1500ms", 1.5)):
        evaluation = evaluate(parse(f"mix.background_{text}"), run)
        assert (evaluation.outcome, evaluation.measured, evaluation.n) == (Outcome.PASS, measured, 200)
    for text in ("queued_at_end <= 49", "queued_growth <= 3.9/s", "drain <= 1.4s"):
        assert evaluate(parse(f"mix.background_{text}"), run).outcome is Outcome.FAIL


def test_where_a_round_does_not_tell_its_background_queue_there_is_no_verdict_on_it() -> None:
    levels = {"at_s": (0.0, 1.0), "values": {"background_queued": (0.0, 0.0)}}
    phases = (of_phase("mix", 2, levels=levels, drain_s=0.1), of_phase("mix", 2, drain_s=0.2))
    run = variant("batched", samples([0.1] * 4, phase="mix"), phases=phases)
    untold = evaluate(parse("mix.background_queued_at_end <= 1"), run)
    assert untold.outcome is Outcome.INVALID
    assert "does not tell" in untold.reason
    assert evaluate(parse("mix.background_drain <= 1s"), run).measured == 0.2


def test_recall_is_that_of_the_operation_that_is_named() -> None:
    run = variant(
        "batched",
        (*samples([0.1], "query"), *samples([0.1], "find")),
        recalls=(0.5,),
        recalls_by_operation={"find": (0.8, 1.0)},
    )
    assert evaluate(parse("find.recall >= 90%"), run).outcome is Outcome.PASS
    assert evaluate(parse("query.recall >= 60%"), run).outcome is Outcome.FAIL
    untold = evaluate(parse("find.recall >= 90%"), variant("batched", samples([0.1], "find"), recalls=(0.5,)))
    assert (untold.outcome, untold.reason) == (
        Outcome.INVALID,
        "the target did not search exactly as well as by find",
    )


def test_statements_that_the_server_counts_are_told_of_the_phases_in_which_it_does() -> None:
    timed, watched = of_phase("query", 4), of_phase("query", 2, counters={"sent_statements": 6.0})
    run = variant("batched", samples([0.1] * 4, phase="query"), phases=(timed, watched))
    counted = evaluate(parse("query.statements_per_op <= 3"), run)
    assert (counted.outcome, counted.measured, counted.n) == (Outcome.PASS, 3, 2)
    assert evaluate(parse("query.statements_per_op <= 2.9"), run).outcome is Outcome.FAIL
    untold = of_phase("query", 2, uncounted={"sent_statements": "nobody says it"})
    for phases, reason in (((timed, untold), "nobody says it"), ((timed,), "no probe")):
        blind = variant("batched", samples([0.1] * 4, phase="query"), phases=phases)
        assert reason in evaluate(parse("query.statements_per_op <= 3"), blind).reason


def test_what_a_phase_cost_is_told_per_request_of_that_phase() -> None:
    phases = (
        of_phase("query", 4, counters={"wal_bytes": 400.0, "client_cpu_s": 0.008}),
        of_phase("mix", 2, counters={"wal_bytes": 1000.0}, uncounted={"client_cpu_s": "nobody looked"}),
    )
    mixed = (sample("query", phase="mix"), sample("add", phase="mix"))
    run = variant("batched", (*samples([0.1] * 4, phase="query"), *mixed), phases=phases)
    wal = evaluate(parse("query.wal_bytes_per_op <= 100"), run)
    assert (wal.outcome, wal.measured, wal.n) == (Outcome.PASS, 100, 4)
    assert evaluate(parse("query.client_cpu_ms_per_op <= 1.9"), run).outcome is Outcome.FAIL
    assert evaluate(parse("mix.wal_bytes_per_op <= 499.5"), run).measured == 500
    assert evaluate(parse("mix.client_cpu_ms_per_op <= 1"), run).reason == "client_cpu_s was not counted: nobody looked"
    assert "no probe" in evaluate(parse("query.rows_per_op <= 1"), run).reason
    assert evaluate(parse("add.wal_bytes_per_op <= 1"), run).reason == "no phase was its own, or came to its end"
