"""For the browser: one page that holds everything it needs, opens from disk, and asks nothing of any network.

No script runs on it. The order is the reader's: verdict, what changed, why, the figures behind it, how to repeat it.
"""

import math
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from harness.budget_metrics import METRICS
from harness.quantities import ABSENT, count, duration, share
from harness.record import RunRecord
from harness.renderers.html.figures import distribution_figures, ladder_figures, statement_figures
from harness.summary import OperationSummary, Summary
from harness.tables import (
    OUTCOME_TONES,
    Tone,
    background_table,
    environment_table,
    errors_table,
    ladder_overview,
    ladder_tables,
    model_table,
    operations_table,
    printable,
    reference_tables,
    statements_table,
)
from harness.verdict import BudgetVerdict, Verdict

GLYPHS: Final[dict[Tone, str]] = {"good": "✓", "bad": "✕", "doubt": "?", "plain": "", "muted": ""}


@dataclass(frozen=True, slots=True)
class Headline:
    """One operation from the baseline to the candidate, in three figures."""

    operation: str
    before: str
    after: str
    reduction: str
    statements_before: str
    statements_after: str


@dataclass(frozen=True, slots=True)
class BudgetLine:
    """One budget; the gauge's numbers are percent of its width, on which the limit lies at `GAUGE_LIMIT`."""

    outcome: str
    tone: Tone
    glyph: str
    budget: str
    variant: str
    sentence: str
    meaning: str
    fill: float | None


class HtmlRenderer:
    suffix = ".html"

    def render(self, record: RunRecord, summary: Summary, verdict: Verdict) -> str:
        declared = summary.declaration
        return _template().render(
            style=Markup(_resource("page.css")),  # noqa: S704 -- our own file.
            title=printable(declared.title or declared.name or record.run_id),
            run_id=printable(record.run_id),
            description=printable(declared.description),
            expectations=printable(declared.expectations),
            baseline=printable(declared.baseline or ABSENT),
            candidate=printable(declared.candidate or ABSENT),
            started=f"{record.started_at:%Y-%m-%d %H:%M %Z}",
            elapsed=duration(record.elapsed_s),
            state=record.state,
            verdict=verdict,
            tone=OUTCOME_TONES[verdict.outcome],
            glyph=GLYPHS[OUTCOME_TONES[verdict.outcome]],
            sentence=printable(verdict.sentence),
            exit_code=int(verdict.exit_code),
            headlines=list(_headlines(summary)),
            budgets=[_budget_line(each) for each in verdict.worst_first],
            references=reference_tables(summary),
            ladder_figures=list(ladder_figures(summary, verdict)),
            ladder_overviews=[
                table for table in (ladder_overview(summary, "p50"), ladder_overview(summary, "p95")) if table
            ],
            ladders=ladder_tables(summary),
            distribution_figures=list(distribution_figures(record, summary, verdict)),
            statement_figures=list(statement_figures(summary)),
            statements=statements_table(summary),
            pair=operations_table(summary, [name for name in (declared.baseline, declared.candidate) if name]),
            operations=operations_table(summary),
            background=background_table(summary),
            errors=errors_table(summary),
            settings=[table for table in (model_table(record), environment_table(record)) if table],
            command=printable(shlex.join(record.command)),
        )


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.from_string(_resource("page.html.jinja"))


def _resource(name: str) -> str:
    return resources.files("harness.renderers.html").joinpath(name).read_text("utf-8")


def _headlines(summary: Summary) -> Iterable[Headline]:
    declared = summary.declaration
    for operation in summary.operation_names:
        before = summary.operation(declared.baseline or "", operation)
        after = summary.operation(declared.candidate or "", operation)
        if before and after and before is not after:
            yield _headline(before, after)


def _headline(before: OperationSummary, after: OperationSummary) -> Headline:
    first_s, last_s = before.p50.value_s, after.p50.value_s
    is_finite = 0 < first_s < math.inf and last_s < math.inf
    return Headline(
        operation=printable(before.operation),
        before=duration(first_s),
        after=duration(last_s),
        reduction=share((last_s - first_s) / first_s) if is_finite else "",
        statements_before=count(before.statements.median if before.statements else None),
        statements_after=count(after.statements.median if after.statements else None),
    )


GAUGE_LIMIT: Final = 62.5


def _budget_line(budget: BudgetVerdict) -> BudgetLine:
    fill = None
    if budget.measured is not None and budget.limit and math.isfinite(budget.measured):
        fill = min(budget.measured / budget.limit * GAUGE_LIMIT, 100.0)
    tone = OUTCOME_TONES[budget.outcome]
    return BudgetLine(
        outcome=budget.outcome.value,
        tone=tone,
        glyph=GLYPHS[tone],
        budget=printable(budget.budget),
        variant=printable(budget.variant),
        sentence=printable(budget.sentence),
        meaning=METRICS[budget.metric].meaning,
        fill=fill,
    )
