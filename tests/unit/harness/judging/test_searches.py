"""No latency passes for a search of which nobody knows what it finds; a budget may ask for one that finds enough."""

from typing import Any

import pytest

from harness.errors import UsageError
from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.budgets import parse
from harness.judging.feasibility import check
from harness.judging.verdict import BudgetVerdict, judge
from harness.record import PlanRecord, PlanStep, RunRecord, VariantRecord
from harness.showing.renderers import RENDERERS, rendered
from harness.showing.renderers.html.recall_figures import recall_figures
from harness.showing.report import report_of
from harness.showing.summary import summarise
from tests.records import record, samples, variant


def plan(statement: str = "near", kind: str = "hnsw") -> PlanRecord:
    step = PlanStep(node_type="Index Scan", index="points_at", access_method=kind)
    return PlanRecord(statement=statement, indexes=("points_at",), root=step)


def searching(name: str = "ef_40", *, time_s: float = 0.01, recalls: Any = (), **fields: Any) -> VariantRecord:
    stated: dict[str, Any] = {"plans": (plan(),), **fields}
    by_operation = {"near": tuple(recalls)} if recalls else {}
    return variant(name, samples([time_s] * 80, "near"), recalls_by_operation=by_operation, **stated)


def only(run: RunRecord, text: str) -> BudgetVerdict:
    (budget,) = judge(run, [parse(text)]).budgets
    return budget


@pytest.mark.parametrize("text", ["near.p95 <= 1s", "near.mean <= 1s", "near.max <= 1s", "near{window=1ms}.max <= 1s"])
def test_no_time_passes_for_an_approximate_search_without_its_recall(text: str) -> None:
    budget = only(record(searching()), text)
    assert budget.outcome is Outcome.INVALID
    assert budget.sentence == (
        "Cannot be judged: near searches by hnsw, which may miss what there is, and nobody measured its recall: set "
        "`recall_queries = 50` in the scenario."
    )


def test_with_its_recall_it_passes_and_says_it() -> None:
    budget = only(record(searching(recalls=[0.9, 1.0])), "near.p95 <= 1s")
    assert (budget.outcome, budget.sentence.endswith("in 80 requests. Recall of near: 95%.")) == (Outcome.PASS, True)


def test_what_is_too_slow_fails_whatever_it_finds() -> None:
    assert only(record(searching(time_s=2.0)), "near.p95 <= 1s").outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"plans": (plan(kind="btree"),)}, "near.p95 <= 1s"),
        ({"plans": (plan("other"),)}, "near.p95 <= 1s"),
        ({}, "near.errors <= 0%"),
    ],
)
def test_what_is_no_time_of_an_approximate_search_is_as_it_was(fields: dict[str, Any], text: str) -> None:
    assert only(record(searching(**fields)), text).outcome is Outcome.PASS


def test_searches_that_say_whether_they_are_complete_need_no_other_measure() -> None:
    proven = variant("frontier", samples([0.01] * 80, "near", proven=True), plans=(plan(),))
    assert only(record(proven), "near.p95 <= 1s").outcome is Outcome.PASS


SWEPT = record(
    searching("ef_10", time_s=0.002, recalls=[0.8]),
    searching("ef_40", time_s=0.010, recalls=[0.95]),
    searching("ef_80", time_s=0.020, recalls=[0.99]),
)


@pytest.mark.parametrize(
    ("text", "chosen", "outcome"),
    [
        ("near{recall=80%}.p95 <= 5ms", "ef_10", Outcome.PASS),
        ("near{recall=90%}.p95 <= 15ms", "ef_40", Outcome.PASS),
        ("near{recall=95%}.p95 <= 5ms", "ef_40", Outcome.FAIL),
        ("near{recall=95.1%}.p95 <= 25ms", "ef_80", Outcome.PASS),
        ("near{recall=95%, text=known}.p95 <= 25ms", "ef_40", Outcome.INVALID),
    ],
)
def test_a_budget_at_a_recall_is_of_the_first_variant_that_finds_as_much(
    text: str, chosen: str, outcome: Outcome
) -> None:
    budget = only(SWEPT, text)
    assert (budget.variant, budget.outcome) == (chosen, outcome)
    assert parse(budget.budget) == parse(text)


def test_a_recall_that_no_variant_reaches_fails_and_names_the_best() -> None:
    budget = only(SWEPT, "near{recall=99.5%}.p95 <= 1s")
    assert (budget.outcome, budget.timed) == (Outcome.FAIL, False)
    assert budget.sentence == "No variant reaches it: ef_80 finds most, 99% < 99.5%."


def test_where_nobody_measured_it_nothing_is_shown() -> None:
    budget = only(record(searching()), "near{recall=90%}.p95 <= 1s")
    assert (budget.outcome, "measured of no variant" in budget.sentence) == (Outcome.INVALID, True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("near{recall=95}.p95 <= 1s", "a recall is a share over 0%: write {recall=95%}"),
        ("near{recall=0%}.p95 <= 1s", "a recall is a share over 0%"),
        ("near{recall=101%}.p95 <= 1s", "a recall is a share over 0%"),
        ("ef_40: near{recall=95%}.p95 <= 1s", "the recall chooses the variant: leave its name out"),
        ("near{recall=95%}.p95 <= 1s abort", "a recall is known when the run is over"),
        ("near{recall=95%}.wal_bytes_per_op <= 1", "no label selects"),
        ("near{recal=95%}.p95 <= 1s", "Did you mean 'recall'"),
        ("near{text=known%}.p95 <= 1s", "unknown text"),
        ("near{stage=2%}.p95 <= 1s", "a stage is its number"),
    ],
)
def test_a_recall_that_cannot_be_read_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse(text)


def test_a_budget_at_a_recall_that_nobody_measures_is_refused_before_the_run() -> None:
    scenario = {"strategies": ["a"], "candidate": "a", "operations": ["near"], "planned": {"near": {"near": 80}}}
    with pytest.raises(UsageError, match="set `recall_queries = 50`"):
        check(scenario | {"budgets": ["near{recall=95%}.p95 <= 1s"]})


def test_every_report_has_the_latency_at_each_recall() -> None:
    report = report_of(SWEPT)
    for name in ("terminal", "markdown", "html", "comment"):
        text = rendered(report, RENDERERS[name])
        assert "Latency at its recall" in text, name
        text = text[text.rindex("Latency at its recall") :]
        assert text.index("80%") < text.index("95%") < text.index("99%"), name


def test_the_curve_is_drawn_where_several_variants_have_a_recall() -> None:
    """Someone who cannot see it hears its points, and what each recall that is asked for takes."""
    (figure,) = recall_figures(SWEPT, summarise(SWEPT))
    assert figure.title == "near"
    assert (
        "near: p95 over recall. ef_10 80% 2.00 ms, ef_40 95% 10.0 ms, ef_80 99% 20.0 ms. "
        "90% takes 10.0 ms. 95% takes 10.0 ms. 99% takes 20.0 ms."
    ) in figure.svg
    assert 'id="recall0' in rendered(report_of(SWEPT), RENDERERS["html"])


def test_a_recall_that_nothing_reaches_is_said_of_the_curve() -> None:
    swept = record(searching("ef_10", recalls=[0.8]), searching("ef_20", recalls=[0.9]))
    (figure,) = recall_figures(swept, summarise(swept))
    assert "90% takes 10.0 ms. Nothing finds 95%. Nothing finds 99%." in figure.svg


def test_one_recall_is_no_curve() -> None:
    one = record(searching(recalls=[0.9]))
    assert list(recall_figures(one, summarise(one))) == []
