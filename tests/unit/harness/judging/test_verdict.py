from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from harness.errors import ExitCode
from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.budgets import parse
from harness.judging.verdict import BudgetVerdict, Verdict, judge, wanting
from harness.record import INTERRUPTED, Resumption, RunRecord
from tests.records import guide_record, phase, record, sample, samples, variant


def judged(run: RunRecord, *texts: str) -> Verdict:
    return judge(run, [parse(text) for text in texts])


def judged_alone(run: RunRecord, text: str) -> BudgetVerdict:
    (budget,) = judged(run, text).budgets
    return budget


def run_of(service_times_s: Sequence[float]) -> RunRecord:
    return record(variant("batched", samples(service_times_s)))


def test_a_p95_budget_passes_from_59_samples_within_it() -> None:
    assert judged_alone(run_of([0.1] * 59), "query.p95 <= 150ms").outcome is Outcome.PASS


def test_too_few_samples_are_undecided_and_say_how_many_more_they_need() -> None:
    verdict = judged(run_of([0.1] * 20), "query.p95 <= 150ms")
    (budget,) = verdict.budgets
    assert (verdict.outcome, verdict.exit_code) == (Outcome.UNDECIDED, ExitCode.UNDECIDED)
    assert budget.further_samples == 39
    assert "but 20 requests cannot show it: it needs about 39 more." in budget.sentence
    assert verdict.sentence == "Of 1 budget, 1 undecided for want of samples."


def test_a_failure_says_by_how_much() -> None:
    verdict = judged(run_of([0.4] * 80), "query.p95 <= 300ms")
    (budget,) = verdict.budgets
    assert (verdict.outcome, verdict.exit_code) == (Outcome.FAIL, ExitCode.FAIL)
    assert budget.sentence == "400 ms > 300 ms (33% over), in 80 requests."
    assert budget.excess == pytest.approx(0.1)


def test_a_failed_request_counts_as_slower_than_any_limit() -> None:
    fast = samples([0.01] * 90)
    refused = samples([0.001] * 10, error="timeout")
    budget = judged_alone(record(variant("batched", fast + refused)), "query.p95 <= 300ms")
    assert budget.outcome is not Outcome.PASS
    assert budget.sentence.startswith("Over any limit, since too many requests failed")


def test_a_verdict_says_that_requests_count_as_fewer() -> None:
    slow_in_a_row = samples([0.5] * 30 + [1.5] * 7 + [0.5] * 22)
    sentence = judged_alone(record(variant("batched", slow_in_a_row)), "query.p95 <= 1s").sentence
    assert sentence.endswith("Requests resemble their neighbours: 59 count as 13.")


@pytest.mark.parametrize(
    ("text", "outcome", "sentence"),
    [
        ("query.errors <= 1%", "FAIL", "10% > 1% (9 percentage points over), in 20 requests."),
        ("query.errors <= 10%", "PASS", "10% ≤ 10% (nothing to spare), in 20 requests."),
        ("query.errors <= 11%", "PASS", "10% ≤ 11% (1 percentage point to spare), in 20 requests."),
        ("query.statements <= 3", "PASS", "3 ≤ 3 (nothing to spare), in 18 requests."),
        ("query.statements <= 2", "FAIL", "3 > 2 (1 over), in 18 requests."),
        ("query.statements <= 1,000", "PASS", "3 ≤ 1,000 (997 to spare), in 18 requests."),
        ("query.statements >= 4", "FAIL", "2 < 4 (2 short), in 18 requests."),
        ("query{text=known}.max <= 30ms", "FAIL", "100 ms > 30.0 ms (3.33 times the limit), in 18 requests."),
        ("query{text=known}.max <= 156ms", "PASS", "100 ms ≤ 156 ms (36% to spare), in 18 requests."),
        ("query{text=known}.max <= 99.99ms", "FAIL", "100 ms > 100 ms (under 0.1% over), in 18 requests."),
        ("query{text=known}.max <= 0ms", "FAIL", "100 ms > 0 µs (100 ms over), in 18 requests."),
        ("query.statements <= 1 + ceil(n / 10)", "PASS", "2 ≤ 2 for n = 10 (nothing to spare), in 18 requests."),
        ("query.max <= 1s", "FAIL", "Over any limit, since too many requests failed, in 20 requests."),
        ("cache.hit_rate >= 40%", "PASS", "50% ≥ 40% (10 percentage points to spare), in 18 requests."),
        ("cache.hit_rate >= 60%", "FAIL", "50% < 60% (10 percentage points short), in 18 requests."),
        ("background.failures <= 0", "PASS", "0 ≤ 0 (nothing to spare), in 0 requests."),
    ],
)
def test_exact_budgets_are_compared_as_counted(text: str, outcome: str, sentence: str) -> None:
    cached = samples([0.1] * 9, embedding="cache", statements=2, results=10, first_time_text=False)
    answered = cached + samples([0.1] * 9, embedding="ollama", statements=3, results=20, first_time_text=False)
    run = record(variant("batched", answered + samples([0.1] * 2, error="timeout")))
    budget = judged_alone(run, text)
    assert (budget.outcome, budget.sentence) == (outcome, sentence)


def test_a_law_is_held_by_the_request_nearest_to_its_own_limit() -> None:
    costs = [sample(statements=12, results=100), sample(statements=4, results=1)]
    budget = judged_alone(record(variant("batched", costs)), "query.statements <= 2 + ceil(n / 10)")
    assert (budget.outcome, budget.measured, budget.limit) == (Outcome.FAIL, 4, 3)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("query.statements <= 3", "did not count statements"),
        ("query{text=first}.p95 <= 1s", "no such request was measured"),
        ("add.p95 <= 1s", "no such request was measured"),
        ("cache.hit_rate >= 1%", "no request says who answered"),
        ("naive: query.p95 <= 1s", "the variant 'naive' was not run"),
    ],
)
def test_what_was_not_observed_is_invalid(text: str, reason: str) -> None:
    verdict = judged(run_of([0.1] * 80), text)
    assert (verdict.outcome, verdict.exit_code) == (Outcome.INVALID, ExitCode.INVALID)
    assert reason in verdict.budgets[0].sentence


def test_a_law_needs_what_its_variables_stand_for() -> None:
    run = record(variant("batched", samples([0.1] * 5, statements=3)))
    assert "did not say n" in judged_alone(run, "query.statements <= 2 + n").sentence


@pytest.mark.parametrize(
    ("run", "objection"),
    [
        (record(), "no request was measured"),
        (record(variant("batched")), "no request was measured"),
        (record(variant("batched", samples([0.1] * 3, error="timeout"))), "all of 3 query requests of batched failed"),
        (record(variant("batched", samples([0.1] * 80)), state="partial"), "ended without saying why"),
        (
            record(variant("batched", samples([0.1] * 80)), state="partial", interruption="the disk is full"),
            "the run is partial: the disk is full",
        ),
        (
            record(state="partial", interruption="The service was not ready. It said nothing."),
            "the run is partial: The service was not ready. It said nothing; no request was measured.",
        ),
    ],
)
@pytest.mark.parametrize("texts", [[], ["query.p95 <= 300ms"], ["query.errors <= 100%"]])
def test_an_empty_a_failed_and_a_partial_run_never_pass(run: RunRecord, objection: str, texts: list[str]) -> None:
    verdict = judged(run, *texts)
    assert (verdict.outcome, verdict.exit_code) == (Outcome.INVALID, ExitCode.INVALID)
    assert objection in verdict.sentence


@pytest.mark.parametrize(
    ("texts", "outcome"),
    [
        ([], Outcome.INVALID),
        (["query.p95 <= 300ms"], Outcome.INVALID),
        (["query.p95 <= 1ms"], Outcome.INVALID),
        (["query.p95 <= 300ms", "query.statements <= 3"], Outcome.INVALID),
        (["query.p95 <= 300ms", "query.statements <= 2"], Outcome.FAIL),
        (["query.statements <= 3"], Outcome.PASS),
        (["query.statements <= 2"], Outcome.FAIL),
        (["query.errors <= 0%", "query.statements <= 3"], Outcome.PASS),
        (["query.errors >= 1%", "query.statements <= 3"], Outcome.INVALID),
    ],
)
def test_what_is_counted_is_judged_where_timings_cannot_be(texts: list[str], outcome: Outcome) -> None:
    stolen = phase(counters={"host_cpu_s": 10.0, "host_steal_s": 1.0})
    run = record(variant("batched", samples([0.1] * 80, statements=3), phases=(stolen,)))
    verdict = judged(run, *texts)
    assert (verdict.outcome, verdict.exit_code) == (outcome, ExitCode[outcome.name])
    assert "cannot be judged: 10% of the processor time was stolen" in verdict.sentence
    assert verdict.objections == ()
    assert verdict.against_timings == verdict.timing_objections != ()


def test_an_interrupted_run_has_an_exit_code_of_its_own() -> None:
    run = record(variant("batched", samples([0.1] * 80)), state="partial", interruption=INTERRUPTED)
    assert judged(run, "query.p95 <= 300ms").exit_code is ExitCode.INTERRUPTED


@pytest.mark.parametrize(
    ("texts", "outcome"),
    [
        (["query.p95 <= 1s", "query.p99 <= 1s"], Outcome.UNDECIDED),
        (["query.p95 <= 1s", "query.p99 <= 1s", "add.p95 <= 1s"], Outcome.INVALID),
        (["query.p95 <= 1s", "query.p99 <= 1s", "add.p95 <= 1s", "query.p50 <= 1ms"], Outcome.FAIL),
        (["query.p95 <= 1s", "query.p50 <= 1s"], Outcome.PASS),
        ([], Outcome.PASS),
    ],
)
def test_the_worst_budget_decides(texts: list[str], outcome: Outcome) -> None:
    verdict = judged(run_of([0.1] * 80), *texts)
    assert verdict.outcome is outcome
    assert verdict.exit_code.name == outcome.name
    assert [each.outcome for each in verdict.worst_first][:1] == [outcome][: len(texts)]


def test_budgets_are_the_scenarios_and_of_its_candidate_unless_they_name_another() -> None:
    run = record(
        variant("naive", samples([4.0] * 80)),
        variant("batched", samples([0.1] * 80)),
        scenario={"candidate": "batched", "budgets": ["query.p95 <= 1s", "naive: query.p95 <= 1s"]},
    )
    assert [(each.variant, each.outcome.name) for each in judge(run).budgets] == [
        ("batched", "PASS"),
        ("naive", "FAIL"),
    ]


def test_a_mean_is_judged_by_its_bounds() -> None:
    run = run_of([0.1, 0.12] * 20)
    assert judged_alone(run, "query.mean <= 120ms").outcome is Outcome.PASS
    assert judged_alone(run, "query.mean <= 105ms").outcome is Outcome.FAIL
    undecided = judged_alone(run, "query.mean <= 111ms")
    assert undecided.outcome is Outcome.UNDECIDED
    assert undecided.further_samples


def test_the_guides_run_passes() -> None:
    assert judge(guide_record()).exit_code == ExitCode.PASS


def looked_at(service_times_s: Sequence[float], *looks: int) -> RunRecord:
    return record(variant("batched", samples(service_times_s)), looks=tuple({"batched": n} for n in looks))


def test_a_run_that_may_go_on_needs_a_little_more_for_its_first_verdict() -> None:
    short = judged_alone(looked_at([0.1] * 62, 62), "query.p95 <= 150ms")
    assert (short.outcome, judged_alone(run_of([0.1] * 62), "query.p95 <= 150ms").outcome) == ("UNDECIDED", "PASS")
    assert judged_alone(looked_at([0.1] * 63, 63), "query.p95 <= 150ms").outcome is Outcome.PASS


def test_the_first_look_that_decides_is_the_verdict_and_later_samples_do_not_change_it() -> None:
    budget = judged_alone(looked_at([0.1] * 80 + [9.0] * 80, 80, 160), "query.p95 <= 150ms")
    assert (budget.outcome, budget.n, budget.measured) == (Outcome.PASS, 80, 0.1)
    assert budget.sentence == "100 ms ≤ 150 ms (33% to spare), in the first 80 of 160 requests."


def test_a_later_look_decides_what_an_earlier_one_could_not() -> None:
    budget = judged_alone(looked_at([0.1] * 30 + [0.2] + [0.1] * 200, 31, 231), "query.p95 <= 150ms")
    assert (budget.outcome, budget.n) == (Outcome.PASS, 231)
    still = judged_alone(looked_at(([0.1] * 18 + [0.2]) * 4, 38, 76), "query.p95 <= 150ms")
    assert (still.outcome, still.n) == (Outcome.UNDECIDED, 76)


def test_a_look_that_saw_no_new_sample_of_a_budget_costs_it_nothing() -> None:
    run = record(
        variant("batched", samples([0.1] * 63)),
        variant("naive", samples([0.1] * 9)),
        looks=({"batched": 63, "naive": 3}, {"batched": 63, "naive": 6}, {"batched": 63, "naive": 9}),
    )
    assert judged_alone(run, "batched: query.p95 <= 150ms").sentence.endswith("in 63 requests.")


def test_exact_budgets_are_about_all_samples_whenever_they_were_taken() -> None:
    run = record(variant("batched", (sample(statements=3), sample(statements=4))), looks=({"batched": 1},))
    assert judged_alone(run, "query.statements <= 3").outcome is Outcome.FAIL


def going_on(*texts: str, service_times_s: Sequence[float] = (0.1,) * 20) -> RunRecord:
    budgets = {"candidate": "batched", "budgets": list(texts)}
    return record(
        variant("batched", samples(service_times_s)), state="partial", scenario=budgets, looks=({"batched": 20},)
    )


def test_a_run_wants_more_samples_of_what_is_undecided() -> None:
    wants = wanting(going_on("query.p95 <= 150ms", "query.errors <= 0%"))
    assert wants == {"batched": "query.p95 <= 150ms needs about 49 more samples"}


@pytest.mark.parametrize("texts", [[], ["query.errors <= 0%"], ["query.p95 <= 1s", "query.max <= 1ms"]])
def test_a_run_whose_verdict_stands_wants_none(texts: list[str]) -> None:
    assert wanting(going_on(*texts)) == {}


def test_a_run_that_was_resumed_says_so_in_its_verdict() -> None:
    resumption = Resumption(at=datetime(2026, 1, 1, tzinfo=UTC), interruption="killed", discarded={"batched": 7})
    run = record(variant("batched", samples([0.1] * 80)), resumptions=(resumption,))
    assert judged(run, "query.p95 <= 1s").sentence == (
        "The budget holds. The run was resumed once; 7 requests of a round that was cut off were measured again."
    )
