"""For the browser: one page that holds everything it needs, opens from disk, and asks nothing of any network.

Where it shows flame graphs, its only scripts draw them. The order is the reader's: verdict, what changed, why, the
figures behind it, how to repeat it.
"""

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.comparison import Comparison
from harness.judging.profile_differences import ProfileDifference, between, side
from harness.quantities import ABSENT, duration, number_of, share
from harness.record import RunRecord
from harness.showing.capacity_tables import capacity_tables, capacity_title
from harness.showing.comparison_tables import comparison_title, findings, noise_sentence
from harness.showing.essence import advice
from harness.showing.renderers.html.difference import drawn, scripts
from harness.showing.renderers.html.inline_svg import Figure
from harness.showing.renderers.html.lines import GLYPHS, budget_lines
from harness.showing.renderers.html.plans import drawn_plans
from harness.showing.renderers.html.templates import style, templates
from harness.showing.report import CapacityReport, Report
from harness.showing.sections import ReportSection, further_of_comparison, sections, tables_of_comparison
from harness.showing.tables import OUTCOME_TONES, environment_table, model_table, printable


class HtmlRenderer:
    suffix = ".html"

    def render(self, report: Report) -> str:
        from harness.showing.renderers.html.figures import FIGURES  # noqa: PLC0415 -- drawing is slow to import.

        record, summary, verdict, found = report.record, report.summary, report.verdict, report.profiles
        declared = summary.declaration
        tone = OUTCOME_TONES[verdict.outcome]
        shown = list(_shown(report, FIGURES))
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
                advice=advice(report),
                budgets=list(budget_lines(verdict)),
                not_held=[each for each in budget_lines(verdict) if each.outcome != Outcome.PASS.value],
                sections=shown,
                shown_ids={each.section.id: each.section.label for each in shown},
                command=printable(shlex.join(record.command)),
                plan_differences=drawn_plans(report.plans),
                differences=[drawn(each) for each in found],
                **(scripts() if found else {}),
            )
        )

    def render_comparison(self, comparison: Comparison, records: Sequence[RunRecord] = ()) -> str:
        tone = OUTCOME_TONES[comparison.outcome]
        found = _profiled(comparison, records)
        return (
            templates()
            .get_template("comparison.html.jinja")
            .render(
                style=style(),
                title=printable(comparison_title(comparison)),
                runs=[
                    printable(name) for name in dict.fromkeys((comparison.baseline.run_id, comparison.candidate.run_id))
                ],
                outcome=comparison.outcome.value,
                tone=tone,
                glyph=GLYPHS[tone],
                sentence=printable(comparison.sentence),
                failed=[printable(f"{each.name}: {each.sentence}") for each in findings(comparison) if each.fails],
                exit_code=int(comparison.exit_code),
                rounds=number_of(comparison.rounds, "round"),
                margin=share(comparison.margin),
                noise=printable(noise_sentence(comparison)),
                notes=list(map(printable, comparison.notes)),
                tables=list(tables_of_comparison(comparison, "browsing")),
                further=list(further_of_comparison(comparison)),
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

    def render_capacity(self, report: CapacityReport) -> str:
        from harness.showing.renderers.html.rate_figures import rate_figures  # noqa: PLC0415 -- drawing is slow to import.

        record, verdict = report.record, report.verdict
        tone = OUTCOME_TONES[verdict.outcome]
        return (
            templates()
            .get_template("capacity.html.jinja")
            .render(
                style=style(),
                title=capacity_title(record),
                run_id=printable(record.run_id),
                started=f"{record.started_at:%Y-%m-%d %H:%M %Z}",
                elapsed=duration(record.elapsed_s),
                outcome=verdict.outcome.value,
                tone=tone,
                glyph=GLYPHS[tone],
                sentence=printable(verdict.sentence),
                exit_code=int(verdict.exit_code),
                remarks=list(map(printable, verdict.remarks)),
                tables=list(capacity_tables(verdict)),
                curves=list(rate_figures(verdict)),
                command=printable(shlex.join(record.command)),
                conditions=[table for table in (model_table(record), environment_table(record)) if table],
                differences=(),
            )
        )


def _profiled(comparison: Comparison, records: Sequence[RunRecord]) -> Sequence[ProfileDifference]:
    """The two sides' profiles, where both have some."""
    sides = [
        side(record, each.variant, each.variant if len(records) == 1 else f"{each.variant} of {each.run_id}")
        for each in (comparison.baseline, comparison.candidate)
        for record in records
        if record.run_id == each.run_id and any(profile.variant == each.variant for profile in record.profiles)
    ]
    return between(*sides) if len(sides) == 2 else ()  # noqa: PLR2004 -- baseline and candidate


@dataclass(frozen=True, slots=True)
class Shown:
    """A section with its drawings, by group."""

    section: ReportSection
    figures: Mapping[str, Sequence[Figure]]

    @property
    def gist(self) -> str:
        """Names what a reader finds in it, beside its heading."""
        drawn_names = (figure.title for group in self.figures.values() for figure in group)
        names = (*(table.title for table in self.section.tables), *drawn_names)
        return ", ".join(name for name in dict.fromkeys(names) if name != self.section.title)


def _shown(report: Report, draw: Mapping[str, Callable[[Report], Iterable[Figure]]]) -> Iterable[Shown]:
    """Those that have something on the page."""
    for section in sections(report, "browsing"):
        figures = {group: list(draw[group](report)) for group in section.figures}
        if section.tables or section.further or section.has_more or any(figures.values()):
            yield Shown(section, figures)
