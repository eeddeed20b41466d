"""What an accepted regression does to a verdict, and what it never does."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from harness.errors import ExitCode, UsageError
from harness.judging.aborting import AbortWatch
from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.comparison import Comparison, compare_asked, judged
from harness.judging.declaration import declaration_of
from harness.judging.gate import GateVerdict, judge_gate, refuse_unknown_figures
from harness.judging.verdict import BudgetVerdict, Verdict, wanting
from harness.judging.waivers import Waiver, new_since, of_budgets, of_figures, refuse_unknown_budgets
from harness.record import ComparisonSettings, RunRecord
from harness.showing.gate_report import GATE_FORMS, GateReport
from harness.showing.renderers import RENDERERS
from tests.records import phase, record, sample, samples, variant
from tests.unit.harness.judging.test_gate import PAIR, SideAt, both

BUDGET = "query.statements <= 3"


def waiver(budget: str = BUDGET, **fields: Any) -> Waiver:
    stated: dict[str, Any] = {
        "scenario": "notes",
        "reason": "a new column.",
        "owner": "ana",
        "expires": date(2026, 1, 1),
    }
    return Waiver(**(stated | {"budget": budget} | fields))


def run(*budgets: str, statements: int = 5, times_s: float = 0.1, n: int = 80, **fields: Any) -> RunRecord:
    return record(
        variant("batched", samples([times_s] * n, statements=statements)),
        scenario={"name": "notes", "strategies": ["batched"], "budgets": list(budgets or (BUDGET,))},
        **fields,
    )


def verdict_of(run: RunRecord, *waivers: Waiver) -> Verdict:
    found = judged(run, waivers)
    assert isinstance(found, Verdict)
    return found


def only(run: RunRecord, *waivers: Waiver) -> BudgetVerdict:
    (budget,) = verdict_of(run, *waivers).budgets
    return budget


def test_a_waived_failure_is_a_pass_with_waivers_that_names_it() -> None:
    verdict = verdict_of(run(BUDGET, "query.p95 <= 300ms"), waiver())
    assert (verdict.outcome, verdict.exit_code) == (Outcome.PASS_WITH_WAIVERS, ExitCode.PASS)
    assert verdict.sentence == "Of 2 budgets, 1 waived. Waived: query.statements <= 3 by ana until 2026-01-01."
    waived = verdict.worst_first[0]
    assert (waived.outcome, waived.waiver) == (Outcome.WAIVED, waiver())
    assert waived.sentence.endswith("5 > 3 (2 over), in 80 requests. Waived by ana until 2026-01-01: a new column.")


def test_it_is_for_the_budget_as_it_is_written_and_for_no_other() -> None:
    verdict = verdict_of(run(BUDGET, "query.p95 <= 50ms"), waiver("query.statements<=3"))
    assert (verdict.outcome, verdict.exit_code) == (Outcome.FAIL, ExitCode.FAIL)
    assert [each.outcome for each in verdict.budgets] == [Outcome.WAIVED, Outcome.FAIL]


def test_it_holds_on_its_last_day_of_utc_and_not_on_the_next() -> None:
    assert only(run(started_at=datetime(2026, 1, 1, 23, 59, tzinfo=UTC)), waiver()).outcome is Outcome.WAIVED
    ended = only(run(started_at=datetime(2026, 1, 2, tzinfo=UTC)), waiver())
    assert ended.outcome is Outcome.FAIL
    assert ended.sentence.endswith("Its waiver by ana ended on 2026-01-01: mend it, or waive it with another date.")


def test_one_that_is_not_needed_any_more_fails() -> None:
    verdict = verdict_of(run(statements=3), waiver())
    assert (verdict.outcome, verdict.exit_code) == (Outcome.FAIL, ExitCode.FAIL)
    assert verdict.budgets[0].sentence.endswith("It holds, so its waiver by ana is not needed any more: remove that.")


@pytest.mark.parametrize(
    ("budget", "outcome"),
    [
        ("query.p95 <= 101ms", Outcome.FAIL),  # It passes with confidence.
        ("query.max <= 101ms", Outcome.PASS),  # By luck, perhaps.
        ("query.max <= 130ms", Outcome.FAIL),
        ("query.within_150ms >= 99%", Outcome.FAIL),
        ("query.errors <= 0%", Outcome.FAIL),
    ],
)
def test_what_holds_by_chance_needs_its_waiver_still(budget: str, outcome: Outcome) -> None:
    assert only(run(budget), waiver(budget)).outcome is outcome


def test_an_error_budget_that_holds_spoils_no_latency_though_its_waiver_fails_it() -> None:
    verdict = verdict_of(run("query.errors <= 0%", "query.p95 <= 300ms"), waiver("query.errors <= 0%"))
    assert [each.outcome for each in verdict.budgets] == [Outcome.FAIL, Outcome.PASS]


def test_accepted_errors_spoil_no_latency() -> None:
    failed = record(
        variant("batched", [*samples([0.1] * 78), *samples([0.1] * 2, error="timeout")]),
        scenario={"name": "notes", "budgets": ["query.errors <= 0%", "query.p50 <= 300ms"]},
    )
    assert verdict_of(failed).budgets[1].outcome is Outcome.INVALID
    assert verdict_of(failed, waiver("query.errors <= 0%", up_to="5%")).outcome is Outcome.PASS_WITH_WAIVERS


@pytest.mark.parametrize(
    ("up_to", "outcome", "said"),
    [
        ("5", Outcome.WAIVED, "Waived by ana until 2026-01-01, up to 5: a new column."),
        ("4", Outcome.FAIL, "It is worse than its waiver by ana accepts: up to 4."),
    ],
)
def test_it_accepts_no_more_than_it_says(up_to: str, outcome: Outcome, said: str) -> None:
    budget = only(run(), waiver(up_to=up_to))
    assert budget.outcome is outcome
    assert budget.sentence.endswith(said)


def test_what_may_be_worse_than_is_accepted_is_undecided() -> None:
    spread = record(
        variant("batched", samples([0.1] * 92 + [0.25] * 8)),
        scenario={"name": "notes", "budgets": ["query.p95 <= 50ms"]},
    )
    budget = only(spread, waiver("query.p95 <= 50ms", up_to="200ms"))
    assert budget.outcome is Outcome.UNDECIDED
    assert budget.sentence.endswith(
        "Nobody can say yet whether it is within what its waiver by ana accepts: up to 200ms."
    )


def test_what_is_undecided_or_invalid_is_never_waived() -> None:
    few = verdict_of(run("query.p95 <= 300ms", n=20), waiver("query.p95 <= 300ms"))
    assert (few.outcome, few.exit_code) == (Outcome.UNDECIDED, ExitCode.UNDECIDED)
    assert "does not count" in few.budgets[0].sentence
    none = verdict_of(run("add.statements <= 3"), waiver("add.statements <= 3"))
    assert (none.outcome, none.exit_code) == (Outcome.INVALID, ExitCode.INVALID)


def test_a_run_that_measured_badly_stays_invalid() -> None:
    late = record(
        variant(
            "batched",
            [sample("query", 0.1, intended_s=0.0, started_s=0.5, scheduled=True)] * 80,
            phases=(phase(loop="open"),),
        ),
        scenario={"name": "notes", "budgets": ["query.p95 <= 50ms"]},
    )
    assert verdict_of(late).outcome is Outcome.INVALID
    assert verdict_of(late, waiver("query.p95 <= 50ms")).outcome is Outcome.INVALID


def test_one_of_another_scenario_is_none() -> None:
    assert only(run(), waiver(scenario="others")).outcome is Outcome.FAIL


def test_one_of_no_budget_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        UsageError, match=r"by ana is of 'query.statements <= 4', and notes has no such budget. Did you mean "
    ):
        judged(run(), [waiver("query.statements <= 4")])
    with pytest.raises(UsageError, match="It has no budget"):
        refuse_unknown_budgets([waiver()], "notes", [], [])


def test_one_of_a_variant_that_is_not_run_now_waits() -> None:
    assert only(run(), waiver(f"naive: {BUDGET}")).outcome is Outcome.FAIL


def test_a_run_samples_on_though_a_budget_is_waived() -> None:
    going_on = run(BUDGET, "query.p95 <= 300ms", n=20)
    assert wanting(going_on) == {}
    assert list(wanting(going_on, of_budgets([waiver()], "notes"))) == ["batched"]


def test_a_waived_budget_ends_no_run() -> None:
    text = "query.errors <= 0% abort"
    declared = declaration_of(run(text))
    failing = [sample("query", 0.1, started_s=10.0 * number, error="timeout") for number in range(1, 9)]

    def end(watch: AbortWatch) -> None:
        for each in failing:
            watch("batched", each)

    with pytest.raises(Exception, match="ended early"):
        end(AbortWatch.of(declared))
    end(AbortWatch.of(declared, of_budgets([waiver(text)], "notes")))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"up_to": "3"}, "accepts nothing that the budget does not"),
        ({"up_to": "2"}, "accepts nothing that the budget does not"),
        ({"budget": "cache.hit_rate >= 80%", "up_to": "90%"}, "accepts nothing that the budget does not"),
        ({"budget": "query.search.plan uses hnsw", "up_to": "gin"}, "a plan has no size"),
        ({"up_to": "200ms"}, "statements is a count"),
        ({"budget": None, "figure": "query statements", "up_to": "4"}, "of a figure it is a share, such as 30%"),
    ],
)
def test_an_accepted_limit_that_makes_no_sense_is_refused(fields: dict[str, Any], message: str) -> None:
    made = waiver(**({"budget": BUDGET} | fields))
    with pytest.raises(UsageError, match=message):
        _ = made.accepted, made.accepted_share


@pytest.mark.parametrize("fields", [{"reason": " "}, {"owner": ""}, {"figure": "query statements"}, {"until": "x"}])
def test_one_without_what_it_needs_is_none(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"validation error"):
        waiver(**fields)


def figure(name: str, **fields: Any) -> Waiver:
    return waiver(**({"budget": None, "figure": name, "scenario": "test"} | fields))


def gate(candidate: SideAt, *waivers: Waiver, base: SideAt | None = None, rounds: int = 1) -> GateVerdict:
    return judge_gate(both(candidate, base, rounds), [PAIR], of_figures(waivers, "test"))


MORE = SideAt({"statements": 4})


def test_a_gate_passes_with_what_is_accepted_of_it_and_names_it() -> None:
    verdict = gate(MORE, figure("query statements"))
    assert (verdict.outcome, verdict.exit_code) == (Outcome.PASS_WITH_WAIVERS, ExitCode.PASS)
    assert verdict.sentence == (
        "Nothing else is worse than the base. query statements: Waived by ana until 2026-01-01: a new column."
    )
    (finding,) = verdict.findings
    assert (finding.is_worse, finding.standing and finding.standing.outcome) == (False, Outcome.WAIVED)


@pytest.mark.parametrize(
    ("up_to", "expires", "outcome", "said"),
    [
        ("34%", date(2026, 1, 1), Outcome.PASS_WITH_WAIVERS, "up to 34%"),
        ("33%", date(2026, 1, 1), Outcome.FAIL, "worse than its waiver by ana accepts: up to 33%"),
        (None, date(2025, 12, 31), Outcome.FAIL, "ended on 2025-12-31"),
    ],
)
def test_a_gate_accepts_no_more_and_no_longer(up_to: str | None, expires: date, outcome: Outcome, said: str) -> None:
    verdict = gate(MORE, figure("query statements", up_to=up_to, expires=expires))
    assert verdict.outcome is outcome
    (finding,) = verdict.findings
    assert finding.standing is not None
    assert said in finding.standing.sentence


def test_what_else_is_worse_fails_the_gate_all_the_same() -> None:
    verdict = gate(SideAt({"statements": 4, "rows": 30}), figure("query statements"))
    assert verdict.outcome is Outcome.FAIL
    assert verdict.sentence == "Worse than the base: query rows."


def test_a_gate_fails_by_a_waiver_of_what_is_not_worse() -> None:
    verdict = gate(SideAt(), figure("query statements"))
    assert verdict.outcome is Outcome.FAIL
    assert "not needed any more" in str(verdict.findings[0].standing)
    assert gate(SideAt(), figure("query time, ms"), figure("query.p95")).outcome is Outcome.PASS


def test_every_form_of_a_gate_names_what_is_waived() -> None:
    report = GateReport("test", "r", "main", "working tree", gate(MORE, figure("query statements")), 1, 1.0)
    for name, form in GATE_FORMS.items():
        text = form(report)
        assert "PASS WITH WAIVERS" in text, name
        assert "Waived by ana" in text, name
    assert "WAIVED" in GATE_FORMS["terminal"](report)
    assert "<skipped" in GATE_FORMS["junit"](report)


def test_what_the_base_accepts_already_is_in_the_base() -> None:
    old, new = figure("query statements"), figure("query statements", reason="another")
    assert new_since([old], [old]) == ()
    assert new_since([new], [old]) == (new,)


@pytest.mark.parametrize(
    "name",
    ["query statements", "query.p95", "search plan", "query rows of notes read or written", "query client CPU, ms"],
)
def test_a_figure_is_one_of_a_gate_or_of_a_comparison(name: str) -> None:
    refuse_unknown_figures({name: figure(name)}, ["query"])


@pytest.mark.parametrize(("name", "near"), [("query statments", "query statements"), ("query.p94", "query.p95")])
def test_what_no_gate_or_comparison_finds_is_refused_with_the_nearest(name: str, near: str) -> None:
    with pytest.raises(UsageError, match=f"no such figure. Did you mean {near!r}"):
        refuse_unknown_figures({name: figure(name)}, ["query"])


def compared(*waivers: Waiver, slower: float = 1.5, statements: int = 3) -> Comparison:
    """Ten rounds of sides that differ as stated; counts of the candidate too."""
    sides = [
        variant(
            name,
            [
                sample("query", 0.1 * factor * (1 + 0.001 * (number % 7)), round=round_number, statements=counted)
                for round_number in range(1, 11)
                for number in range(60)
            ],
        )
        for name, factor, counted in (("before", 1.0, 3), ("after", slower, statements))
    ]
    asked = ComparisonSettings(baseline="before", candidate="after", margin=0.05)
    return compare_asked(record(*sides), asked, waivers)


def test_a_comparison_passes_with_what_is_accepted_of_it() -> None:
    times = [figure(f"query.{each}") for each in ("mean", "p50", "p95")]
    assert compared().outcome is Outcome.FAIL
    found = compared(*times)
    assert (found.outcome, found.exit_code) == (Outcome.PASS_WITH_WAIVERS, ExitCode.PASS)
    assert "query.p95: Waived by ana until 2026-01-01" in found.sentence
    for name, renderer in RENDERERS.items():
        assert "PASS WITH WAIVERS" in renderer.render_comparison(found, ()), name
    assert compared(*times[:2]).outcome is Outcome.FAIL
    assert compared(*times, statements=4).outcome is Outcome.FAIL
    assert compared(*times, figure("query statements", up_to="34%"), statements=4).outcome is Outcome.PASS_WITH_WAIVERS
    assert compared(*times, figure("query statements", up_to="33%"), statements=4).outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("up_to", "outcome"), [("60%", Outcome.WAIVED), ("50%", Outcome.UNDECIDED), ("30%", Outcome.FAIL)]
)
def test_a_time_is_accepted_where_its_whole_interval_is(up_to: str, outcome: Outcome) -> None:
    found = compared(figure("query.p95", up_to=up_to), slower=1.5)
    assert found.waived["query.p95"].outcome is outcome


def test_a_comparison_fails_by_a_waiver_of_what_is_the_same() -> None:
    found = compared(figure("query.p95"), slower=1.0)
    assert (found.outcome, found.waived["query.p95"].outcome) == (Outcome.FAIL, Outcome.FAIL)
