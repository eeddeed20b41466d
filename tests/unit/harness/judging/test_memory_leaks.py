"""A leak is a finding in the report, and a budget where a scenario has one."""

from collections.abc import Sequence

from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.budgets import parse
from harness.judging.memory_leaks import memory_leaks
from harness.judging.verdict import BudgetVerdict, judge
from harness.record import LevelsRecord, PhaseRecord, RunRecord
from harness.showing.tables import memory_table
from tests.records import phase, record, samples, variant

REQUESTS = 3_000
BUDGET = "query.client_growth_bytes_per_op <= 100"


def grown(bytes_per_request: float, name: str = "client_kept_bytes", readings: int = 60) -> LevelsRecord:
    values = [50e6 + bytes_per_request * REQUESTS * number / readings for number in range(readings)]
    return LevelsRecord(at_s=tuple(map(float, range(readings))), values={name: tuple(values)})


def of(*rounds: Sequence[LevelsRecord]) -> RunRecord:
    phases = [
        phase("query", workload="query", round=number, started=REQUESTS, memory=tuple(memory))
        for number, memory in enumerate(rounds, 1)
    ]
    return measured(*phases)


def measured(*phases: PhaseRecord) -> RunRecord:
    return record(variant("current", samples([0.1] * 10), phases=phases))


def judged(run: RunRecord, budget: str = BUDGET) -> BudgetVerdict:
    (verdict,) = judge(run, [parse(budget)]).budgets
    return verdict


def test_a_kilobyte_for_each_request_is_found_without_a_budget() -> None:
    (leak,) = memory_leaks(of([grown(1_000)], [grown(1_100)]))
    assert (leak.variant, leak.phase, leak.metric) == ("current", "query", "client_growth_bytes_per_op")
    assert 1_000 < leak.bytes_per_request < 1_200
    table = memory_table([leak])
    assert table is not None
    assert [cell.text for cell in table.rows[0]][:3] == ["current", "query", "this process"]


def test_what_one_round_shows_and_another_does_not_is_no_finding() -> None:
    assert list(memory_leaks(of([grown(1_000)], [grown(0)]))) == []
    assert list(memory_leaks(of([grown(1_000)], []))) == []


def test_what_is_little_is_no_finding() -> None:
    assert list(memory_leaks(of([grown(40)]))) == []
    few = phase("query", workload="query", started=900, memory=(grown(1_000),))
    assert list(memory_leaks(measured(few))) == []
    assert memory_table([]) is None


def test_requests_that_come_at_an_uneven_pace_leave_as_much_each() -> None:
    asked = [float(n) for n in range(0, 600, 10)] + [600.0 + 100 * n for n in range(25)]
    kept = LevelsRecord(
        at_s=tuple(map(float, range(len(asked)))),
        values={"client_kept_bytes": tuple(5e7 + 1_000 * n for n in asked), "requests": tuple(asked)},
    )
    (leak,) = memory_leaks(of([kept]))
    assert 999 < leak.bytes_per_request < 1_001


def test_a_service_is_told_from_who_asks_it() -> None:
    (leak,) = memory_leaks(of([grown(0), grown(2_000, "service_memory_bytes")]))
    table = memory_table([leak])
    assert table is not None
    assert table.rows[0][2].text == "service"


def test_a_budget_is_held_to_the_worst_round() -> None:
    assert judged(of([grown(0)], [grown(50)])).outcome is Outcome.PASS
    failed = judged(of([grown(0)], [grown(1_000)]))
    assert failed.outcome is Outcome.FAIL
    assert failed.measured is not None
    assert 900 < failed.measured < 1_100


def test_what_was_not_read_is_invalid_and_says_why() -> None:
    several = judged(of([]))
    assert several.outcome is Outcome.INVALID
    assert "several processes sent its requests" in several.sentence
    assert "no phase was its own" in judged(measured()).sentence
    short = judged(of([grown(1_000, readings=3)]))
    assert short.outcome is Outcome.INVALID
    assert "too short" in short.sentence
    service = judged(of([grown(1_000)]), "query.service_growth_bytes_per_op <= 100")
    assert "started no service" in service.sentence
