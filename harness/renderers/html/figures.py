"""Which charts the page has: what of the run goes into each, and what it says to someone who cannot see it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Final

from markupsafe import Markup

from harness.budget_metrics import METRICS
from harness.budget_metrics.latency_quantile import LatencyQuantile
from harness.quantities import count, duration
from harness.record import RunRecord
from harness.renderers.html.charts import (
    BASE,
    FIRST,
    TYPICAL,
    Curve,
    Judged,
    Rung,
    Series,
    distribution_chart,
    ladder_chart,
    series_chart,
    statements_chart,
)
from harness.summary import TEXT_GROUPS, Ladder, Quantile, Summary, TextGroup
from harness.tables import printable, selection
from harness.verdict import Verdict

POINTS_MAX: Final = 600


@dataclass(frozen=True, slots=True)
class Figure:
    """`key` tells it from the others of the page."""

    key: str
    title: str
    svg: Markup


def all_figures(record: RunRecord, summary: Summary, verdict: Verdict) -> Iterable[Figure]:
    """In the order of the page."""
    yield from ladder_figures(summary, verdict)
    yield from distribution_figures(record, summary, verdict)
    yield from series_figures(record, summary)
    yield from statement_figures(summary)


def ladder_figures(summary: Summary, verdict: Verdict) -> Iterable[Figure]:
    """One per operation: known texts where texts matter, with the first-time ones beside."""
    first_time = {ladder.operation: ladder for ladder in summary.ladders if ladder.texts == "first"}
    for number, ladder in enumerate(summary.main_ladders):
        limits_s = [judged.limit_s for judged in _judged(verdict, ladder.operation, ladder.steps[-1].variant)]
        rungs = list(_rungs(ladder, first_time.get(ladder.operation), summary))
        yield _ladder_figure(ladder, rungs, min(limits_s, default=None), f"ladder{number}")


def _rungs(ladder: Ladder, first: Ladder | None, summary: Summary) -> Iterable[Rung]:
    """Each step with its first-time texts and with the reference range that is meant for it, a target aside."""
    first_steps = {step.variant: step for step in first.steps} if first else {}
    references = {
        each.reference.variant: (each.reference.low_s, each.reference.high_s)
        for each in summary.comparisons
        if each.reference.operation == ladder.operation and each.reference.low_s and each.reference.high_s
    }
    for step in ladder.steps:
        yield Rung(printable(step.variant), step, first_steps.get(step.variant), references.get(step.variant))


def _ladder_figure(ladder: Ladder, rungs: Sequence[Rung], limit_s: float | None, key: str) -> Figure:
    start, end = ladder.steps[0], ladder.steps[-1]
    title = selection(ladder.operation, ladder.texts)
    description = (
        f"{title}: p50 goes from {duration(start.p50.value_s)} with {printable(start.variant)} "
        f"to {duration(end.p50.value_s)} with {printable(end.variant)}. The tables below have every step."
    )
    return Figure(key, title, _safe(ladder_chart(rungs, limit_s, key, description)))


def distribution_figures(record: RunRecord, summary: Summary, verdict: Verdict) -> Iterable[Figure]:
    """One per operation: all requests of the baseline, those of the candidate by their texts, and its budgets."""
    candidate = summary.declaration.candidate or ""
    for number, operation in enumerate(summary.operation_names):
        groups = list(_groups(summary, operation))
        latencies = [(_latencies(record, name, operation, texts), colour) for name, texts, colour in groups]
        curves = [Curve(ordered_s, colour) for ordered_s, colour in latencies if ordered_s]
        if curves:
            judged = _judged(verdict, operation, candidate)
            description = f"{printable(operation)}: distribution of service times. " + " ".join(
                f"{selection(name, texts)}: p50 {duration(found.p50.value_s)}, p95 {duration(found.p95.value_s)}."
                for name, texts, _ in groups
                if (found := summary.operation(name, operation, texts))
            )
            key = f"distribution{number}"
            yield Figure(key, printable(operation), _safe(distribution_chart(curves, judged, key, description)))


def _groups(summary: Summary, operation: str) -> Iterable[tuple[str, TextGroup, str]]:
    """Variant, texts and colour: the candidate's known and first-time texts apart where texts matter."""
    baseline, candidate = summary.declaration.baseline or "", summary.declaration.candidate or ""
    if baseline != candidate:
        yield baseline, "all", BASE
    if summary.operation(candidate, operation, "known") is None:
        yield candidate, "all", TYPICAL
    else:
        yield candidate, "known", TYPICAL
        yield candidate, "first", FIRST


def statement_figures(summary: Summary) -> Iterable[Figure]:
    for number, operation in enumerate(summary.operation_names):
        found = [summary.operation(variant.name, operation) for variant in summary.variants]
        counts = [(printable(each.variant), each.statements) for each in found if each and each.statements]
        if counts:
            listed = ", ".join(f"{name} {count(spread.median)}" for name, spread in counts)
            description = f"{printable(operation)}: SQL statements per request, median. {listed}."
            key = f"statements{number}"
            yield Figure(key, printable(operation), _safe(statements_chart(counts, key, description)))


def series_figures(record: RunRecord, summary: Summary) -> Iterable[Figure]:
    """The candidate's first round, one per operation, known and first-time texts apart."""
    candidate = next((each for each in record.variants if each.name == summary.declaration.candidate), None)
    rounds = {sample.round for sample in candidate.samples} if candidate else set[int]()
    for number, operation in enumerate(summary.operation_names if candidate and rounds else ()):
        assert candidate is not None, "there are rounds only of a candidate"
        first_round = min(rounds)
        samples = [each for each in candidate.samples if (each.operation, each.round) == (operation, first_round)]
        answered = [each for each in samples if each.error is None]
        if not answered:
            continue
        key, phases = f"series{number}", [each for each in candidate.phases if each.round == first_round]
        series = Series(
            points=[
                (colour, _thinned(points))
                for colour, texts in ((TYPICAL, (False, None)), (FIRST, (True,)))
                if (points := [(each.started_s, each.latency_s) for each in answered if each.first_time_text in texts])
            ],
            errors_s=[each.started_s for each in samples if each.error is not None],
            boundaries_s=[each.started_s for each in phases]
            + [each.started_s + stage.start_s for each in phases for stage in each.stages],
            disruptions_s=[
                (each.started_s, each.ended_s)
                for each in candidate.disruptions
                if each.round == first_round and each.started_s is not None and each.ended_s is not None
            ],
            start_s=min(each.intended_s for each in samples),
            end_s=max(each.ended_s for each in samples),
        )
        slowest = max(answered, key=lambda each: each.latency_s)
        description = (
            f"{printable(operation)} with {printable(candidate.name)}: latency of {count(len(answered))} requests over "
            f"{series.end_s - series.start_s:.1f} seconds. The slowest started {slowest.started_s:.1f} seconds after "
            f"the begin of the pass. {count(len(series.errors_s))} failed."
        )
        yield Figure(key, printable(operation), _safe(series_chart(series, key, description)))


def _thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """Of very many requests the slowest of each slice, so that no spike is left out."""
    size = -(-len(points) // POINTS_MAX)
    return [max(points[start : start + size], key=itemgetter(1)) for start in range(0, len(points), size)]


def _latencies(record: RunRecord, variant: str, operation: str, texts: TextGroup) -> list[float]:
    return sorted(
        math.inf if sample.error else sample.latency_s
        for each in record.variants
        if each.name == variant
        for sample in each.samples
        if sample.operation == operation and TEXT_GROUPS[texts](sample)
    )


def _judged(verdict: Verdict, operation: str, variant: str) -> list[Judged]:
    """The quantile budgets of an operation that have a limit to draw."""
    found: list[Judged] = []
    for each in verdict.budgets:
        metric = METRICS[each.metric]
        if (each.subject, each.variant) == (operation, variant) and isinstance(metric, LatencyQuantile) and each.limit:
            bounds = Quantile(each.measured or math.inf, each.lower, each.upper)
            found.append(Judged(each.limit, metric.probability, bounds))
    return found


def _safe(svg: str) -> Markup:
    """Charts are written by an XML serializer, which has escaped every text in them."""
    return Markup(svg)  # noqa: S704 -- as the docstring says.
