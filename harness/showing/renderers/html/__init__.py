"""For the browser: one page that holds everything it needs, opens from disk, and asks nothing of any network.

Where it shows flame graphs, its only scripts draw them. The order is the reader's: verdict, what changed, why, the
figures behind it, how to repeat it.
"""

import shlex
from collections.abc import Iterable, Sequence

from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.comparison import Comparison
from harness.judging.profile_differences import Difference, between, side
from harness.quantities import ABSENT, count, duration, share
from harness.record import RunRecord
from harness.showing.comparison_tables import (
    comparison_title,
    counts_table,
    findings,
    noise_sentence,
    processor_table,
    timings_table,
)
from harness.showing.profile_tables import (
    lock_waits_table,
    statement_parts_table,
    statement_profile_table,
    waits_table,
    waterfall_tables,
)
from harness.showing.renderers.html.difference import drawn, scripts
from harness.showing.renderers.html.lines import GLYPHS, budget_lines, headlines
from harness.showing.renderers.html.plans import drawn_plans
from harness.showing.renderers.html.templates import style, templates
from harness.showing.report import Report
from harness.showing.summary import Summary
from harness.showing.tables import (
    OUTCOME_TONES,
    Table,
    background_table,
    disruptions_table,
    environment_table,
    errors_table,
    ladder_overview,
    ladder_tables,
    model_table,
    operations_table,
    printable,
    reference_tables,
    services_table,
    statements_table,
)


class HtmlRenderer:
    suffix = ".html"

    def render(self, report: Report) -> str:
        from harness.showing.renderers.html import figures, time_figures  # noqa: PLC0415 -- drawing is slow to import.

        record, summary, verdict, found = report.record, report.summary, report.verdict, report.profiles
        declared = summary.declaration
        tone = OUTCOME_TONES[verdict.outcome]
        return (
            templates()
            .get_template("page.html.jinja")
            .render(
                style=style(),
                title=printable(declared.title or declared.name or record.run_id),
                run_id=printable(record.run_id),
                description=printable(declared.description),
                expectations=printable(declared.expectations),
                baseline=printable(declared.baseline or ABSENT),
                candidate=printable(declared.candidate or ABSENT),
                started=f"{record.started_at:%Y-%m-%d %H:%M %Z}",
                elapsed=duration(record.elapsed_s),
                state=record.state,
                outcome=verdict.outcome.value,
                tone=tone,
                glyph=GLYPHS[tone],
                sentence=printable(verdict.sentence),
                exit_code=int(verdict.exit_code),
                headlines=list(headlines(summary)),
                budgets=list(budget_lines(verdict)),
                not_held=[each for each in budget_lines(verdict) if each.outcome != Outcome.PASS.value],
                references=reference_tables(summary),
                ladder_figures=list(figures.ladder_figures(summary, verdict)),
                ladder_overviews=[table for table in _ladder_overviews(summary) if table],
                ladders=ladder_tables(summary),
                distribution_figures=list(figures.distribution_figures(record, summary, verdict)),
                series_figures=list(time_figures.series_figures(record, summary)),
                system_figures=list(time_figures.system_figures(record, summary)),
                law_figures=list(figures.law_figures(record, summary, verdict)),
                statement_figures=list(figures.statement_figures(summary)),
                costs=[table for table in (statements_table(summary), background_table(summary)) if table],
                services=services_table(summary),
                disruptions=disruptions_table(summary),
                waterfalls=list(waterfall_tables(record, summary)),
                errors=errors_table(summary),
                pair=operations_table(summary, declared.pair),
                operations=operations_table(summary),
                conditions=[table for table in (model_table(record), environment_table(record)) if table],
                command=printable(shlex.join(record.command)),
                plan_differences=drawn_plans(report.plans),
                differences=[drawn(each) for each in found],
                profile_tables=[
                    table
                    for table in (
                        statement_profile_table(record, declared.pair),
                        statement_parts_table(record, summary),
                        waits_table(found),
                        lock_waits_table(found),
                    )
                    if table
                ],
                **(scripts() if found else {}),
            )
        )

    def render_comparison(self, comparison: Comparison, records: Sequence[RunRecord] = ()) -> str:
        tone = OUTCOME_TONES[comparison.outcome]
        found = _profiled(comparison, records)
        tables = timings_table(comparison), counts_table(comparison), processor_table(comparison)
        return (
            templates()
            .get_template("comparison.html.jinja")
            .render(
                style=style(),
                title=printable(comparison_title(comparison)),
                baseline=printable(comparison.baseline.variant),
                candidate=printable(comparison.candidate.variant),
                runs=[
                    printable(name) for name in dict.fromkeys((comparison.baseline.run_id, comparison.candidate.run_id))
                ],
                outcome=comparison.outcome.value,
                tone=tone,
                glyph=GLYPHS[tone],
                sentence=printable(comparison.sentence),
                failed=[printable(f"{each.name}: {each.sentence}") for each in findings(comparison) if each.fails],
                exit_code=int(comparison.exit_code),
                rounds=count(comparison.rounds),
                margin=share(comparison.margin),
                noise=printable(noise_sentence(comparison)),
                notes=list(map(printable, comparison.notes)),
                tables=[table for table in tables if table],
                plan_differences=drawn_plans(comparison.plans),
                differences=[drawn(each) for each in found],
                conditions=[
                    (printable(each.run_id), [table for table in (model_table(each), environment_table(each)) if table])
                    for each in records
                ],
                commands=[printable(shlex.join(each.command)) for each in records],
                **(scripts() if found else {}),
            )
        )


def _profiled(comparison: Comparison, records: Sequence[RunRecord]) -> Sequence[Difference]:
    """The two sides' profiles, where both have some."""
    sides = [
        side(record, each.variant, each.variant if len(records) == 1 else f"{each.variant} of {each.run_id}")
        for each in (comparison.baseline, comparison.candidate)
        for record in records
        if record.run_id == each.run_id and any(profile.variant == each.variant for profile in record.profiles)
    ]
    return between(*sides) if len(sides) == 2 else ()  # noqa: PLR2004 -- baseline and candidate


def _ladder_overviews(summary: Summary) -> Iterable[Table | None]:
    for first_time in (False, True):
        yield ladder_overview(summary, "p50", first_time=first_time)
        yield ladder_overview(summary, "p95", first_time=first_time)
