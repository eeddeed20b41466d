"""How a comparison is written: ratios, their intervals, verdicts and what may be missed."""

import math
from dataclasses import replace

import pytest

from harness.judging.analysis.counters import Change, CountDifference
from harness.judging.analysis.paired import Difference, Word
from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.comparison import Comparison, CounterComparison, MetricComparison, compare
from harness.quantities import ABSENT
from harness.showing.comparison_tables import (
    counts_table,
    findings,
    noise_sentence,
    processor_table,
    ratio_interval,
    timings_table,
)
from harness.showing.tables import Tone
from tests.records import record, samples, variant

SLOWER = Difference("slower", 1.2, 1.1, 1.3, 0.99, rounds=10)
QUERY = MetricComparison("query", "p95", 200, 0.1, 0.12, SLOWER, detectable=0.031)


def comparison(*metrics: MetricComparison, counters: tuple[CounterComparison, ...] = ()) -> Comparison:
    """Of figures that are stated, between two variants of a run."""
    run = record(variant("naive", samples([0.1] * 20)), variant("batched", samples([0.1] * 20)))
    return replace(compare(run, "naive", "batched"), metrics=metrics, counters=counters, objections=())


def counted(change: Change, baseline: float, candidate: float, *, exact: bool = True) -> CounterComparison:
    return CounterComparison("query", "statements", CountDifference(change, baseline, candidate, exact))


def test_a_timing_has_both_sides_their_ratio_and_what_would_be_seen() -> None:
    (row,) = timings_table(comparison(QUERY)).rows
    assert [cell.text for cell in row] == [
        *("query", "p95", "100 ms", "120 ms", "1.20 x", "1.10 to 1.30", "slower", "3.1%", "200")
    ]


@pytest.mark.parametrize(
    ("word", "tone"), [("faster", "good"), ("slower", "bad"), ("same", "plain"), ("undecided", "doubt")]
)
def test_a_verdict_has_its_tone(word: Word, tone: Tone) -> None:
    (row,) = timings_table(comparison(replace(QUERY, difference=replace(SLOWER, word=word)))).rows
    assert (row[6].text, row[6].tone) == (word, tone)


def test_what_has_no_ratio_says_why() -> None:
    (row,) = timings_table(comparison(replace(QUERY, difference=None, obstacle="all failed"))).rows
    assert [cell.text for cell in row[4:7]] == [ABSENT, "", "undecided: all failed"]


@pytest.mark.parametrize(
    ("lower", "upper", "text"),
    [
        (0.9, 1.1, "0.900 to 1.10"),
        (0.0, math.inf, ""),
        (0.0001, 5000.0, "unknown"),
        (0.0001, 2.0, "under 1/1,000 to 2.00"),
        (2.0, 5000.0, "2.00 to over 1,000"),
    ],
)
def test_an_interval_says_no_more_than_is_known(lower: float, upper: float, text: str) -> None:
    assert ratio_interval(replace(SLOWER, lower=lower, upper=upper)) == text


@pytest.mark.parametrize(("detectable", "text"), [(None, ABSENT), (0.05, "5%"), (11.0, "nothing")])
def test_what_would_be_seen_is_a_share_or_nothing(detectable: float | None, text: str) -> None:
    (row,) = timings_table(comparison(replace(QUERY, detectable=detectable))).rows
    assert row[7].text == text


def test_the_noise_is_that_of_the_control() -> None:
    found = comparison(QUERY, replace(QUERY, metric="p50", detectable=0.02))
    assert noise_sentence(replace(found, control=None)) == ""
    whole = noise_sentence(replace(found, control="naive (control)", detectable=0.02))
    assert "sees a slowdown by 2% or more of every operation" in whole
    assert "query.p50 from 2%" in whole
    assert "too short or too noisy" in noise_sentence(replace(found, control="naive (control)", detectable=11.0))


def test_counts_that_are_the_same_are_counted_where_only_changes_are_shown() -> None:
    found = comparison(counters=(counted("grew", 3, 4), counted("same", 3, 3), counted("same", 5, 5)))
    whole, changed = counts_table(found), counts_table(found, others_are="--all shows them")
    assert whole is not None
    assert changed is not None
    assert len(whole.rows) == 3
    assert [cell.text for cell in changed.rows[0]] == ["query", "statements", "3", "4", "+1", "grew", "yes"]
    assert changed.note.endswith("2 more are the same: --all shows them.")


def test_without_counts_there_is_no_table() -> None:
    assert counts_table(comparison()) is None
    assert processor_table(comparison()) is None


def test_each_figure_is_a_finding_by_itself() -> None:
    same = replace(QUERY, metric="p50", difference=replace(SLOWER, word="same"))
    unknown = replace(QUERY, metric="mean", difference=None, obstacle="all failed")
    found = list(findings(comparison(QUERY, same, unknown, counters=(counted("grew", 3, 4), counted("shrank", 4, 3)))))
    assert [each.outcome for each in found] == [
        *(Outcome.FAIL, Outcome.PASS, Outcome.UNDECIDED),
        *(Outcome.FAIL, Outcome.PASS),
    ]
    assert [each.fails for each in found] == [True, False, False, True, False]
    assert found[0].sentence == "slower: 100 ms to 120 ms, 1.20 x (1.10 to 1.30), 200 requests a round"
    assert found[3].sentence == "grew: 3 to 4 per request"


def test_timings_that_cannot_be_judged_are_invalid_and_counts_are_not() -> None:
    doubted = replace(comparison(QUERY, counters=(counted("same", 3, 3),)), objections=("it slept",))
    assert [each.outcome for each in findings(doubted)] == [Outcome.INVALID, Outcome.PASS]
