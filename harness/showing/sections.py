"""Says what a report has to say, in the reader's order: verdict, what changed, why, figures, how to repeat it.

Each section is one entry here, and every renderer goes through them. It decides how a section looks, not which there
are.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from harness.judging.comparison import Comparison
from harness.judging.memory_leaks import memory_leaks
from harness.showing.cold_table import cold_table
from harness.showing.comparison_tables import counts_table, processor_table, timings_table
from harness.showing.essence import essence_table
from harness.showing.hosts_table import hosts_table
from harness.showing.plan_tables import plans_table
from harness.showing.processor_times import processor_times_table
from harness.showing.profile_tables import (
    allocations_table,
    lock_waits_table,
    server_functions_table,
    statement_parts_table,
    statement_profile_table,
    waits_table,
    waterfall_tables,
)
from harness.showing.report import Report
from harness.showing.tables import (
    BUDGETS_SHOWN,
    Table,
    background_table,
    budgets_table,
    disruptions_table,
    environment_table,
    errors_table,
    ladder_overview,
    ladder_tables,
    memory_table,
    model_table,
    operations_table,
    recall_table,
    reference_tables,
    services_table,
    statements_table,
)

Audience = Literal["waiting", "asking", "reading", "reviewing", "browsing"]
"""Who waits at a terminal, or asks there for everything; who reads a document, reviews a change, or looks at a page."""

ALL: Final[frozenset[Audience]] = frozenset({"waiting", "asking", "reading", "reviewing", "browsing"})
THOROUGH: Final[frozenset[Audience]] = frozenset({"asking", "reading", "browsing"})

OTHERS_ARE: Final[Mapping[Audience, str]] = {"waiting": "--all shows them", "browsing": "folded, below"}
"""Where counts that do not differ are shown, to who does not see them at once."""

Tables = Callable[[Report, Audience], Iterable[Table | None]]


@dataclass(frozen=True, slots=True)
class ReportSection:
    """A section as this report has it."""

    id: str
    """Its address."""
    label: str
    """Its name in a list of sections."""
    title: str
    """Its heading, which says the same to who reads on."""
    sentence: str
    """What stands below its heading; empty without."""
    tables: tuple[Table, ...]
    """Its tables."""
    further: tuple[Table, ...]
    """Tables that explain the others."""
    figures: tuple[str, ...]
    """The names of groups of drawings, which only a page has."""
    has_more: bool
    """Whether a page shows it in a way of its own, though there be no table."""
    folded: bool
    """Whether a page shows only its heading until a reader asks."""


@dataclass(frozen=True, slots=True)
class ListedSection:
    """A section as it is listed, and for whom it is."""

    id: str
    """What addresses point at."""
    label: str
    """Its entry in a navigation."""
    title: str
    """Its heading."""
    tables: Tables
    """Its tables."""
    audiences: frozenset[Audience] = ALL
    """Who gets to see it."""
    further: Tables = lambda _report, _audience: ()
    """Tables that explain the others, on a page."""
    figures: tuple[str, ...] = ()
    """The names of the figures that belong to it."""
    sentence: Callable[[Report], str] = lambda _: ""
    """What stands below its heading; empty without."""
    has_more: Callable[[Report], bool] = lambda _: False
    """Whether there is something of it beside its tables."""
    folded: bool = True
    """Whether a page shows it only when asked."""


def sections(report: Report, audience: Audience) -> Iterator[ReportSection]:
    """Those that are for this audience; one that has nothing to show is for the renderer to leave out."""
    for entry in ENTRIES:
        if audience in entry.audiences:
            yield ReportSection(
                entry.id,
                entry.label,
                entry.title,
                entry.sentence(report),
                tuple(table for table in entry.tables(report, audience) if table),
                tuple(table for table in entry.further(report, audience) if table),
                entry.figures,
                entry.has_more(report),
                entry.folded,
            )


def tables_of(report: Report, audience: Audience) -> Iterator[Table]:
    """Of all sections, one after the other."""
    for section in sections(report, audience):
        yield from section.tables


def tables_of_comparison(comparison: Comparison, audience: Audience) -> Iterator[Table]:
    """Of two sides: who waits, or looks at a page, sees only the counts that differ."""
    tables = (
        timings_table(comparison),
        counts_table(comparison, others_are=OTHERS_ARE.get(audience, "")),
        processor_table(comparison) if audience in THOROUGH - {"browsing"} else None,
        plans_table(comparison.plans) if audience != "browsing" else None,
    )
    yield from (table for table in tables if table)


def further_of_comparison(comparison: Comparison) -> Iterator[Table]:
    """Adds to what differs of two sides, on a page: every count, and the processor time."""
    tables = (counts_table(comparison), processor_table(comparison))
    yield from (table for table in tables if table)


def _budgets(report: Report, audience: Audience) -> Iterable[Table | None]:
    yield budgets_table(report.verdict, BUDGETS_SHOWN if audience == "waiting" else None)


def _ladder(report: Report, audience: Audience) -> Iterable[Table | None]:
    yield ladder_overview(report.summary, "p50")
    if audience != "waiting":
        yield ladder_overview(report.summary, "p95")
        yield ladder_overview(report.summary, "p50", first_time=True)
    if audience == "browsing":
        yield ladder_overview(report.summary, "p95", first_time=True)


def _statements(report: Report, audience: Audience) -> Iterable[Table | None]:
    yield statements_table(report.summary)
    if audience != "waiting":
        yield background_table(report.summary)


def _measured(report: Report, audience: Audience) -> Iterable[Table | None]:
    """To a page the pair comes first, and every variant further below."""
    whole = audience in {"asking", "reading"}
    yield operations_table(report.summary, None if whole else report.summary.declaration.pair)
    yield cold_table(report.record, report.summary)
    if audience != "reviewing":
        yield services_table(report.summary)
    if audience not in {"reviewing", "waiting"}:
        yield processor_times_table(report.record)
        yield hosts_table(report.record)
    yield disruptions_table(report.summary)
    yield errors_table(report.summary)


def _profiles(report: Report, _audience: Audience) -> Iterable[Table | None]:
    if report.profiles:
        yield statement_profile_table(report.record, report.summary.declaration.pair)
        yield statement_parts_table(report.record, report.summary)
        yield waits_table(report.profiles)
        yield lock_waits_table(report.profiles)
        yield server_functions_table(report.profiles)
        yield allocations_table(report.profiles)


def _nothing(_report: Report, _audience: Audience) -> Iterable[Table | None]:
    return ()


ENTRIES: Final = (
    ListedSection(
        "changes",
        "In short",
        "In short",
        lambda report, _: [essence_table(report)],
        ALL - {"waiting"},
        folded=False,
    ),
    ListedSection("budgets", "Budgets", "Budgets", _budgets, folded=False),
    ListedSection(
        "memory",
        "Memory",
        "Memory that grows",
        lambda report, _: [memory_table(memory_leaks(report.record))],
        folded=False,
    ),
    ListedSection(
        "references",
        "Reference figures",
        "Beside the reference figures",
        lambda report, _: reference_tables(report.summary),
        ALL - {"waiting"},
        sentence=lambda report: report.summary.declaration.expectations,
    ),
    ListedSection(
        "ladder",
        "What each step takes off",
        "What each step takes off",
        _ladder,
        ALL - {"reviewing"},
        further=lambda report, audience: ladder_tables(report.summary) if audience == "browsing" else (),
        figures=("ladder",),
    ),
    ListedSection(
        "recall",
        "Latency at its recall",
        "Latency at its recall",
        lambda report, _: (recall_table(report.record, report.summary),),
        figures=("recall",),
    ),
    ListedSection(
        "distribution",
        "Distribution",
        "Distribution of service times",
        _nothing,
        frozenset({"browsing"}),
        figures=("distribution",),
    ),
    ListedSection("series", "Over time", "Latency over time", _nothing, frozenset({"browsing"}), figures=("series",)),
    ListedSection(
        "system",
        "Cache, pool, queue",
        "Cache, pool and background queue over time",
        _nothing,
        frozenset({"browsing"}),
        figures=("system",),
    ),
    ListedSection(
        "statements",
        "Statements",
        "SQL statements per request",
        _statements,
        ALL - {"reviewing"},
        figures=("statements", "laws"),
    ),
    ListedSection(
        "plans",
        "Plans",
        "Plans of the statements",
        lambda report, _: [plans_table(report.plans)],
        ALL - {"reviewing"},
        has_more=lambda report: report.plans is not None,
    ),
    ListedSection(
        "measured",
        "All figures",
        "All figures",
        _measured,
        further=lambda report, audience: [operations_table(report.summary)] if audience == "browsing" else (),
    ),
    ListedSection(
        "waterfall",
        "What p95 waits for",
        "What p95 waits for",
        lambda report, _: waterfall_tables(report.record, report.summary),
        THOROUGH,
    ),
    ListedSection(
        "flames",
        "Where the time goes",
        "Where the time goes",
        _profiles,
        frozenset({"browsing"}),
        has_more=lambda report: bool(report.profiles),
    ),
    ListedSection(
        "conditions",
        "Conditions",
        "Conditions, and how to repeat it",
        lambda report, _: (model_table(report.record), environment_table(report.record)),
        frozenset({"reading", "browsing"}),
        has_more=lambda _: True,
    ),
)
