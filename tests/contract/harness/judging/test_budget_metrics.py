"""What every budget metric promises: a new one in the registry is held to this without an edit."""

from fractions import Fraction
from typing import Any, get_args

import pytest

from harness.judging.budget_metrics import METRICS
from harness.judging.budget_metrics.protocol import Evaluation, Observed, Outcome
from harness.judging.budgets import CAPACITY, parse
from harness.measuring.probes import PROBES
from harness.measuring.sent_statements import COUNTER
from harness.quantities import Unit
from harness.record import BackgroundRecord, LevelsRecord, PhaseRecord
from tests.records import samples, variant

UNIT_TEXTS: dict[Unit, str] = {"time": "s", "share": "%", "count": "", "rate": "/s", "amount": ""}
WITHOUT_NUMBER = sorted(word for word, metric in METRICS.items() if metric.unit == "index")


def observed(n: int = 400) -> Observed:
    """Well-sampled requests that all cost something."""
    counts: dict[str, Any] = {"statements": 3, "round_trips": 5, "rows": 20, "results": 20, "promotions": 1}
    fields = counts | {"proven": True}
    answered = samples([0.05] * n, embedding="cache", **fields) + samples([0.2] * n, embedding="ollama", **fields)
    work = BackgroundRecord(kind="co_occurrence", count=4, failures=2, statements=4, round_trips=4)
    everything = (*answered, *samples([0.1], error="503 DATABASE_BUSY"))
    counted = [name for probe in PROBES.values() for name in probe.counters]
    counters = dict.fromkeys([*counted, COUNTER], 20.0)
    phase = PhaseRecord(
        name="query",
        workload="query",
        round=1,
        arrival="closed_loop",
        loop="closed",
        started=len(everything),
        started_s=0.0,
        ended_s=20.0,
        counters=counters,
        levels=LevelsRecord(at_s=(0.0, 20.0), values={"background_queued": (0.0, 40.0)}),
        memory=tuple(
            LevelsRecord(at_s=tuple(map(float, range(20))), values={name: tuple(1e6 + 1e3 * n for n in range(20))})
            for name in ("client_kept_bytes", "service_memory_bytes")
        ),
        drain_s=2.0,
    )
    measured = variant("batched", everything, background=(work,), phases=(phase,), recalls=(0.9, 0.7))
    return Observed(measured, everything, phases=(phase,), elapsed_s=20.0, subject="query")


def evaluated(word: str, comparator: str, limit: str, seen: Observed) -> Evaluation:
    metric = METRICS[word]
    budget = parse(f"{metric.subject or 'query'}.{word} {comparator} {limit}{UNIT_TEXTS[metric.unit]}")
    return metric.evaluate(seen, budget.limit)


@pytest.fixture(params=sorted(METRICS.keys() - {*WITHOUT_NUMBER, CAPACITY}))
def word(request: pytest.FixtureRequest) -> str:
    """Of a metric whose value is a number, and told by requests at one rate."""
    name: str = request.param
    return name


def test_proven_is_a_share_of_the_searches_that_say_so() -> None:
    told = [*samples([0.1] * 3, proven=True), *samples([0.1], proven=False)]
    seen = Observed(variant("frontier", told), (*told, *samples([0.1] * 4), *samples([0.1], error="x", proven=False)))
    assert evaluated("proven", ">=", "75", seen).outcome is Outcome.PASS
    failed = evaluated("proven", ">=", "76", seen)
    assert (failed.outcome, failed.measured, failed.n) == (Outcome.FAIL, 0.75, 4)


def test_requests_at_one_rate_do_not_tell_a_capacity() -> None:
    evaluation = evaluated(CAPACITY, ">=", "1", observed())
    assert (evaluation.outcome, evaluation.measured) == (Outcome.INVALID, None)
    assert "harness capacity" in evaluation.reason


@pytest.mark.parametrize("word", sorted(METRICS))
def test_it_describes_itself(word: str) -> None:
    metric = METRICS[word]
    assert metric.unit in get_args(Unit)
    assert metric.kind in {"exact", "sampled"}
    assert metric.meaning.endswith(".")


def test_a_generous_limit_passes_or_is_undecided_and_a_tight_one_fails(word: str) -> None:
    generous, tight = evaluated(word, "<=", "100", observed()), evaluated(word, "<=", "0", observed())
    # One failure among 801 requests leaves the highest quantiles and the slowest request without an end.
    assert generous.outcome is not Outcome.FAIL or generous.measured == float("inf")
    assert tight.outcome is Outcome.FAIL


def test_it_reports_what_it_measured_beside_the_limit(word: str) -> None:
    evaluation = evaluated(word, "<=", "7", observed())
    assert evaluation.measured is not None
    assert evaluation.limit == float(Fraction(7, 100) if METRICS[word].unit == "share" else 7)
    assert evaluation.n > 0


def test_only_a_sampled_value_has_bounds_or_is_undecided(word: str) -> None:
    few = observed(n=1)
    evaluations = [evaluated(word, "<=", limit, seen) for limit in ("0", "1", "100") for seen in (few, observed())]
    if METRICS[word].kind == "exact":
        assert {(each.lower, each.upper, each.further_samples) for each in evaluations} == {(None, None, None)}
        assert Outcome.UNDECIDED not in {each.outcome for each in evaluations}
    else:
        assert all(each.lower is not None and each.upper is not None for each in evaluations)


def test_one_request_of_which_nothing_else_is_known_is_judged_or_invalid(word: str) -> None:
    bare = samples([0.1])
    evaluation = evaluated(word, "<=", "1", Observed(variant("other", bare), bare))
    assert (evaluation.outcome is Outcome.INVALID) == bool(evaluation.reason)
