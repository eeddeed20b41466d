import math
import random

import pytest

from harness.judging.comparison import Comparison, compare
from harness.record import RunRecord, VariantRecord
from harness.samples import Sample
from tests.records import record, sample, variant

REQUESTS = 200
Course = tuple[float, float]
"""By what share latencies rise within a pass, and by what factor from one round to the next."""

STEADY: Course = 0.0, 1.0
RISING: Course = 0.5, 1.0
"""As where another program on the machine does more and more."""
HEATING: Course = 0.0, 1.04


def side(name: str, seed: int, factor: float, course: Course, **fields: str) -> VariantRecord:
    draw = random.Random(seed)
    within, between = course
    samples: list[Sample] = [
        sample(
            "query",
            0.1 * factor * (1 + within * index / REQUESTS) * between**number * math.exp(draw.gauss(0, 0.2)),
            started_s=float(index),
            round=number,
        )
        for number in range(1, 11)
        for index in range(REQUESTS)
    ]
    return variant(name, samples, **fields)


def run(factor: float, slices: int, *courses: Course) -> RunRecord:
    """Of a candidate that takes so many times as long as the baseline; the last course is that of the control too."""
    ours, theirs = courses[0], courses[-1]
    return record(
        side("naive", 1, 1.0, theirs),
        side("batched", 2, factor, ours),
        side("naive (control)", 3, 1.0, theirs, control_of="naive"),
        scenario={"name": "test", "strategies": ["naive", "batched"], "slices": slices},
    )


def ratio(comparison: Comparison, metric: str) -> tuple[str, float]:
    [difference] = [each.difference for each in comparison.metrics if each.metric == metric]
    assert difference is not None
    return difference.word, difference.ratio


@pytest.mark.parametrize("course", [RISING, HEATING])
def test_a_drift_that_sides_share_by_turns_leaves_their_ratio_and_the_verdict(course: Course) -> None:
    comparison = compare(run(1.2, 20, course))
    assert (comparison.outcome, comparison.objections) == ("FAIL", ())
    for metric in ("mean", "p50"):
        word, found = ratio(comparison, metric)
        assert word == "slower"
        assert found == pytest.approx(1.2, rel=0.05)
    noted = [note for note in comparison.notes if " drifted: its latencies rose by " in note]
    assert len(noted) == 3
    assert all(note.endswith("the times of either side are those of no one state.") for note in noted)


def test_a_drift_that_sides_share_by_turns_makes_no_difference_of_nothing() -> None:
    comparison = compare(run(1.0, 20, RISING), margin=0.1)
    assert not comparison.objections
    assert {ratio(comparison, metric)[0] for metric in ("mean", "p50", "p95")} <= {"same", "undecided"}


def test_sides_that_took_no_turns_need_not_have_met_the_same_drift() -> None:
    comparison = compare(run(1.2, 1, RISING))
    assert comparison.outcome == "INVALID"
    assert any("query of naive drifted: its latencies rose by " in objection for objection in comparison.objections)


def test_a_drift_of_one_side_alone_spoils_the_ratio() -> None:
    comparison = compare(run(1.0, 20, RISING, STEADY))
    assert comparison.outcome == "INVALID"
    [objection] = comparison.objections
    assert objection.startswith("query of batched drifted apart from that of naive: the ratio rose by ")
    assert "from the beginning of a pass to the end" in objection
