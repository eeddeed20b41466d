"""Says which charts the page has: what of the run goes into each, and what it says to someone who cannot see it."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from harness.judging.budget_metrics import METRICS
from harness.judging.budget_metrics.latency_quantile import LatencyQuantile
from harness.judging.budgets import Budget, parse
from harness.judging.columns import Columns
from harness.judging.verdict import Verdict
from harness.quantities import count, duration
from harness.record import RunRecord, VariantRecord
from harness.showing.renderers.html.charts import (
    BASE,
    FIRST,
    TAIL,
    TYPICAL,
    Cloud,
    Curve,
    Judged,
    Law,
    Rung,
    distribution_chart,
    ladder_chart,
    law_chart,
    statements_chart,
)
from harness.showing.renderers.html.inline_svg import Figure, safe
from harness.showing.renderers.html.recall_figures import recall_figures
from harness.showing.renderers.html.time_figures import series_figures, system_figures
from harness.showing.report import Report
from harness.showing.sections import sections
from harness.showing.summary import TEXT_GROUPS, Ladder, Quantile, Summary, TextGroup
from harness.showing.tables import printable, selection


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
    return Figure(key, title, safe(ladder_chart(rungs, limit_s, key, description)))


def distribution_figures(record: RunRecord, summary: Summary, verdict: Verdict) -> Iterable[Figure]:
    """One per operation: all requests of the baseline, those of the candidate by their texts, and its budgets."""
    candidate = summary.declaration.candidate or ""
    for number, operation in enumerate(summary.operation_names):
        groups = list(_groups(summary, operation))
        latencies = [(_latencies(record, name, operation, texts), colour) for name, texts, colour in groups]
        curves = [Curve(ordered_s, colour) for ordered_s, colour in latencies if len(ordered_s)]
        if curves:
            judged = _judged(verdict, operation, candidate)
            description = f"{printable(operation)}: distribution of latencies. " + " ".join(
                f"{selection(name, texts)}: p50 {duration(found.p50.value_s)}, p95 {duration(found.p95.value_s)}."
                for name, texts, _ in groups
                if (found := summary.operation(name, operation, texts))
            )
            key = f"distribution{number}"
            yield Figure(key, printable(operation), safe(distribution_chart(curves, judged, key, description)))


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
            yield Figure(key, printable(operation), safe(statements_chart(counts, key, description)))


def law_figures(record: RunRecord, summary: Summary, verdict: Verdict) -> Iterable[Figure]:
    """Statements against results where the number of results varies, with the laws that they are held to."""
    for number, operation in enumerate(summary.operation_names):
        clouds = [cloud for each in record.variants if (cloud := _cloud(each, operation, summary))]
        if len({n for cloud in clouds for n, _ in cloud.points}) > 1:
            laws = list(_laws(record, verdict, operation))
            key, held = f"law{number}", "".join(f" Held to: {law.text}." for law in laws)
            listed = ", ".join(f"{cloud.name} {_range(cloud)}" for cloud in clouds)
            description = f"{printable(operation)}: SQL statements by the number of results, n. {listed}.{held}"
            yield Figure(key, printable(operation), safe(law_chart(clouds, laws, key, description)))


def _cloud(variant: VariantRecord, operation: str, summary: Summary) -> Cloud | None:
    points = {
        (each.results, each.statements)
        for each in Columns.of(variant.samples).tally()
        if each.operation == operation and each.results is not None and each.statements is not None
    }
    declared = summary.declaration
    colour = {declared.baseline: BASE, declared.candidate: TYPICAL}.get(variant.name, TAIL)
    return Cloud(printable(variant.name), colour, sorted(points)) if points else None


def _range(cloud: Cloud) -> str:
    counts = [statements for _, statements in cloud.points]
    return f"{count(min(counts))} to {count(max(counts))} for n from {cloud.points[0][0]} to {cloud.points[-1][0]}"


def _laws(record: RunRecord, verdict: Verdict, operation: str) -> Iterable[Law]:
    """Each budget of statements that is a law in n, over the results that its variant had."""
    variants = {each.name: each for each in record.variants}
    for each in verdict.budgets:
        if (each.subject, each.metric) == (operation, "statements") and each.variant in variants:
            budget = parse(each.budget)
            bounds = list(_bounds(budget, variants[each.variant])) if "n" in budget.limit.variables else []
            if bounds:
                yield Law(printable(f"{each.variant}: {budget.limit.comparator} {budget.limit.text}"), bounds)


def _bounds(budget: Budget, variant: VariantRecord) -> Iterable[tuple[int, float, float]]:
    """For each n, the least and the most that the budget allowed any request with so many results."""
    allowed: defaultdict[int, list[float]] = defaultdict(list)
    for traits in filter(budget.selects, Columns.of(variant.samples).tally()):
        if traits.results is not None:
            variables = {"n": traits.results, "promotions": traits.promotions or 0}
            allowed[traits.results].append(budget.limit.value(variables))
    for n, values in sorted(allowed.items()):
        yield n, min(values), max(values)


def _latencies(record: RunRecord, variant: str, operation: str, texts: TextGroup) -> NDArray[np.float64]:
    measured = (Columns.of(each.samples).by_operation for each in record.variants if each.name == variant)
    found = [requests.select(TEXT_GROUPS[texts]) for each in measured if (requests := each.get(operation)) is not None]
    latencies_s = (np.where(each.failed, np.inf, each.latency_s) for each in found)
    return np.sort(np.concatenate([np.empty(0), *latencies_s]))


def _judged(verdict: Verdict, operation: str, variant: str) -> list[Judged]:
    """The quantile budgets of an operation that have a limit to draw."""
    found: list[Judged] = []
    for each in verdict.budgets:
        metric = METRICS[each.metric]
        if (each.subject, each.variant) == (operation, variant) and isinstance(metric, LatencyQuantile) and each.limit:
            bounds = Quantile(each.measured or math.inf, each.lower, each.upper)
            found.append(Judged(each.limit, metric.probability, bounds))
    return found


FIGURES: Final[Mapping[str, Callable[[Report], Iterable[Figure]]]] = {
    "ladder": lambda report: ladder_figures(report.summary, report.verdict),
    "distribution": lambda report: distribution_figures(report.record, report.summary, report.verdict),
    "series": lambda report: series_figures(report.record, report.summary),
    "system": lambda report: system_figures(report.record, report.summary),
    "statements": lambda report: statement_figures(report.summary),
    "recall": lambda report: recall_figures(report.record, report.summary),
    "laws": lambda report: law_figures(report.record, report.summary, report.verdict),
}
"""What draws the groups of figures that sections name."""


def all_figures(report: Report) -> Iterable[Figure]:
    """In the order of the page."""
    for section in sections(report, "browsing"):
        for group in section.figures:
            yield from FIGURES[group](report)
