import math
from typing import Any

import pytest

from harness.judging.analysis.quantiles import quantile_bounds
from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.verdict import judge
from harness.record import BackgroundRecord, RunRecord
from harness.showing.summary import Ladder, Summary, summarise
from tests.records import phase, record, sample, samples, variant


def ladder(summary: Summary, operation: str = "query", texts: str = "all") -> Ladder:
    (found,) = (each for each in summary.ladders if (each.operation, each.texts) == (operation, texts))
    return found


def ladder_of(*rungs_s: float) -> Ladder:
    """A ladder of well-sampled rungs with these latencies."""
    variants = (variant(f"step{number}", samples([rung_s] * 80)) for number, rung_s in enumerate(rungs_s))
    return ladder(summarise(record(*variants)))


def test_an_operation_is_summarised_over_all_known_and_first_time_texts() -> None:
    known = samples([0.1] * 4, first_time_text=False, embedding="cache", statements=3)
    first = samples([2.0, 3.0], first_time_text=True, embedding="ollama", statements=5)
    summary = summarise(record(variant("batched", known + first)))
    found = {each.texts: each for each in summary.operations}
    assert {texts: each.requests for texts, each in found.items()} == {"all": 6, "known": 4, "first": 2}
    assert found["all"].hit_rate == pytest.approx(4 / 6)
    assert (found["known"].hit_rate, found["first"].hit_rate) == (1.0, 0.0)
    assert found["first"].p50.value_s == 2.0
    statements = found["all"].statements
    assert statements is not None
    assert (statements.minimum, statements.median, statements.maximum) == (3, 3, 5)


def test_an_operation_says_how_many_users_or_starts_it_had_whatever_its_phases_are_named_after() -> None:
    closed = phase("mix", users=7)
    opened = phase("steady", loop="open", arrival="constant_rate", rate_per_s_target=20.0, planned=40)
    sent = (*samples([0.1], "add", phase="mix"), *samples([0.1], "query", phase="steady"))
    summary = summarise(record(variant("batched", sent, phases=(closed, opened))))
    assert [(each.users, each.rate_per_s) for each in summary.operations] == [(7, None), (None, 20.0)]


def test_a_scheduled_start_is_waited_for_from_the_moment_it_was_due() -> None:
    late = samples([0.1], intended_s=-2.0, scheduled=True, phase="steady")
    waited = summarise(record(variant("batched", late))).operations[0]
    assert waited.p50.value_s == pytest.approx(2.1)
    in_turn = summarise(record(variant("batched", samples([0.1], intended_s=-2.0)))).operations[0]
    assert in_turn.p50.value_s == pytest.approx(0.1)


def test_operations_without_texts_have_no_groups_of_texts() -> None:
    summary = summarise(record(variant("batched", samples([0.1], "bootstrap"))))
    assert [each.texts for each in summary.operations] == ["all"]


def test_a_quantile_among_failures_is_infinite_and_counts_are_of_answered_requests() -> None:
    run = record(variant("batched", samples([0.1] * 8, statements=3) + samples([0.1] * 2, error="timeout")))
    (found,) = summarise(run).operations
    assert (found.requests, found.errors) == (10, 2)
    assert found.p50.value_s == pytest.approx(0.1)
    assert (found.p95.value_s, found.maximum_s) == (math.inf, math.inf)
    assert found.statements is not None
    assert found.statements.minimum == 3


IN_BURSTS = [(0.05 if number % 128 > 120 else 0.02) + 0.00001 * (number * 37 % 100) for number in range(612)]


@pytest.mark.parametrize("looks", [(), ({"batched": 300}, {"batched": 612})])
@pytest.mark.parametrize("limit_ms", [30, 47, 55])
def test_bounds_of_a_table_are_those_that_its_budget_is_judged_by(limit_ms: int, looks: tuple[dict[str, int]]) -> None:
    starts = [sample("query", each, started_s=0.1 * number) for number, each in enumerate(IN_BURSTS)]
    budget = {"budgets": [f"query.p95 <= {limit_ms}ms"]}
    run = record(variant("batched", starts), scenario=budget, looks=looks)
    (judged,), (found,) = judge(run).budgets, summarise(run).operations
    assert judged.n_effective is not None
    if judged.n == len(IN_BURSTS):
        assert (judged.lower, judged.upper) == (found.p95.lower_s, found.p95.upper_s)
    else:
        assert judged.outcome in (Outcome.PASS, Outcome.FAIL)


def test_bounds_without_a_budget_count_requests_that_resemble_their_neighbours_as_fewer() -> None:
    bursts = [sample("query", each, started_s=0.1 * number) for number, each in enumerate(IN_BURSTS)]
    (found,) = summarise(record(variant("batched", bursts))).operations
    alone = quantile_bounds(sorted(IN_BURSTS), 0.95)
    assert found.p95.lower_s is not None
    assert found.p95.lower_s < alone.lower


def test_errors_are_counted_by_kind() -> None:
    run = record(variant("naive", [sample(error="timeout"), sample(error="refused"), sample(error="timeout")]))
    assert [(each.kind, each.count) for each in summarise(run).errors] == [("timeout", 2), ("refused", 1)]


def test_a_target_that_counts_nothing_has_no_counts() -> None:
    (found,) = summarise(record(variant("other", samples([0.1])))).operations
    assert (found.statements, found.round_trips, found.hit_rate) == (None, None, None)


def test_background_work_is_spread_over_the_answered_requests() -> None:
    work = BackgroundRecord(kind="co_occurrence", count=4, failures=1, statements=8, round_trips=12)
    run = record(variant("batched", [*samples([0.1] * 4), sample(error="timeout")], background=(work,)))
    (found,) = summarise(run).variants[0].background
    assert (found.statements_per_request, found.failures) == (2.0, 1)


def test_each_step_of_the_ladder_has_its_share_of_the_whole_reduction() -> None:
    found = ladder_of(10.0, 4.0, 1.0, 2.0)
    assert [step.variant for step in found.steps] == ["step0", "step1", "step2", "step3"]
    savings = [step.saved_p50 for step in found.steps]
    assert savings[0] is None
    assert [saving.saved_s for saving in savings if saving] == pytest.approx([6.0, 3.0, -1.0])
    assert [saving.share for saving in savings if saving] == pytest.approx([0.75, 0.375, -0.125])
    assert all(saving.resolved for saving in savings if saving)
    assert found.reduction_p50 is not None
    assert found.reduction_p50.resolved
    assert found.reduction_p50.share == pytest.approx(0.8)


def test_a_step_within_the_noise_is_not_resolved() -> None:
    noisy = [0.1 + 0.001 * number for number in range(80)]
    run = record(
        variant("before", samples([5.0] * 80)), variant("one", samples(noisy)), variant("two", samples(noisy[::-1]))
    )
    _, first, second = ladder(summarise(run)).steps
    assert first.saved_p50 is not None
    assert second.saved_p50 is not None
    assert (first.saved_p50.resolved, second.saved_p50.resolved) == (True, False)


def test_a_ladder_whose_ends_do_not_differ_has_no_shares() -> None:
    assert [step.saved_p50.share for step in ladder_of(1.0, 1.0).steps if step.saved_p50] == [None]


def test_nothing_is_saved_against_a_rung_that_failed() -> None:
    run = record(variant("before", samples([1.0] * 9, error="timeout")), variant("after", samples([1.0] * 9)))
    found = ladder(summarise(run))
    assert (found.steps[1].saved_p50, found.reduction_p50) == (None, None)


def test_the_ladder_follows_the_scenario_and_leaves_out_what_was_not_run() -> None:
    variants = [variant(name, samples([0.1])) for name in ("batched", "naive", "extra")]
    run = record(*variants, scenario={"strategies": ["naive", "fix1", "batched"]})
    assert [step.variant for step in ladder(summarise(run)).steps] == ["naive", "batched"]


def test_the_main_ladder_is_of_known_texts_where_texts_matter() -> None:
    known = samples([0.1], first_time_text=False)
    first = samples([2.0], first_time_text=True)
    either = [*known, *first, *samples([0.5], "bootstrap")]
    summary = summarise(record(variant("naive", either), variant("batched", either)))
    assert [(each.operation, each.texts) for each in summary.main_ladders] == [("query", "known"), ("bootstrap", "all")]


def compared(p50_s: float, p95_s: float, **reference: Any) -> tuple[str, str | None, float | None]:
    times_s = [p50_s] * 90 + [p95_s] * 10
    named = {"operation": "query", "variant": "naive"} | reference
    run: RunRecord = record(variant("naive", samples(times_s)), scenario={"references": [named]})
    (found,) = summarise(run).comparisons
    return found.statistic, found.position, found.distance_s


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ({"low_s": 3, "high_s": 8}, ("p50", "within", 0.0)),
        ({"low_s": 6, "high_s": 8}, ("p50", "below", -1.0)),
        ({"low_s": 1, "high_s": 2}, ("p50", "above", 3.0)),
        ({"low_s": 4, "high_s": 4}, ("p50", "above", 1.0)),
        ({"high_s": 8}, ("p95", "above", 2.0)),
        ({"low_s": 0, "high_s": 12}, ("p95", "within", 0.0)),
        ({"low_s": 3, "high_s": 8, "statistic": "p95"}, ("p95", "above", 2.0)),
        ({"high_s": 6, "statistic": "p50"}, ("p50", "within", 0.0)),
        ({"low_s": 3, "variant": "fix9"}, ("p50", None, None)),
        ({"low_s": 3, "text": "first"}, ("p50", None, None)),
    ],
)
def test_a_reference_is_compared_with_the_quantile_that_it_means(
    reference: dict[str, Any], expected: tuple[str, str | None, float | None]
) -> None:
    assert compared(5.0, 10.0, **reference) == expected


def test_a_record_without_anything_is_summarised() -> None:
    summary = summarise(record(scenario={}))
    assert (summary.variants, summary.ladders, summary.comparisons, summary.operations) == ((), (), (), ())
