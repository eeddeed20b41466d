"""A comparison as tables of text, for every renderer: timings with their intervals, counts, and what may be missed."""

import math
from collections.abc import Mapping
from typing import Final

from harness.analysis.counters import Change
from harness.analysis.paired import POWER, RISK, Difference, Word
from harness.comparison import Comparison, CounterComparison, MetricComparison
from harness.quantities import ABSENT, MINUS, count, duration, mean_count, share, significant
from harness.tables import Cell, Column, Table, Tone, printable

WORD_TONES: Final[Mapping[Word, Tone]] = {"faster": "good", "slower": "bad", "same": "plain", "undecided": "doubt"}
CHANGE_TONES: Final[Mapping[Change, Tone]] = {"shrank": "good", "grew": "bad", "same": "plain", "varies": "muted"}

RATIO_MAX: Final = 1_000

DETECTABLE_MAX: Final = 10.0
"""A noise floor over this says no more than that nothing can be found."""


def comparison_title(comparison: Comparison) -> str:
    return printable(f"{comparison.candidate.variant} against {comparison.baseline.variant}")


def noise_sentence(comparison: Comparison) -> str:
    """What the control says about this comparison; empty without one."""
    if comparison.control is None:
        return ""
    floor = comparison.detectable
    if floor is None or floor > DETECTABLE_MAX:
        return "This comparison, here, today, is too short or too noisy to see any slowdown reliably."
    return (
        f"This comparison, here, today, sees a slowdown of any operation by {share(floor)} or more "
        f"({share(POWER)} of the time; measured on {printable(comparison.control)})."
    )


def timings_table(comparison: Comparison) -> Table:
    columns = (
        Column("Operation"),
        Column("Metric"),
        Column("Baseline", numeric=True),
        Column("Candidate", numeric=True),
        Column("Ratio", numeric=True),
        Column("Interval", numeric=True),
        Column("Verdict"),
        Column("Sees from", numeric=True),
        Column("Requests per round", numeric=True, wide=True),
    )
    return Table(
        f"Latency, {count(comparison.rounds)} rounds",
        columns,
        tuple(_timing_row(each) for each in comparison.metrics),
        f"Ratio: candidate over baseline. Same: the whole interval is within {share(comparison.margin)}. Where nothing "
        f"differs, under {share(RISK)} of comparisons say faster or slower anywhere. Sees from: the least slowdown "
        "that would be found.",
    )


def _timing_row(metric: MetricComparison) -> tuple[Cell, ...]:
    difference = metric.difference
    return (
        Cell(printable(metric.operation)),
        Cell(metric.metric),
        Cell(duration(metric.baseline_s)),
        Cell(duration(metric.candidate_s)),
        Cell(ratio(difference.ratio) if difference else ABSENT),
        Cell(ratio_interval(difference) if difference else "", "muted"),
        _word_cell(metric),
        Cell(_floor(metric.detectable), "muted"),
        Cell(count(metric.requests)),
    )


def _word_cell(metric: MetricComparison) -> Cell:
    if metric.difference is None:
        return Cell(f"undecided: {metric.obstacle}", "doubt")
    word = metric.difference.word
    return Cell(word, WORD_TONES[word])


def ratio(value: float) -> str:
    return f"{significant(value)} x"


def ratio_interval(difference: Difference) -> str:
    """Empty where one round leaves everything possible."""
    if math.isinf(difference.upper):
        return ""
    return f"{_end(difference.lower)} to {_end(difference.upper)}"


def _end(value: float) -> str:
    """An interval that leaves a factor of a thousand open says no more than that."""
    if not 1 / RATIO_MAX < value < RATIO_MAX:
        return f"under 1/{count(RATIO_MAX)}" if value < 1 else f"over {count(RATIO_MAX)}"
    return significant(value)


def _floor(detectable: float | None) -> str:
    if detectable is None:
        return ABSENT
    return "nothing" if detectable > DETECTABLE_MAX else share(detectable)


def counts_table(comparison: Comparison) -> Table:
    columns = (
        Column("Operation"),
        Column("Count per request"),
        Column("Baseline", numeric=True),
        Column("Candidate", numeric=True),
        Column("Difference", numeric=True),
        Column("Verdict"),
        Column("Exact", wide=True),
    )
    return Table(
        "What is counted",
        columns,
        tuple(_count_row(each) for each in comparison.counters),
        "Of the same requests on both sides. Varies: so do rounds of one side, so the difference may be chance.",
    )


def _count_row(counter: CounterComparison) -> tuple[Cell, ...]:
    difference = counter.difference
    size = difference.candidate - difference.baseline
    return (
        Cell(printable(counter.operation)),
        Cell(counter.counter),
        Cell(mean_count(difference.baseline)),
        Cell(mean_count(difference.candidate)),
        Cell(f"{'+' if size > 0 else MINUS}{mean_count(abs(size))}" if size else ""),
        Cell(difference.change, CHANGE_TONES[difference.change]),
        Cell("yes" if difference.exact else "no"),
    )
