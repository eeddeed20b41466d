"""A run that goes on, for the browser: a page that asks again every two seconds, and what it then shows."""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from markupsafe import Markup

from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.columns import Columns
from harness.judging.verdict import judge
from harness.quantities import count, duration
from harness.record import RunRecord, VariantRecord
from harness.samples import Sample
from harness.showing.renderers.html.inline_svg import Figure
from harness.showing.renderers.html.templates import style, templates
from harness.showing.summary import summarise
from harness.showing.tables import (
    OUTCOME_TONES,
    Cell,
    Column,
    Table,
    budgets_table,
    number_columns,
    operations_table,
    printable,
    table_or_none,
    text_columns,
)

TAIL: Final = 12
LOOK: Final = Markup("""
const look = async () => {
  try {
    const answer = await fetch("/now");
    if (!answer.ok) throw new Error(answer.status);
    document.getElementById("now").innerHTML = await answer.text();
    setTimeout(look, 2000);
  } catch {
    document.getElementById("gone").hidden = false;
  }
};
look();
""")


def live_page() -> str:
    """The page, which has nothing of the run yet."""
    digest = base64.b64encode(hashlib.sha256(LOOK.encode()).digest()).decode()
    return templates().get_template("live.html.jinja").render(style=style(), script=LOOK, digest=digest)


def live_state(record: RunRecord, has_ended: bool) -> str:
    """Draws a record as it is now, for the page to show."""
    summary = summarise(record)
    verdict = judge(record if has_ended else record.model_copy(update={"state": "complete", "interruption": None}))
    going_on = _going_on(record)
    declared = summary.declaration
    return (
        templates()
        .get_template("live_state.html.jinja")
        .render(
            title=printable(declared.title or declared.name or record.run_id),
            run_id=printable(record.run_id),
            has_ended=has_ended,
            outcome=verdict.outcome.value if has_ended else "",
            tone=OUTCOME_TONES[verdict.outcome if has_ended else Outcome.UNDECIDED],
            sentence=printable(verdict.sentence) if has_ended else _where(going_on),
            tables=[each for each in (operations_table(summary), _tail(record), budgets_table(verdict)) if each],
            figures=list(_figures(going_on)) if going_on else [],
        )
    )


def _going_on(record: RunRecord) -> VariantRecord | None:
    """The variant that was asked last."""
    measured = [each for each in record.variants if each.samples]
    return next((each for each in reversed(measured) if not each.complete), measured[-1] if measured else None)


def _where(variant: VariantRecord | None) -> str:
    if variant is None:
        return "Nothing has been measured yet."
    last = variant.samples[-1]
    return printable(f"{variant.name}: {last.phase or last.operation}, round {last.round}")


def _figures(variant: VariantRecord) -> Iterable[Figure]:
    """Latency over time of its last round, one per operation."""
    from harness.showing.renderers.html.time_figures import series_figure  # noqa: PLC0415 -- drawing is slow to import.

    rounds = Columns.of(variant.samples).by_round
    for number, requests in enumerate(rounds[max(rounds)].by_operation.values()):
        if len(requests.answered):
            yield series_figure(f"live{number}", variant, requests)


def _tail(record: RunRecord) -> Table | None:
    columns = (
        *text_columns("Variant", "Operation"),
        *number_columns("Ended at", "Latency", "Statements"),
        Column("Error"),
    )
    found = [(each, variant.name) for variant in record.variants for each in _last(variant.samples)]
    rows = [
        (
            Cell(printable(name)),
            Cell(printable(each.operation)),
            Cell(f"{each.ended_s:.1f} s"),
            Cell(duration(each.latency_s)),
            Cell(count(each.statements)),
            Cell(printable(each.error or ""), "bad"),
        )
        for each, name in reversed(found[-TAIL:])
    ]
    return table_or_none("The last requests", columns, rows)


def _last(samples: Sequence[Sample]) -> Sequence[Sample]:
    rounds = Columns.of(samples).by_round
    if not rounds:
        return ()
    latest = rounds[max(rounds)]
    return list(latest.at(np.argsort(latest.ended_s, kind="stable")[-TAIL:]))
