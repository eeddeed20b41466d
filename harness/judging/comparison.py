"""Baseline against candidate: what became slower or faster, what is counted differently, and how much noise there was.

Pure: reads records only. Variants of one run shared each round, so their rounds are compared in pairs; two runs did
not. Where a run measured its baseline again as a control, the two are averaged for the comparison, and what differs
between them is the noise floor.

Both sides are compared on the requests that both came to in every round: a phase that is bounded by time gives a slow
side fewer of them, and the later ones meet a database that has grown.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Final

from harness.advice import MARGIN, ROUNDS_ADVISED
from harness.errors import ExitCode, UsageError, nearest
from harness.judging.analysis.counters import CountDifference, compare_counts
from harness.judging.analysis.paired import (
    RISK,
    STATISTICS,
    Difference,
    Effect,
    Word,
    decide,
    detectable,
    paired,
    unpaired,
)
from harness.judging.analysis.sequential import confidence_at
from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.common_requests import ComparedRounds, MetricKey, common_phases, common_requests
from harness.judging.declaration import declaration_of
from harness.judging.evaluation import SEVERITY
from harness.judging.likeness import unlike
from harness.judging.plan_differences import PlanComparison, compare_plans, plan_side
from harness.judging.shared_drift import drift_between
from harness.judging.validity_checks import VALIDITY_CHECKS
from harness.judging.verdict import Verdict, against_timings, judge
from harness.judging.waivers import (
    Standing,
    Waiver,
    Waivers,
    day_of,
    of_budgets,
    of_figures,
    refuse_unknown_budgets,
    standing,
)
from harness.quantities import count, mean_count, number_of, share, significant
from harness.record import INTERRUPTED, ComparisonSettings, PhaseRecord, RunRecord, VariantRecord
from harness.samples import Sample

COUNTERS: Final[Mapping[str, Callable[[Sample], int | None]]] = {
    "statements": lambda sample: sample.statements,
    "round trips": lambda sample: sample.round_trips,
    "rows": lambda sample: sample.rows,
}
"""What is counted of an answered request; None where nobody counted."""

PROCESSOR_TIMES: Final[Mapping[str, str]] = {
    "client CPU": "client_cpu_s",
    "service CPU": "service_cpu_s",
    "server CPU": "server_cpu_s",
}
"""Seconds that probes counted around a whole phase: the steadiest clock on a machine that others use too."""

PHASE_COUNTERS: Final[Mapping[str, str]] = {"WAL bytes": "wal_bytes"}

ValuesByMetric = Mapping[MetricKey, Sequence[Sequence[float]]]
"""By operation and metric: the rounds of the baseline, of the candidate, and of the control where there is one."""

Test = Callable[[Sequence[float], Sequence[float]], Effect | None]


@dataclass(frozen=True, slots=True)
class Side:
    """A variant as one run measured it."""

    run_id: str
    variant: str


@dataclass(frozen=True, slots=True)
class MetricComparison:
    """A time of both sides in seconds, the geometric mean of its rounds; or `obstacle`, why there is no ratio.

    It is a latency of an operation, or processor time per request of a phase, whose name then stands for the operation.
    `detectable` is the least slowdown, as a share, that the control shows can be found here.
    """

    operation: str
    metric: str
    requests: int
    baseline_s: float | None = None
    candidate_s: float | None = None
    difference: Difference | None = None
    detectable: float | None = None
    obstacle: str = ""

    @property
    def name(self) -> str:
        return f"{self.operation}.{self.metric}"


@dataclass(frozen=True, slots=True)
class CounterComparison:
    """A count per request, of the same requests on both sides; of errors: failed requests per round."""

    operation: str
    counter: str
    difference: CountDifference

    @property
    def name(self) -> str:
        return f"{self.operation} {self.counter}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Says what is known about a candidate.

    Latencies (`metrics`) and `counters` decide the outcome. `processor_times` and `plans` explain it.
    """

    outcome: Outcome
    """Whether the candidate is slower, faster or the same."""
    exit_code: ExitCode
    """The exit code of the command that compared."""
    sentence: str
    """The outcome in a sentence."""
    objections: tuple[str, ...]
    """Why timings cannot be judged; empty where they can."""
    notes: tuple[str, ...]
    """What a reader must know beside the outcome."""
    baseline: Side
    """The known side."""
    candidate: Side
    """The side in question."""
    control: str | None
    """The name of the baseline that was measured again; None without one."""
    rounds: int
    """How many rounds both sides have."""
    margin: float
    """The share of the baseline under which a change does not matter."""
    detectable: float | None
    """The least slowdown of any operation that some figure of it would show, as a share; None without a control."""
    metrics: tuple[MetricComparison, ...]
    """Latencies of both sides."""
    processor_times: tuple[MetricComparison, ...]
    """Processor time of both sides, judged by itself, so that latencies need not share their risk of a false alarm with
    it.
    """
    counters: tuple[CounterComparison, ...]
    """What was counted on both sides."""
    plans: PlanComparison
    """How the plans of both sides differ."""
    waived: Mapping[str, Standing] = field(default_factory=dict[str, Standing])
    """What figures are with their waivers, by their names."""


def compare(
    record: RunRecord, baseline: str | None = None, candidate: str | None = None, *, margin: float = MARGIN
) -> Comparison:
    """Two variants of a run, by default those that it is about. Raises `UsageError` for one that it lacks."""
    declared = declaration_of(record)
    sides = [_variant(record, name) for name in (baseline or declared.baseline, candidate or declared.candidate)]
    control = next((each for each in record.variants if each.control_of == sides[0].name), None)
    risk = 1 - confidence_at(len(record.looks), 1 - RISK) if record.looks else RISK
    variants = [*sides, *([control] if control else [])]
    in_turns = declared.slices > 1
    return _compared(
        (Side(record.run_id, sides[0].name), Side(record.run_id, sides[1].name)),
        compare_plans(*(plan_side(record, side.name) for side in sides)),
        common_requests(variants, share_rounds=True),
        common_phases(variants, share_rounds=True),
        paired,
        control=control.name if control else None,
        objections=_objections(record, variants, in_turns=in_turns),
        notes=(*(() if control else (NO_CONTROL,)), *(_shared_drifts(record) if in_turns else ())),
        margin=margin,
        risk=risk,
    )


def judged(record: RunRecord, waivers: Sequence[Waiver] = ()) -> Comparison | Verdict:
    """By what the run was made for: as a comparison, or by its budgets. Raises `UsageError` for an unknown waiver."""
    declared = declaration_of(record)
    if record.comparison:
        return compare_asked(record, record.comparison, waivers)
    refuse_unknown_budgets(waivers, declared.name, declared.budgets, declared.strategies)
    return judge(record, waivers=of_budgets(waivers, declared.name))


WORD_OUTCOMES: Final[Mapping[Word, Outcome]] = {
    "slower": Outcome.FAIL,
    "undecided": Outcome.UNDECIDED,
    "same": Outcome.PASS,
    "faster": Outcome.PASS,
}


def timing_outcome(comparison: Comparison, metric: MetricComparison) -> Outcome:
    """Says what a latency comes to by itself; none can be judged where any cannot."""
    if comparison.objections:
        return Outcome.INVALID
    return WORD_OUTCOMES[metric.difference.word] if metric.difference else Outcome.UNDECIDED


def counter_outcome(counter: CounterComparison) -> Outcome:
    return Outcome.FAIL if counter.difference.change == "grew" else Outcome.PASS


def compared_figures(operations: Iterable[str]) -> Sequence[str]:
    """Names what a comparison says of each of these operations."""
    counters = (*COUNTERS, "errors", *PHASE_COUNTERS)
    return [
        name
        for operation in operations
        for name in (
            *(f"{operation}.{each}" for each in STATISTICS),
            *(f"{operation} {each}" for each in counters),
        )
    ]


def accepted(comparison: Comparison, waivers: Waivers, on: date) -> Comparison:
    """The comparison with what is accepted of it on this day; what it does not compare is another command's."""
    every: tuple[MetricComparison | CounterComparison, ...] = (*comparison.metrics, *comparison.counters)
    figures = {each.name: each for each in every}
    waived = {name: _standing_of(comparison, figures[name], waivers[name], on) for name in figures.keys() & waivers}
    if not waived:
        return comparison
    counted = [
        waived[each.name].outcome if each.name in waived else counter_outcome(each) for each in comparison.counters
    ]
    timed = [
        waived[each.name].outcome if each.name in waived else timing_outcome(comparison, each)
        for each in comparison.metrics
    ]
    outcomes = (*counted, *timed)
    if Outcome.FAIL in counted:
        outcome = Outcome.FAIL
    elif comparison.objections or not comparison.metrics:
        outcome = Outcome.INVALID
    else:
        worst = next(each for each in SEVERITY if each in outcomes)
        outcome = Outcome.PASS_WITH_WAIVERS if worst is Outcome.WAIVED else worst
    code = comparison.exit_code if comparison.exit_code is ExitCode.INTERRUPTED else outcome.exit_code
    said = " ".join(f"{name}: {each.sentence}" for name, each in waived.items())
    return replace(
        comparison, outcome=outcome, exit_code=code, sentence=f"{comparison.sentence} {said}".strip(), waived=waived
    )


def _standing_of(
    comparison: Comparison, figure: MetricComparison | CounterComparison, waiver: Waiver, on: date
) -> Standing:
    share = waiver.accepted_share
    if isinstance(figure, CounterComparison):
        found = figure.difference
        within = share is None or found.candidate <= found.baseline * (1 + share)
        worst = Outcome.PASS if within else Outcome.FAIL
        return standing(waiver, counter_outcome(figure), on, accepted=worst, for_sure=found.change != "varies")
    if share is None or figure.difference is None:
        worst = Outcome.PASS
    elif figure.difference.lower > 1 + share:
        worst = Outcome.FAIL
    else:
        worst = Outcome.PASS if figure.difference.upper <= 1 + share else Outcome.UNDECIDED
    return standing(waiver, timing_outcome(comparison, figure), on, accepted=worst)


def compare_asked(record: RunRecord, asked: ComparisonSettings, waivers: Sequence[Waiver] = ()) -> Comparison:
    """Says what the run was to compare.

    A side that it did not come to has no requests, so there is nothing to compare.
    """
    begun = {each.name for each in record.variants}
    missing = [name for name in (asked.baseline, asked.candidate) if name not in begun]
    unmeasured = tuple(VariantRecord(name=name, description="", schema_version=0) for name in missing)
    whole = record.model_copy(update={"variants": (*record.variants, *unmeasured)})
    comparison = accepted(
        compare(whole, asked.baseline, asked.candidate, margin=asked.margin),
        of_figures(waivers, declaration_of(record).name),
        day_of(record.started_at),
    )
    return replace(comparison, exit_code=ExitCode.INTERRUPTED) if record.interruption == INTERRUPTED else comparison


def wanting(record: RunRecord, margin: float = MARGIN) -> dict[str, str]:
    """Of a comparison that is going on: the variants whose further rounds can settle it, and what they are to settle.

    Its final verdict is that of the first look that leaves nothing undecided, and each look has its part of the risk.
    """
    going_on = record.model_copy(update={"state": "complete", "interruption": None})
    comparison = compare(going_on, margin=margin)
    further = list(_advice(comparison.metrics))
    if comparison.outcome is not Outcome.UNDECIDED or not further:
        return {}
    return dict.fromkeys((variant.name for variant in record.variants), " ".join(further).rstrip("."))


def compare_runs(
    baseline: RunRecord, candidate: RunRecord, variant: str | None = None, *, margin: float = MARGIN
) -> Comparison:
    """One variant as two runs measured it, by default the candidate of each. Raises `UsageError` for one they lack.

    Whether the runs are alike enough is for the caller to decide; what differs is among the notes.
    """
    records = baseline, candidate
    variants = [_variant(each, variant or declaration_of(each).candidate) for each in records]
    differing = unlike(baseline, candidate)
    return _compared(
        (Side(baseline.run_id, variants[0].name), Side(candidate.run_id, variants[1].name)),
        compare_plans(*(plan_side(*each) for each in zip(records, [side.name for side in variants], strict=True))),
        common_requests(variants, share_rounds=False),
        common_phases(variants, share_rounds=False),
        unpaired,
        control=None,
        objections=[f"{each.run_id}: {objection}" for each in records for objection in against_timings(each)],
        notes=(*(f"These runs are unlike: {each}." for each in differing), APART),
        margin=margin,
        risk=RISK,
    )


DRIFTING: Final = "drifting_latencies"
NO_CONTROL: Final = "No control was measured, so the noise of this comparison is not known."
APART: Final = (
    "Two runs share no rounds, so whatever changed on the machine between them counts as a difference (Welch's test); "
    "for a verdict that weighs more, measure both in one run."
)


def _variant(record: RunRecord, name: str | None) -> VariantRecord:
    names = [variant.name for variant in record.variants]
    if name not in names:
        raise UsageError(f"The run {record.run_id} has no variant {name!r}. {nearest(str(name), names)}")
    return record.variants[names.index(name)]


def _objections(record: RunRecord, variants: Sequence[VariantRecord], *, in_turns: bool) -> tuple[str, ...]:
    """Sides that took turns share what drifts on the machine, so of them a drift of their ratio is what counts."""
    if not in_turns:
        return against_timings(record)
    baseline, *others = variants
    return (*against_timings(record, besides=[DRIFTING]), *drift_between(baseline, others))


def _shared_drifts(record: RunRecord) -> Iterable[str]:
    for objection in VALIDITY_CHECKS[DRIFTING].objections(record):
        fact, *_ = objection.split(". ")
        yield f"{fact}. Both sides took turns, so the ratios hold; the times of either side are those of no one state."


def _compared(
    sides: tuple[Side, Side],
    plans: PlanComparison,
    by_operation: Mapping[str, Sequence[ComparedRounds]],
    by_phase: Mapping[str, Sequence[Sequence[PhaseRecord]]],
    test: Test,
    *,
    control: str | None,
    objections: Sequence[str],
    notes: Sequence[str],
    margin: float,
    risk: float,
) -> Comparison:
    latencies = {
        (operation, metric): [[_statistic(metric, each) for each in rounds] for rounds in variants]
        for operation, variants in by_operation.items()
        for metric in STATISTICS
    }
    requests = {operation: len(variants[1][0]) for operation, variants in by_operation.items()}
    metrics = tuple(_metrics(latencies, requests, test, margin, risk))
    sent = {phase: variants[1][0].started for phase, variants in by_phase.items()}
    processor_times = tuple(_metrics(dict(_per_phase(by_phase, PROCESSOR_TIMES)), sent, test, margin, risk))
    counters = (*_counters(by_operation), *_phase_counters(by_phase))
    found = (*objections, *(_out_of_bounds(latencies, control, margin, risk) if control else ()))
    outcome = _outcome(found, metrics, counters)
    return Comparison(
        outcome=outcome,
        exit_code=outcome.exit_code,
        sentence=_sentence(sides, found, metrics, counters),
        objections=found,
        notes=(*notes, *_advice(metrics)),
        baseline=sides[0],
        candidate=sides[1],
        control=control,
        rounds=min((each.difference.rounds for each in metrics if each.difference), default=0),
        margin=margin,
        detectable=_detectable_anywhere(metrics),
        metrics=metrics,
        processor_times=processor_times,
        counters=counters,
        plans=plans,
    )


def _metrics(
    values: ValuesByMetric, requests: Mapping[str, int], test: Test, margin: float, risk: float
) -> Iterable[MetricComparison]:
    """Everything at once, since all share one risk of a false alarm."""
    baselines = {key: _averaged(baseline, *controls) for key, (baseline, _, *controls) in values.items()}
    effects = {key: test(baselines[key], values[key][1]) for key in values}
    differences = decide({key: effect for key, effect in effects.items() if effect}, margin=margin, risk=risk)
    for key, (baseline, candidate, *controls) in values.items():
        nulls = [paired(baseline, control) for control in controls]
        yield MetricComparison(
            *key,
            requests=requests[key[0]],
            baseline_s=_typical(baselines[key]),
            candidate_s=_typical(candidate),
            difference=differences.get(key),
            detectable=_detectable(nulls[0], len(differences), margin, risk) if nulls else None,
            obstacle="" if key in differences else "requests failed",
        )


def _statistic(metric: str, samples: Sequence[Sample]) -> float:
    """Of a round's requests. Failed ones are slower than any other in a quantile, and no part of a mean."""
    answered = [sample.latency_s for sample in samples if sample.error is None]
    failed = [] if metric == "mean" and answered else [math.inf] * (len(samples) - len(answered))
    return STATISTICS[metric]([*answered, *failed])


def _averaged(*measurements: Sequence[float]) -> list[float]:
    """The geometric mean of each round, of one measurement or of two."""
    return [_typical(each) for each in zip(*measurements, strict=True)]


def _typical(values: Sequence[float]) -> float:
    """The geometric mean, whose ratio is what the rounds' logarithms are averaged to."""
    return math.exp(math.fsum(map(math.log, values)) / len(values)) if all(values) else 0.0


def _detectable(null: Effect | None, judged: int, margin: float, risk: float) -> float | None:
    """The baseline is averaged with its control, which leaves 3/4 of a difference's variance between single passes."""
    if null is None or not null.degrees_of_freedom:
        return None
    error = null.standard_error * math.sqrt(3 / 4)
    return detectable(replace(null, standard_error=error), judged, margin=margin, risk=risk)


def _detectable_anywhere(metrics: Sequence[MetricComparison]) -> float | None:
    """What the steadiest figure of an operation shows, of the operation that is least steady."""
    floors: dict[str, list[float]] = {}
    for each in metrics:
        floors.setdefault(each.operation, []).extend([] if each.detectable is None else [each.detectable])
    return max(map(min, floors.values())) if floors and all(floors.values()) else None


def _out_of_bounds(values: ValuesByMetric, control: str, margin: float, risk: float) -> Iterable[str]:
    """Where the control differs from the baseline that it is, with the risk that a candidate would be judged by."""
    nulls = {key: paired(baseline, again) for key, (baseline, _, again) in values.items()}
    differences = decide({key: effect for key, effect in nulls.items() if effect}, margin=margin, risk=risk)
    apart = {f"{key[0]}.{key[1]}": each for key, each in differences.items() if each.word in {"faster", "slower"}}
    if apart:
        figures = ", ".join(f"{name} {each.word} by {change(each.ratio)}" for name, each in apart.items())
        yield (
            f"the control, {control}, is the baseline again and came out {figures}, so something else than the code "
            "changed between the passes. Close what else runs on this machine, or use more rounds, and compare again"
        )


def _counters(by_operation: Mapping[str, Sequence[ComparedRounds]]) -> Iterable[CounterComparison]:
    for operation, variants in by_operation.items():
        for counter, number in COUNTERS.items():
            counts = [[_per_request(number, samples) for samples in rounds] for rounds in variants]
            known = [[each for each in rounds if each is not None] for rounds in counts]
            if all(map(len, known)):
                yield CounterComparison(operation, counter, compare_counts(_joined(known), known[1]))
        failed = [
            [float(sum(sample.error is not None for sample in samples)) for samples in rounds] for rounds in variants
        ]
        yield CounterComparison(operation, "errors", compare_counts(_joined(failed), failed[1]))


def _per_phase(
    by_phase: Mapping[str, Sequence[Sequence[PhaseRecord]]], names: Mapping[str, str]
) -> Iterable[tuple[MetricKey, list[list[float]]]]:
    """Phase and name: what probes counted per request, where they counted it in all rounds."""
    for phase, variants in by_phase.items():
        for name, counter in names.items():
            values = [[each.counters.get(counter, 0) / max(each.started, 1) for each in rounds] for rounds in variants]
            if all(all(rounds) for rounds in values):
                yield (phase, name), values


def _phase_counters(by_phase: Mapping[str, Sequence[Sequence[PhaseRecord]]]) -> Iterable[CounterComparison]:
    for (phase, name), values in _per_phase(by_phase, PHASE_COUNTERS):
        yield CounterComparison(phase, name, compare_counts(_joined(values), values[1]))


def _joined(variants: Sequence[Sequence[float]]) -> list[float]:
    """The rounds of the baseline and of its control, if there is one: all but those of the candidate."""
    return [*variants[0], *(each for control in variants[2:] for each in control)]


def _per_request(number: Callable[[Sample], int | None], samples: Sequence[Sample]) -> float | None:
    """The mean over the answered requests; None where nothing was counted."""
    counts = [found for sample in samples if sample.error is None and (found := number(sample)) is not None]
    return sum(counts) / len(counts) if counts else None


def _outcome(
    objections: Sequence[str], metrics: Sequence[MetricComparison], counters: Sequence[CounterComparison]
) -> Outcome:
    """What was counted holds however noisy the machine is, so it comes before what makes timings invalid."""
    words = {each.difference.word if each.difference else "undecided" for each in metrics}
    if any(each.difference.change == "grew" for each in counters):
        return Outcome.FAIL
    if objections or not metrics:
        return Outcome.INVALID
    if "slower" in words:
        return Outcome.FAIL
    return Outcome.UNDECIDED if "undecided" in words else Outcome.PASS


def _sentence(
    sides: tuple[Side, Side],
    objections: Sequence[str],
    metrics: Sequence[MetricComparison],
    counters: Sequence[CounterComparison],
) -> str:
    """Everything that is certain by name, and how many could not be told."""
    candidate, baseline = (f"{side.variant}" for side in reversed(sides))
    if not metrics:
        return f"{candidate} and {baseline} have no operation in common, so there is nothing to compare."
    shrunk = sum(each.difference.change == "shrank" for each in counters)
    findings = [
        *(f"{each.name} grew {_size(each.difference)}" for each in counters if each.difference.change == "grew"),
        *(() if objections else _timings(metrics)),
        *((f"{number_of(shrunk, 'count')} shrank",) if shrunk else ()),
    ]
    text = f"{candidate} against {baseline}: {'; '.join(findings)}." if findings else ""
    invalid = f"Timings cannot be judged: {'; '.join(objections)}." if objections else ""
    return " ".join(part for part in (text, invalid) if part)


def _timings(metrics: Sequence[MetricComparison]) -> Iterable[str]:
    by_word: defaultdict[Word, list[MetricComparison]] = defaultdict(list)
    for each in metrics:
        by_word[each.difference.word if each.difference else "undecided"].append(each)
    certain: tuple[Word, Word] = "slower", "faster"
    for word in certain:
        if named := [f"{each.name} by {change(each.difference.ratio)}" for each in by_word[word] if each.difference]:
            yield f"{word}: {', '.join(named)}"
    others: tuple[Word, Word] = "same", "undecided"
    for word in others:
        if by_word[word]:
            yield f"{word}: {'all' if len(by_word[word]) == len(metrics) else count(len(by_word[word]))}"


def _advice(metrics: Sequence[MetricComparison]) -> Iterable[str]:
    """What would decide what is undecided."""
    differences = [each.difference for each in metrics if each.difference]
    if any(each.rounds == 1 for each in differences):
        yield f"One round says nothing about the next, so no timing can be judged: use --rounds {ROUNDS_ADVISED}."
    further = [each.further_rounds for each in differences if each.further_rounds]
    if further:
        yield f"About {count(max(further))} more rounds like these would decide what is undecided."


def change(ratio: float) -> str:
    """`12.3%`, or `3.1 times` where one side is more than twice the other; without a direction."""
    size = max(ratio, 1 / ratio)
    return share(abs(ratio - 1)) if size <= 2 else f"{significant(size)} times"  # noqa: PLR2004 -- said in words.


def _size(difference: CountDifference) -> str:
    return f"from {mean_count(difference.baseline)} to {mean_count(difference.candidate)}"
