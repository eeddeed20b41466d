"""A comparison as tables of text, for every renderer: timings with their intervals, counts, and what may be missed."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from harness.judging.analysis.counters import Change
from harness.judging.analysis.paired import POWER, RISK, Difference, Word
from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.comparison import Comparison, CounterComparison, MetricComparison, counter_outcome, timing_outcome
from harness.quantities import ABSENT, MINUS, count, duration, mean_count, number_of, share, significant
from harness.showing.tables import (
    Cell,
    Column,
    Table,
    Tone,
    few_note,
    number_columns,
    printable,
    table_or_none,
    text_columns,
    time_cell,
)

WORD_TONES: Final[Mapping[Word, Tone]] = {"faster": "good", "slower": "bad", "same": "plain", "undecided": "doubt"}
CHANGE_TONES: Final[Mapping[Change, Tone]] = {"shrank": "good", "grew": "bad", "same": "plain", "varies": "muted"}

RATIO_MAX: Final = 1_000

TIMING_COLUMNS: Final = (
    *text_columns("Operation", "Metric"),
    *number_columns("Baseline", "Candidate", "Ratio", "Interval"),
    Column("Verdict"),
    Column("Sees from", numeric=True),
    Column("Requests per round", numeric=True, wide=True),
)

DETECTABLE_MAX: Final = 10.0
"""A noise floor over this says no more than that nothing can be found."""


def comparison_title(comparison: Comparison) -> str:
    return printable(f"{comparison.candidate.variant} against {comparison.baseline.variant}")


def noise_sentence(comparison: Comparison) -> str:
    """Tells what the control says about this comparison; empty without one."""
    if comparison.control is None:
        return ""
    floor = comparison.detectable
    if floor is None or floor > DETECTABLE_MAX:
        return "This comparison, here, today, is too short or too noisy to see any slowdown reliably."
    return (
        f"This comparison, here, today, sees a slowdown by {share(floor)} or more of every operation in its steadiest "
        f"figure: {', '.join(map(printable, steadiest(comparison.metrics)))} ({share(POWER)} of the time; measured on "
        f"{printable(comparison.control)}). Sees from, below, says it of each figure."
    )


def steadiest(metrics: Iterable[MetricComparison]) -> Iterable[str]:
    """Of each operation, the figure in which the least slowdown would be seen, and how little that is."""
    floors: dict[str, list[tuple[float, str]]] = {}
    for each in metrics:
        if each.detectable is not None:
            floors.setdefault(each.operation, []).append((each.detectable, each.name))
    return (f"{name} from {share(floor)}" for floor, name in map(min, floors.values()))


def timings_table(comparison: Comparison) -> Table:
    return Table(
        f"Latency, {number_of(comparison.rounds, 'round')}",
        TIMING_COLUMNS,
        tuple(_timing_row(each) for each in comparison.metrics),
        f"Ratio: candidate over baseline. Same: the whole interval is within {share(comparison.margin)}. Where nothing "
        f"differs, under {share(RISK)} of comparisons say faster or slower anywhere. Sees from: the least slowdown "
        f"that would be found. {few_note(each.requests for each in comparison.metrics)}".rstrip(),
    )


def processor_table(comparison: Comparison) -> Table | None:
    """None where nobody counted, or the sides did not send as many requests."""
    rows = tuple(_timing_row(each) for each in comparison.processor_times)
    note = "Of whole phases, background work included. It explains latencies, and decides nothing by itself."
    return table_or_none("Processor time per request", TIMING_COLUMNS, rows, note)


def _timing_row(metric: MetricComparison) -> tuple[Cell, ...]:
    difference = metric.difference
    return (
        Cell(printable(metric.operation)),
        Cell(metric.metric),
        time_cell(metric.baseline_s, metric.requests, metric.metric),
        time_cell(metric.candidate_s, metric.requests, metric.metric),
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
    if difference.lower <= 1 / RATIO_MAX and difference.upper >= RATIO_MAX:
        return "unknown"
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


def counts_table(comparison: Comparison, *, others_are: str = "") -> Table | None:
    """All counts; or those that differ, how many do not, and where these are shown."""
    shown = [each for each in comparison.counters if not others_are or each.difference.change != "same"]
    others = len(comparison.counters) - len(shown)
    same = f" {count(others)} more {'is' if others == 1 else 'are'} the same: {others_are}." if others else ""
    columns = (
        *text_columns("Operation", "Count per request"),
        *number_columns("Baseline", "Candidate", "Difference"),
        Column("Verdict"),
        Column("Exact", wide=True),
    )
    note = "Of the same requests on both sides. Varies: so do rounds of one side, so the difference may be chance."
    return table_or_none("What is counted", columns, tuple(map(_count_row, shown)), f"{note}{same}")


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


@dataclass(frozen=True, slots=True)
class ComparisonFinding:
    """One compared figure, for formats that have an outcome for each and no tables."""

    name: str
    outcome: Outcome
    sentence: str

    @property
    def fails(self) -> bool:
        return self.outcome is Outcome.FAIL


def findings(comparison: Comparison) -> Iterable[ComparisonFinding]:
    """Timings and counts, each by itself; timings that cannot be judged are INVALID one by one."""
    for metric in comparison.metrics:
        yield _finding(comparison, metric.name, timing_outcome(comparison, metric), _timing_sentence(metric))
    for counter in comparison.counters:
        yield _finding(comparison, counter.name, counter_outcome(counter), _count_sentence(counter))


def _finding(comparison: Comparison, name: str, outcome: Outcome, sentence: str) -> ComparisonFinding:
    stands = comparison.waived.get(name)
    if stands is None:
        return ComparisonFinding(name, outcome, sentence)
    return ComparisonFinding(name, stands.outcome, f"{sentence}. {stands.sentence}")


def _timing_sentence(metric: MetricComparison) -> str:
    """`slower: 12.0 ms to 13.4 ms, 1.12 x (1.08 to 1.16), 200 requests a round`."""
    difference = metric.difference
    word = difference.word if difference else f"undecided: {metric.obstacle}"
    parts = [f"{word}: {duration(metric.baseline_s)} to {duration(metric.candidate_s)}"]
    if difference:
        bounds = ratio_interval(difference)
        parts.append(ratio(difference.ratio) + (f" ({bounds})" if bounds else ""))
    return f"{', '.join(parts)}, {count(metric.requests)} requests a round"


def _count_sentence(counter: CounterComparison) -> str:
    difference = counter.difference
    return f"{difference.change}: {mean_count(difference.baseline)} to {mean_count(difference.candidate)} per request"
