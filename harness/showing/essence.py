"""Says what a reviewer reads first: what changed, by how much, what it is owed to, and what to do about it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, assert_never

from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.columns import Columns
from harness.judging.verdict import BudgetVerdict, Verdict
from harness.quantities import ABSENT, MINUS, count, duration, number_of, share
from harness.record import RunRecord
from harness.showing.report import Report
from harness.showing.summary import TEXT_GROUPS, OperationSummary, Quantile, Spread, Summary, TextGroup, lie_apart
from harness.showing.tables import (
    Cell,
    Column,
    Table,
    few_note,
    number_columns,
    printable,
    quantile_cell,
    selection,
    spread,
    table_or_none,
)
from harness.showing.waterfall import REST, Waterfall, waterfall

ADVICE_MAX: Final = 3
STEPS_MIN: Final = 3
"""A ladder of two rungs has one step, which is the whole change."""


@dataclass(frozen=True, slots=True)
class NextStep:
    """Says what to do, and which section tells more of it; empty without one."""

    sentence: str
    section: str = ""


def essence_table(report: Report) -> Table | None:
    """The operations from the baseline to the candidate; where there is no such pair, as they were measured."""
    pairs = list(_pairs(report.summary))
    if not pairs:
        return _measured_table(report)
    baseline, candidate = (printable(each.variant) for each in pairs[0])
    columns = (
        Column("Operation"),
        *number_columns("p50", "Change", "p95", "Change", "SQL statements"),
        Column("What it is owed to"),
    )
    rows = tuple(_pair_row(report, *each) for each in pairs)
    note = " ".join(
        filter(None, ("A change in ( ) may be noise.", few_note(each.requests for pair in pairs for each in pair)))
    )
    return table_or_none(f"From {baseline} to {candidate}", columns, rows, note)


def _pairs(summary: Summary) -> Iterable[tuple[OperationSummary, OperationSummary]]:
    """The baseline's figures and the candidate's: known and first-time texts apart where texts matter."""
    baseline, candidate = summary.declaration.baseline, summary.declaration.candidate
    if baseline is None or candidate is None or baseline == candidate:
        return
    for operation in summary.operation_names:
        apart: Sequence[TextGroup] = ("known", "first")
        groups = apart if summary.operation(candidate, operation, "known") else ("all",)
        for texts in groups:
            before = summary.operation(baseline, operation, texts)
            after = summary.operation(candidate, operation, texts)
            if before and after:
                yield before, after


def _pair_row(report: Report, before: OperationSummary, after: OperationSummary) -> tuple[Cell, ...]:
    return (
        Cell(selection(after.operation, after.texts)),
        Cell(_from_to(before, after, "p50")),
        _change(before.p50, after.p50),
        Cell(_from_to(before, after, "p95")),
        _change(before.p95, after.p95),
        _statements(before.statements, after.statements),
        Cell(_owed_to(report, before, after)),
    )


def _from_to(before: OperationSummary, after: OperationSummary, statistic: Literal["p50", "p95"]) -> str:
    cells = [
        quantile_cell(each.p50 if statistic == "p50" else each.p95, each.requests, statistic)
        for each in (before, after)
    ]
    return " → ".join(cell.text for cell in cells)


def _change(before: Quantile, after: Quantile) -> Cell:
    if not 0 < before.value_s < math.inf or math.isinf(after.value_s):
        return Cell(ABSENT, "muted")
    ratio = (after.value_s - before.value_s) / before.value_s
    text = f"{'+' if ratio > 0 else MINUS}{share(abs(ratio))}" if ratio else "0%"
    if not lie_apart(before, after):
        return Cell(f"({text})", "muted")
    return Cell(text, "bad" if ratio > 0 else "good")


def _statements(before: Spread | None, after: Spread | None) -> Cell:
    if before is None or after is None:
        return Cell(ABSENT, "muted")
    if before.median == after.median:
        return Cell(count(after.median))
    tone: Literal["good", "bad"] = "good" if after.median < before.median else "bad"
    return Cell(f"{count(before.median)} → {count(after.median)}", tone)


def _owed_to(report: Report, before: OperationSummary, after: OperationSummary) -> str:
    """The step that takes off most, where there are several, and the part of p95 that changed most."""
    return "; ".join(filter(None, (_largest_step(report.summary, after), _largest_part(report, before, after))))


def _largest_step(summary: Summary, after: OperationSummary) -> str:
    for ladder in summary.ladders:
        if (ladder.operation, ladder.texts) == (after.operation, after.texts) and len(ladder.steps) >= STEPS_MIN:
            found = [
                (each.saved_p50.share, each.variant)
                for each in ladder.steps
                if each.saved_p50 and each.saved_p50.share and each.saved_p50.resolved
            ]
            if found:
                part, name = max(found)
                return f"{printable(name)}: {share(part)} of it"
    return ""


def _largest_part(report: Report, before: OperationSummary, after: OperationSummary) -> str:
    first, last = (_waterfall_of(report.record, report.summary, each) for each in (before, after))
    if first is None or last is None:
        return ""
    changes = {
        name: last.parts_s.get(name, 0.0) - first.parts_s.get(name, 0.0) for name in {*first.parts_s, *last.parts_s}
    }
    name = max(sorted(changes), key=lambda each: abs(changes[each]))
    if abs(changes[name]) < abs(last.whole_s - first.whole_s) / 10:
        return ""
    first_s, last_s = (max(side.parts_s.get(name, 0.0), 0.0) for side in (first, last))
    return f"{printable(name)} {duration(first_s)} → {duration(last_s) if last_s else 'none'}"


def _waterfall_of(record: RunRecord, summary: Summary, operation: OperationSummary) -> Waterfall | None:
    (variant,) = (each for each in record.variants if each.name == operation.variant)
    requests = Columns.of(variant.samples).by_operation[operation.operation].select(TEXT_GROUPS[operation.texts])
    return waterfall(requests, 0.95, summary.declaration.latency.database_rtt_ms / 1000)


def _measured_table(report: Report) -> Table | None:
    summary = report.summary
    columns = (
        Column("Operation"),
        *number_columns("n", "Errors", "p50", "p95", "SQL statements"),
        Column("What p95 waits for"),
    )
    shown = [each for each in summary.operations if each.texts == "all"]
    alone = len({each.variant for each in shown}) <= 1
    rows = tuple(
        (
            Cell(printable(each.operation if alone else f"{each.variant}: {each.operation}")),
            Cell(count(each.requests)),
            Cell(count(each.errors), "bad" if each.errors else "plain"),
            quantile_cell(each.p50, each.requests, "p50"),
            quantile_cell(each.p95, each.requests, "p95"),
            Cell(spread(each.statements)),
            Cell(_slowest_part(report, each)),
        )
        for each in shown
    )
    return table_or_none("What was measured, in short", columns, rows, few_note(each.requests for each in shown))


def _slowest_part(report: Report, operation: OperationSummary) -> str:
    found = _waterfall_of(report.record, report.summary, operation)
    return "" if found is None or not found.whole_s else _part(found)


def _part(found: Waterfall) -> str:
    name, part_s = max(found.parts_s.items(), key=lambda each: each[1])
    return "" if name == REST or part_s <= 0 else f"{printable(name)} ({share(min(part_s / found.whole_s, 1.0))})"


def advice(report: Report) -> Sequence[NextStep]:
    """Tells what to do next, the most urgent first; never empty."""
    verdict = report.verdict
    match verdict.outcome:
        case Outcome.PASS:
            return [_nothing_to_do(verdict)]
        case Outcome.WAIVED | Outcome.PASS_WITH_WAIVERS:
            return [NextStep("Mend what is waived before its waiver expires.", "budgets")]
        case Outcome.FAIL:
            failed = [each for each in verdict.worst_first if each.outcome is Outcome.FAIL]
            return [_on_failure(report, each) for each in failed[:ADVICE_MAX]]
        case Outcome.UNDECIDED:
            return [_on_doubt(verdict)]
        case Outcome.INVALID:
            return [NextStep("Correct what is said above and measure again; until then no budget says anything.")]
        case _:
            assert_never(verdict.outcome)


def _nothing_to_do(verdict: Verdict) -> NextStep:
    rooms = [
        (-each.excess / abs(each.limit), each.budget, each.margin)
        for each in verdict.budgets
        if each.timed and each.excess is not None and each.limit and math.isfinite(each.excess)
    ]
    if not verdict.budgets:
        return NextStep("State budgets: `harness budgets RUN` proposes some from what was measured.")
    if not rooms:
        return NextStep("Nothing.")
    _, budget, margin = min(rooms)
    return NextStep(f"Nothing. Of what is timed, {printable(budget)} is the nearest to its limit: {margin}.", "budgets")


def _on_failure(report: Report, failed: BudgetVerdict) -> NextStep:
    """Where its cause is to be looked for: in the parts of slow requests, the errors, the statements, or a profile."""
    summary, name = report.summary, printable(failed.budget)
    operation = summary.operation(failed.variant, failed.subject, failed.texts)
    kinds = [each for each in summary.errors if (each.variant, each.operation) == (failed.variant, failed.subject)]
    if failed.metric == "errors" and kinds:
        worst = max(kinds, key=lambda each: each.count)
        return NextStep(f"{name}: {number_of(worst.count, 'request')} failed with {printable(worst.kind)}.", "measured")
    if failed.unit == "time" and operation:
        return _on_slowness(report, name, operation)
    if failed.metric in {"statements", "round_trips"} and operation and operation.statements:
        sent = spread(operation.statements)
        return NextStep(f"{name}: a request sent {sent} statements. See which of them repeat.", "statements")
    return NextStep(f"{name}: see what was measured beside it.", "measured")


def _on_slowness(report: Report, name: str, operation: OperationSummary) -> NextStep:
    found = _waterfall_of(report.record, report.summary, operation)
    if found is not None and (part := _part(found)):
        return NextStep(f"{name}: begin with what its slow requests wait for, which is {part}.", "waterfall")
    if any(each.operation == operation.operation for each in report.profiles):
        return NextStep(f"{name}: the flame graph says where its time goes.", "flames")
    return NextStep(f"{name}: `harness profile` says where its time goes, function by function.", "series")


def _on_doubt(verdict: Verdict) -> NextStep:
    undecided = [each for each in verdict.budgets if each.outcome is Outcome.UNDECIDED]
    wanted = max(undecided, key=lambda each: each.further_samples or 0)
    if wanted.further_samples is None:
        return NextStep(f"Set the limit of {printable(wanted.budget)} where it matters: what is measured lies on it.")
    return NextStep(
        f"Measure longer, with `--sample-for 300` or more `requests`: {printable(wanted.budget)} needs about "
        f"{count(wanted.further_samples)} more.",
        "budgets",
    )
