"""The summary and the verdict as tables of text: what every renderer shows, in its own way.

A figure is written here once, so that the terminal, Markdown and HTML cannot disagree. Nothing is escaped here except
control characters, which no output wants; each renderer escapes for its own format.
"""

import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final, Literal, cast

from harness.judging.analysis.quantiles import samples_min
from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.declaration import Reference
from harness.judging.memory_leaks import MemoryLeak
from harness.judging.searches import recalls_of
from harness.judging.verdict import Verdict
from harness.quantities import ABSENT, amount, count, duration, interval, share, significant
from harness.record import RunRecord
from harness.showing.summary import (
    DisruptionSummary,
    Ladder,
    OperationSummary,
    Quantile,
    ReferenceComparison,
    Saving,
    ServiceSummary,
    Spread,
    Summary,
    TextGroup,
)

Tone = Literal["plain", "good", "bad", "doubt", "muted"]
Statistic = Literal["p50", "p95"]

OUTCOME_TONES: Final[Mapping[Outcome, Tone]] = {
    Outcome.PASS: "good",
    Outcome.FAIL: "bad",
    Outcome.UNDECIDED: "doubt",
    Outcome.INVALID: "bad",
    Outcome.WAIVED: "doubt",
    Outcome.PASS_WITH_WAIVERS: "good",
}
TEXT_WORDS: Final[Mapping[TextGroup, str]] = {"all": "all", "known": "known", "first": "first-time"}


@dataclass(frozen=True, slots=True)
class Cell:
    text: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Column:
    """`wide` columns explain the others, and are left out of short tables; `code` is shown as it would be typed."""

    title: str
    numeric: bool = False
    wide: bool = False
    code: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""

    @property
    def keys(self) -> int:
        """Says how many columns, one at least, say what a row is about: those before its first figure."""
        return max(next((index for index, column in enumerate(self.columns) if column.numeric), 1), 1)


def table_or_none(
    title: str, columns: Sequence[Column], rows: Sequence[tuple[Cell, ...]], note: str = ""
) -> Table | None:
    """None without rows: a renderer leaves the section out."""
    return Table(title, tuple(columns), tuple(rows), note) if rows else None


def text_columns(*titles: str) -> Iterable[Column]:
    return (Column(title) for title in titles)


def number_columns(*titles: str, wide: bool = False) -> Iterable[Column]:
    return (Column(title, numeric=True, wide=wide) for title in titles)


def printable(text: object) -> str:
    """Text on one line, without characters that steer a terminal or turn the direction of writing."""
    return "".join(map(_printable_character, str(text)))


def _printable_character(character: str) -> str:
    if character.isspace():
        return " "
    return "\N{REPLACEMENT CHARACTER}" if unicodedata.category(character).startswith("C") else character


BUDGETS_SHOWN: Final = 10


def budgets_table(verdict: Verdict, shown_max: int | None = None) -> Table | None:
    """The worst first; of those that hold, no more than make up so many rows."""
    listed = verdict.worst_first
    held = sum(each.outcome is Outcome.PASS for each in listed)
    left_out = 0 if shown_max is None else min(max(len(listed) - shown_max, 0), held)
    note = f"{count(left_out)} more hold: --all shows them." if left_out else ""
    columns = (
        Column("Verdict"),
        Column("Budget", code=True),
        Column("Variant", wide=True),
        Column("How it stands"),
        Column("95% bounds", numeric=True, wide=True),
    )
    rows = tuple(
        (
            Cell(each.outcome.value, OUTCOME_TONES[each.outcome]),
            Cell(printable(each.budget)),
            Cell(printable(each.variant)),
            Cell(printable(each.sentence)),
            Cell(interval(each.lower, each.upper, each.unit), "muted"),
        )
        for each in listed[: len(listed) - left_out]
    )
    return table_or_none("Budgets", columns, rows, note)


def reference_tables(summary: Summary) -> tuple[Table, ...]:
    """The scenario's reference figures, each beside what was measured, in the tables that they came in."""
    columns = (
        *text_columns("Operation", "When", "Variant"),
        *number_columns("Reference", "p50", "p95"),
        Column("Comparison"),
    )
    names = dict.fromkeys(each.reference.table for each in summary.comparisons)
    return tuple(
        Table(
            printable(name),
            columns,
            tuple(_comparison_row(each) for each in summary.comparisons if each.reference.table == name),
            few_note(each.requests for each in summary.comparisons if each.reference.table == name),
        )
        for name in names
    )


def _comparison_row(comparison: ReferenceComparison) -> tuple[Cell, ...]:
    reference = comparison.reference
    return (
        Cell(selection(reference.operation, reference.text or "all")),
        Cell(printable(reference.label)),
        Cell(printable(reference.variant)),
        Cell(reference_figure(reference)),
        _reference_cell(comparison.p50, comparison.requests, "p50"),
        _reference_cell(comparison.p95, comparison.requests, "p95"),
        _comparison_cell(comparison),
    )


def _reference_cell(quantile: Quantile | None, requests: int, statistic: Statistic) -> Cell:
    return Cell(ABSENT) if quantile is None else quantile_cell(quantile, requests, statistic)


def selection(operation: str, texts: TextGroup) -> str:
    """`query`, or `query, known texts`."""
    return printable(operation) + ("" if texts == "all" else f", {TEXT_WORDS[texts]} texts")


def reference_figure(reference: Reference) -> str:
    """`3-8 s`, `150 ms`, or `< 150 ms` for a target."""
    low_s, high_s = reference.low_s, reference.high_s
    factor, unit = (1000, "ms") if (high_s if high_s is not None else low_s or 0) < 1 else (1, "s")
    low, high = (f"{end_s * factor:g}" if end_s is not None else "" for end_s in (low_s, high_s))
    if low_s is None or high_s is None:
        return f"{'<' if high else '>'} {high or low} {unit}"
    return f"{low} {unit}" if low == high else f"{low}{ABSENT}{high} {unit}"


def _comparison_cell(comparison: ReferenceComparison) -> Cell:
    reference, statistic = comparison.reference, comparison.statistic
    if comparison.measured_s is None or comparison.distance_s is None:
        return Cell("not measured", "muted")
    if math.isinf(comparison.measured_s):
        return Cell(f"{statistic} above: too many failed", "bad")
    if reference.low_s is None and reference.high_s is not None:
        over_s = comparison.measured_s - reference.high_s
        if over_s > 0:
            return Cell(f"{statistic} {duration(over_s)} over the target", "doubt")
        return Cell(f"{statistic} {duration(-over_s)} under the target", "good")
    if comparison.position == "within":
        return Cell(f"{statistic} within", "good")
    return Cell(f"{statistic} {duration(abs(comparison.distance_s))} {comparison.position}")


def ladder_overview(summary: Summary, statistic: Statistic, *, first_time: bool = False) -> Table | None:
    """The operations' ladders side by side: the latency on each rung, and the step's share of the whole reduction.

    Of first-time texts alone, or of known texts where texts matter and of all requests elsewhere.
    """
    ladders = [each for each in summary.ladders if each.texts == "first"] if first_time else summary.main_ladders
    columns = [Column("Step")]
    for ladder in ladders:
        columns += [Column(printable(ladder.operation), numeric=True), Column("share", numeric=True)]
    rungs = dict.fromkeys(step.variant for ladder in ladders for step in ladder.steps)
    rows = [_row(rung, (_rung_cells(ladder, rung, statistic) for ladder in ladders)) for rung in rungs]
    if rows:
        rows.append(_row("all steps", (_total_cells(ladder, statistic) for ladder in ladders)))
    texts = next((f", {TEXT_WORDS[each.texts]} texts" for each in ladders if each.texts != "all"), "")
    return table_or_none(f"What each step takes off {statistic}{texts}", columns, rows, NOISE_NOTE)


def _row(title: str, groups: Iterable[tuple[Cell, ...]]) -> tuple[Cell, ...]:
    return (Cell(printable(title)), *(cell for group in groups for cell in group))


def _rung_cells(ladder: Ladder, rung: str, statistic: Statistic) -> tuple[Cell, Cell]:
    step = next((step for step in ladder.steps if step.variant == rung), None)
    if step is None:
        return Cell(ABSENT, "muted"), Cell("")
    if statistic == "p50":
        return quantile_cell(step.p50, step.requests, "p50"), _share_cell(step.saved_p50)
    return quantile_cell(step.p95, step.requests, "p95"), _share_cell(step.saved_p95)


def _total_cells(ladder: Ladder, statistic: Statistic) -> tuple[Cell, Cell]:
    reduction = ladder.reduction_p50 if statistic == "p50" else ladder.reduction_p95
    if reduction is None:
        return Cell(""), Cell("")
    grown = "+" if reduction.share < 0 else ""
    return _resolved_cell(f"{grown}{share(-reduction.share)}", reduction.resolved), Cell("")


NOISE_NOTE: Final = (
    "Share: of what the whole ladder takes off. In ( ): may be noise, since the 95% bounds of the two overlap, or "
    "requests are too few to have them; no shares where that is so for the whole ladder."
)


def _share_cell(saving: Saving | None) -> Cell:
    if saving is None or saving.share is None:
        return Cell("")
    return _resolved_cell(share(saving.share), saving.resolved)


def _resolved_cell(text: str, resolved: bool) -> Cell:
    return Cell(text) if resolved else Cell(f"({text})", "muted")


def ladder_tables(summary: Summary) -> tuple[Table, ...]:
    """One per operation and group of texts, with seconds and shares of both quantiles."""
    columns = (
        Column("Step"),
        *number_columns("n", "p50", "takes off", "share", "p95", "takes off", "share", "Statements"),
    )
    return tuple(
        Table(
            selection(ladder.operation, ladder.texts),
            columns,
            tuple(
                (
                    Cell(printable(step.variant)),
                    Cell(count(step.requests)),
                    quantile_cell(step.p50, step.requests, "p50"),
                    _saved_cell(step.saved_p50),
                    _share_cell(step.saved_p50),
                    quantile_cell(step.p95, step.requests, "p95"),
                    _saved_cell(step.saved_p95),
                    _share_cell(step.saved_p95),
                    Cell(spread(step.statements)),
                )
                for step in ladder.steps
            ),
            NOISE_NOTE,
        )
        for ladder in summary.ladders
    )


def _saved_cell(saving: Saving | None) -> Cell:
    if saving is None:
        return Cell("")
    return _resolved_cell(duration(saving.saved_s), saving.resolved)


def statements_table(summary: Summary) -> Table | None:
    """Statements per request of every operation: the median, and the extremes where they differ."""
    operations = summary.operation_names
    columns = (Column("Variant"), *(Column(printable(operation), numeric=True) for operation in operations))
    found = {(each.variant, each.operation): each.statements for each in summary.operations if each.texts == "all"}
    rows = tuple(
        (Cell(printable(variant.name)), *(Cell(spread(found.get((variant.name, name)))) for name in operations))
        for variant in summary.variants
    )
    is_counted = any(found.values())
    return table_or_none("SQL statements per request, median (least to most)", columns, rows if is_counted else ())


def quantile_cell(quantile: Quantile, requests: int, statistic: Statistic) -> Cell:
    return time_cell(quantile.value_s, requests, statistic)


def time_cell(value_s: float | None, requests: int, statistic: str) -> Cell:
    """In parentheses where there are too few requests for an upper bound: the next one may be far slower."""
    text = duration(value_s)
    is_doubtful = value_s is not None and requests < REQUESTS_MIN.get(statistic, 0)
    return Cell(f"({text})", "muted") if is_doubtful else Cell(text)


REQUESTS_MIN: Final[Mapping[str, int]] = {"p50": samples_min(0.5), "p95": samples_min(0.95)}
"""Of the statistics that say how slow the slower requests are; a mean says nothing of them."""


def few_note(requests: Iterable[int]) -> str:
    """Says what the parentheses mean, where there are any."""
    if all(each >= max(REQUESTS_MIN.values()) for each in requests):
        return ""
    needed = ", ".join(f"{statistic} needs {count(least)}" for statistic, least in REQUESTS_MIN.items())
    return f"In ( ): of too few requests to say how slow others would be ({needed})."


def operations_table(summary: Summary, variants: Iterable[str] | None = None) -> Table | None:
    columns = (
        *text_columns("Variant", "Operation", "Texts"),
        *number_columns("n", "Errors"),
        Column("Load", numeric=True, wide=True),
        *number_columns("p50", "p95", "p95 bounds"),
        *number_columns("Round trips", "Cache hits", wide=True),
    )
    wanted = None if variants is None else set(variants)
    shown = [each for each in summary.operations if wanted is None or each.variant in wanted]
    rows = tuple(map(_operation_row, shown))
    return table_or_none("What was measured", columns, rows, few_note(each.requests for each in shown))


def _operation_row(summary: OperationSummary) -> tuple[Cell, ...]:
    return (
        Cell(printable(summary.variant)),
        Cell(printable(summary.operation)),
        Cell(TEXT_WORDS[summary.texts]),
        Cell(count(summary.requests)),
        Cell(count(summary.errors), "bad" if summary.errors else "plain"),
        Cell(_load(summary)),
        quantile_cell(summary.p50, summary.requests, "p50"),
        quantile_cell(summary.p95, summary.requests, "p95"),
        Cell(interval(summary.p95.lower_s, summary.p95.upper_s, "time"), "muted"),
        Cell(spread(summary.round_trips)),
        Cell(share(summary.hit_rate)),
    )


def _load(summary: OperationSummary) -> str:
    """`6 users`, `50/s`, or both where an operation is in phases of both kinds."""
    users = [f"{count(summary.users)} user{'s' if summary.users > 1 else ''}"] if summary.users else []
    rate = [f"{significant(summary.rate_per_s)}/s"] if summary.rate_per_s else []
    return ", ".join(users + rate) or ABSENT


@dataclass(frozen=True, slots=True)
class RecallPoint:
    """One variant's times of an operation, at the recall that it has."""

    summary: OperationSummary
    recalls: Sequence[float]

    @property
    def recall(self) -> float:
        return fmean(self.recalls)

    @property
    def p50_s(self) -> float:
        return self.summary.p50.value_s

    @property
    def p95_s(self) -> float:
        return self.summary.p95.value_s


def recall_points(record: RunRecord, summary: Summary) -> Sequence[RecallPoint]:
    """Of each operation and variant that was held against an exact search, from the lowest recall to the highest."""
    found = [
        RecallPoint(each, recalls)
        for each in summary.operations
        for variant in record.variants
        if variant.name == each.variant and each.texts == "all" and (recalls := recalls_of(variant, each.operation))
    ]
    return sorted(found, key=lambda point: (point.summary.operation, point.recall))


def recall_table(record: RunRecord, summary: Summary) -> Table | None:
    """The curve of a setting that was swept: the recall of each variant, and its times."""
    columns = (
        *text_columns("Operation", "Variant"),
        *number_columns("Recall", "Queries", "p50", "p95"),
    )
    rows = tuple(
        (
            Cell(printable(each.summary.operation)),
            Cell(printable(each.summary.variant)),
            Cell(share(each.recall)),
            Cell(count(len(each.recalls))),
            quantile_cell(each.summary.p50, each.summary.requests, "p50"),
            quantile_cell(each.summary.p95, each.summary.requests, "p95"),
        )
        for each in recall_points(record, summary)
    )
    note = "Recall: the share of what an exact search finds, on the data as the last phase left it."
    return table_or_none("Latency at its recall", columns, rows, note)


def services_table(summary: Summary) -> Table | None:
    """The client's view beside the service's own; none where no server was asked over a network."""
    columns = (
        *text_columns("Variant", "Operation"),
        *number_columns("Asked", "Served"),
        *number_columns("Errors", "Served errors", wide=True),
        *number_columns("p50", "Service's", "p95", "Service's", "Between"),
    )
    rows = tuple(map(_service_row, summary.services))
    return table_or_none("What the client saw, and what the service did", columns, rows, SERVICES_NOTE)


SERVICES_NOTE: Final = (
    "Service's: by its own clock, to the millisecond, of the same requests (X-Response-Time). Between: the difference "
    "of the p95s: the network, the way into the service, and the client itself. Served: by the service's own count; "
    "an error that was not served happened on the way."
)


def _service_row(service: ServiceSummary) -> tuple[Cell, ...]:
    differs = service.served is not None and service.served != service.requests
    return (
        Cell(printable(service.variant)),
        Cell(printable(service.operation)),
        Cell(count(service.requests)),
        Cell(count(service.served), "doubt" if differs else "plain"),
        Cell(count(service.errors), "bad" if service.errors else "plain"),
        Cell(count(service.failed)),
        Cell(duration(service.client_p50_s)),
        Cell(duration(service.service_p50_s)),
        Cell(duration(service.client_p95_s)),
        Cell(duration(service.service_p95_s)),
        Cell(duration(service.client_p95_s - service.service_p95_s)),
    )


def background_table(summary: Summary) -> Table | None:
    columns = (
        *text_columns("Variant", "Kind"),
        *number_columns("Done", "Failed", "Statements", "per request", "Round trips"),
    )
    rows = tuple(
        (
            Cell(printable(work.variant)),
            Cell(printable(work.kind)),
            Cell(count(work.count)),
            Cell(count(work.failures), "bad" if work.failures else "plain"),
            Cell(count(work.statements)),
            Cell(ABSENT if work.statements_per_request is None else f"{work.statements_per_request:.2f}"),
            Cell(count(work.round_trips)),
        )
        for variant in summary.variants
        for work in variant.background
    )
    return table_or_none("Background work after the responses", columns, rows)


def errors_table(summary: Summary) -> Table | None:
    columns = (Column("Variant"), Column("Operation"), Column("Error"), Column("Requests", numeric=True))
    rows = tuple(
        (
            Cell(printable(error.variant)),
            Cell(printable(error.operation)),
            Cell(printable(error.kind), "bad"),
            Cell(count(error.count)),
        )
        for error in summary.errors
    )
    return table_or_none("Errors", columns, rows)


def memory_table(leaks: Iterable[MemoryLeak]) -> Table | None:
    columns = (*text_columns("Variant", "Phase", "Where"), *number_columns("Each request leaves", "In requests"))
    rows = [
        (
            Cell(printable(each.variant)),
            Cell(printable(each.phase)),
            Cell("service" if each.metric.startswith("service") else "this process"),
            Cell(f"{amount(each.bytes_per_request)} B", "doubt"),
            Cell(count(each.requests)),
        )
        for each in leaks
    ]
    note = (
        "It grew throughout the phase, in every round: a leak, or a cache that was not full yet. A longer phase tells "
        "them apart; docs/how-to/memory.md says how to find what is kept."
    )
    return table_or_none("Memory that grows with requests", columns, rows, note)


def disruptions_table(summary: Summary) -> Table | None:
    """Says what the scenario's timeline did to the database; none where it has no timeline."""
    columns = (
        Column("Variant"),
        Column("Round", numeric=True, wide=True),
        *text_columns("Phase", "Action"),
        Column("Planned", numeric=True, wide=True),
        *number_columns("Began", "Lasted", "Requests", "Failed", "Slowest", "Errors came"),
    )
    rows = tuple(map(_disruption_row, summary.disruptions))
    return table_or_none("What was done to the database meanwhile", columns, rows, DISRUPTION_NOTE)


DISRUPTION_NOTE: Final = (
    "This run disrupted its database on purpose, and its figures are those of a disrupted system. Planned: after the "
    "start of the phase; began: after that of the timed pass. Requests are those under way at some moment of it. "
    "Errors came: from the first to the last one after it began and before the next disruption, so also after its end."
)


def _disruption_row(disruption: DisruptionSummary) -> tuple[Cell, ...]:
    return (
        Cell(printable(disruption.variant)),
        Cell(count(disruption.round)),
        Cell(printable(disruption.phase)),
        Cell(printable(disruption.action)),
        Cell(duration(disruption.planned_s)),
        Cell("not reached", "doubt") if disruption.began_s is None else Cell(duration(disruption.began_s)),
        Cell(duration(disruption.lasted_s)),
        Cell(count(disruption.requests)),
        Cell(count(disruption.errors), "bad" if disruption.errors else "plain"),
        Cell(duration(disruption.latency_max_s)),
        Cell(_window(disruption.error_first_s, disruption.error_last_s)),
    )


def _window(first_s: float | None, last_s: float | None) -> str:
    return duration(None) if first_s is None else f"{duration(first_s)} to {duration(last_s)}"


SHOWN_ELSEWHERE: Final = frozenset(
    {"name", "title", "description", "expectations", "strategies", "budgets", "references"}
)


def model_table(record: RunRecord) -> Table | None:
    """Says what the scenario set: latency model, users, seeds, corpus; everything that is not shown elsewhere."""
    settings = {key: value for key, value in record.scenario.items() if key not in SHOWN_ELSEWHERE}
    return _settings_table("What was set", {"scenario": settings, "corpus read": record.corpus})


def environment_table(record: RunRecord) -> Table | None:
    return _settings_table("Where it ran", record.environment.model_dump())


def _settings_table(title: str, groups: Mapping[str, Mapping[str, object]]) -> Table | None:
    rows = tuple(
        (Cell(printable(group), "muted"), Cell(printable(key)), Cell(printable(value)))
        for group, settings in groups.items()
        for key, value in _flat(settings)
    )
    return table_or_none(title, (Column("Of"), Column("Setting", code=True), Column("Value")), rows)


def _flat(settings: Mapping[str, object], prefix: str = "") -> Iterable[tuple[str, str]]:
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(cast("dict[str, object]", value), f"{prefix}{key}.")
        elif isinstance(value, list | tuple):
            entries = cast("Sequence[object]", value)
            if any(isinstance(entry, dict) for entry in entries):
                yield from _flat({str(number): entry for number, entry in enumerate(entries, 1)}, f"{prefix}{key}.")
            else:
                yield f"{prefix}{key}", ", ".join(map(str, entries))
        else:
            yield f"{prefix}{key}", str(value)


def spread(counts: Spread | None) -> str:
    """`232`, or `235 (232 to 241)` where requests differ."""
    if counts is None:
        return ABSENT
    if counts.minimum == counts.maximum:
        return count(counts.median)
    return f"{count(counts.median)} ({count(counts.minimum)} to {count(counts.maximum)})"
