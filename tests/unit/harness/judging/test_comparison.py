import math
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from harness.errors import UsageError
from harness.judging.comparison import Comparison, CounterComparison, MetricComparison, compare, compare_runs, wanting
from harness.record import PhaseRecord, RunRecord, VariantRecord
from harness.samples import Sample
from tests.records import record, sample, variant


def rounds(
    seed: int, factor: float = 1.0, count: int = 10, requests: int = 200, operation: str = "query", **fields: Any
) -> list[Sample]:
    """Log-normal latencies around 100 ms, in rounds; the same seed draws the same."""
    draw = random.Random(seed)
    return [
        sample(
            operation,
            0.1 * factor * math.exp(draw.gauss(0, 0.3)),
            started_s=float(index),
            round=number,
            **{"statements": 3, "round_trips": 5, "rows": 20} | fields,
        )
        for number in range(1, count + 1)
        for index in range(requests)
    ]


def run(candidate: Sequence[Sample], control: Sequence[Sample] | None = None, **fields: Any) -> RunRecord:
    variants: list[VariantRecord] = [variant("naive", rounds(1)), variant("batched", candidate)]
    again = rounds(3) if control is None else control
    scenario = {"name": "test", "strategies": ["naive", "batched"], "baseline": "naive", "candidate": "batched"}
    return record(*variants, variant("naive (control)", again, control_of="naive"), scenario=scenario, **fields)


def metric(comparison: Comparison, name: str) -> MetricComparison:
    return next(each for each in comparison.metrics if each.name == name)


def counter(comparison: Comparison, name: str) -> CounterComparison:
    return next(each for each in comparison.counters if each.name == name)


def word(comparison: Comparison, name: str) -> str:
    difference = metric(comparison, name).difference
    return difference.word if difference else "none"


def test_a_slower_candidate_fails_by_how_much() -> None:
    comparison = compare(run(rounds(2, factor=1.2)))
    assert (comparison.outcome, comparison.exit_code) == ("FAIL", 1)
    assert word(comparison, "query.p50") == "slower"
    assert "slower: query.mean by" in comparison.sentence
    difference = metric(comparison, "query.p50").difference
    assert difference is not None
    assert difference.lower < 1.2 < difference.upper


def test_a_faster_candidate_passes() -> None:
    comparison = compare(run(rounds(2, factor=0.5)))
    assert (comparison.outcome, comparison.exit_code) == ("PASS", 0)
    assert {word(comparison, f"query.{name}") for name in ("mean", "p50", "p95")} == {"faster"}


def test_the_same_passes_and_the_control_says_what_would_have_been_seen() -> None:
    comparison = compare(run(rounds(2, requests=2_000), rounds(3, requests=2_000)), margin=0.1)
    assert comparison.outcome == "PASS"
    assert {word(comparison, f"query.{name}") for name in ("mean", "p50", "p95")} == {"same"}
    assert comparison.detectable is not None
    assert 0.1 <= comparison.detectable < 0.25


def test_too_few_rounds_are_undecided_and_say_how_many_more() -> None:
    comparison = compare(run(rounds(2, count=3), rounds(3, count=3)))
    assert (comparison.outcome, comparison.exit_code) == ("UNDECIDED", 3)
    assert any("more rounds like these" in note for note in comparison.notes)


def test_an_undecided_comparison_wants_further_rounds_of_all_its_variants() -> None:
    undecided = run(rounds(2, count=3), rounds(3, count=3), state="partial", interruption="it is going on")
    wanted = wanting(undecided)
    assert list(wanted) == ["naive", "batched", "naive (control)"]
    assert all("more rounds like these would decide" in reason for reason in wanted.values())


def test_a_decided_comparison_wants_nothing() -> None:
    assert not wanting(run(rounds(2, factor=1.2), state="partial", interruption="it is going on"))
    assert not wanting(run(rounds(2, statements=4), rounds(3), state="partial", interruption="it is going on"))


def test_each_look_has_its_part_of_the_risk() -> None:
    samples = rounds(2, factor=1.2)
    widths = [
        metric(compare(run(samples, looks=looks)), "query.mean").difference
        for looks in ((), ({"naive": 1},), ({"naive": 1}, {"naive": 2}))
    ]
    confidences = [each.confidence for each in widths if each]
    assert confidences == sorted(confidences)
    assert 1 - confidences[1] == pytest.approx(0.8 * (1 - confidences[0]))
    assert 1 - confidences[2] == pytest.approx(0.1 * (1 - confidences[0]))


def test_one_round_says_so() -> None:
    comparison = compare(run(rounds(2, count=1, factor=3), rounds(3, count=1)))
    assert comparison.outcome == "UNDECIDED"
    assert "One round says nothing about the next, so no timing can be judged: use --rounds 10." in comparison.notes
    assert comparison.detectable is None


def test_one_more_statement_is_a_fact_however_few_the_rounds() -> None:
    comparison = compare(run(rounds(2, count=1, statements=4), rounds(3, count=1)))
    assert (comparison.outcome, comparison.exit_code) == ("FAIL", 1)
    difference = counter(comparison, "query statements").difference
    assert (difference.change, difference.baseline, difference.candidate, difference.exact) == ("grew", 3, 4, True)
    assert "query statements grew from 3 to 4" in comparison.sentence


def test_new_failures_are_a_fact_and_leave_no_ratio_of_what_they_reach() -> None:
    failing = [replace(each, error="timeout") if int(each.started_s) % 10 == 0 else each for each in rounds(2)]
    comparison = compare(run(failing))
    assert comparison.outcome == "FAIL"
    assert counter(comparison, "query errors").difference.candidate == 20
    assert metric(comparison, "query.p95").obstacle == "requests failed"
    assert metric(comparison, "query.p50").difference is not None


def test_a_control_out_of_bounds_makes_timings_invalid_and_says_what_to_do() -> None:
    comparison = compare(run(rounds(2, factor=1.2), control=rounds(3, factor=1.3)))
    assert (comparison.outcome, comparison.exit_code) == ("INVALID", 4)
    assert "naive (control), is the baseline again and came out query.mean slower by" in comparison.sentence
    assert "compare again" in comparison.sentence


def test_a_count_holds_when_timings_do_not() -> None:
    comparison = compare(run(rounds(2, statements=4), control=rounds(3, factor=1.3)))
    assert comparison.outcome == "FAIL"
    assert "query statements grew" in comparison.sentence
    assert "Timings cannot be judged" in comparison.sentence


def test_a_partial_run_is_invalid() -> None:
    assert compare(run(rounds(2), state="partial", interruption="killed")).outcome == "INVALID"


def test_sides_are_compared_on_the_requests_that_both_came_to() -> None:
    # The later half of a round is ten times as slow: whoever comes to fewer requests would look faster.
    def growing(seed: int, requests: int) -> list[Sample]:
        late = [each.started_s >= 100 for each in rounds(seed, requests=requests)]
        return [
            replace(each, ended_s=each.started_s + each.service_time_s * (10 if slow else 1))
            for each, slow in zip(rounds(seed, requests=requests), late, strict=True)
        ]

    baseline, candidate = variant("naive", growing(1, 200)), variant("batched", growing(2, 100))
    comparison = compare(record(baseline, candidate))
    assert metric(comparison, "query.mean").requests == 100
    assert word(comparison, "query.mean") != "faster"


def test_operations_are_judged_together_and_named_apart() -> None:
    samples = [*rounds(2), *rounds(5, operation="add", factor=1.5)]
    known = variant("naive", [*rounds(1), *rounds(4, operation="add")])
    comparison = compare(record(known, variant("batched", samples)))
    assert word(comparison, "add.p50") == "slower"
    assert word(comparison, "query.p50") in {"same", "undecided"}
    assert comparison.detectable is None
    assert "No control was measured, so the noise of this comparison is not known." in comparison.notes


def test_nothing_in_common_is_invalid() -> None:
    comparison = compare(record(variant("naive", rounds(1)), variant("batched", rounds(2, operation="add"))))
    assert comparison.outcome == "INVALID"
    assert "no operation in common" in comparison.sentence


def test_rounds_that_only_one_side_has_are_no_rounds_of_the_comparison() -> None:
    cut_off = compare(record(variant("naive", rounds(1)), variant("batched", rounds(2, count=4, factor=2))))
    assert (cut_off.rounds, cut_off.outcome) == (4, "FAIL")
    later = [replace(each, round=11) for each in rounds(2, count=1)]
    assert compare(record(variant("naive", rounds(1)), variant("batched", later))).outcome == "INVALID"


def test_an_unknown_variant_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'batched'"):
        compare(run(rounds(2)), candidate="batchd")


def test_two_runs_are_compared_although_their_rounds_differ_in_number() -> None:
    before = record(variant("batched", rounds(1, count=8)), run_id="before")
    after = record(variant("batched", rounds(2, factor=1.4)), run_id="after")
    comparison = compare_runs(before, after)
    assert (comparison.outcome, comparison.rounds) == ("FAIL", 8)
    assert (comparison.baseline.run_id, comparison.candidate.run_id) == ("before", "after")
    assert any("share no rounds" in note for note in comparison.notes)


def test_unlike_runs_say_so_at_the_top() -> None:
    before = record(variant("batched", rounds(1)))
    environment = before.environment.model_copy(update={"host": before.environment.host | {"cpu": "another"}})
    comparison = compare_runs(before, before.model_copy(update={"environment": environment}))
    assert comparison.notes[0].startswith("These runs are unlike: host.cpu is Example CPU 3.0 GHz in one and another")


def phases(cpu_s: float, wal_bytes: float = 1_000, started: int = 200) -> tuple[PhaseRecord, ...]:
    return tuple(
        PhaseRecord(
            name="query",
            workload="query",
            round=number,
            arrival="closed_loop",
            loop="closed",
            started=started,
            started_s=0,
            ended_s=1,
            counters={"client_cpu_s": cpu_s * (1 + number / 1_000), "wal_bytes": wal_bytes},
        )
        for number in range(1, 11)
    )


def test_processor_time_explains_and_decides_nothing_but_bytes_written_ahead_are_a_fact() -> None:
    def compared(candidate: VariantRecord) -> Comparison:
        return compare(record(variant("naive", rounds(1), phases=phases(1.0)), candidate))

    dearer = compared(variant("batched", rounds(1), phases=phases(2.0)))
    (processor_time,) = dearer.processor_times
    assert processor_time.difference is not None
    assert (processor_time.name, processor_time.difference.word) == ("query.client CPU", "slower")
    assert processor_time.baseline_s == pytest.approx(0.005, rel=0.01)
    assert dearer.outcome == "PASS"
    writing = compared(variant("batched", rounds(1), phases=phases(1.0, wal_bytes=1_200)))
    assert "query WAL bytes grew from 5 to 6" in writing.sentence
    fewer = compared(variant("batched", rounds(1), phases=phases(1.0, wal_bytes=1_200, started=100)))
    assert fewer.processor_times == ()
    assert "WAL" not in fewer.sentence
