"""Says what a gate came to, for the terminal, for pull requests, for programs and for test reports."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import TypeAdapter

from harness.errors import ExitCode
from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.gate import GateVerdict
from harness.judging.gate_findings.protocol import GateFinding
from harness.quantities import duration, number_of
from harness.showing.markup import escaped, table_markup
from harness.showing.renderers.junit import Case, junit_document
from harness.showing.renderers.terminal import TerminalRenderer
from harness.showing.tables import (
    OUTCOME_TONES,
    Cell,
    Column,
    Table,
    number_columns,
    printable,
    table_or_none,
    text_columns,
)

GateForm = Literal["terminal", "markdown", "html", "json", "junit"]


@dataclass(frozen=True, slots=True)
class GateReport:
    """The verdict on one scenario, between two sides by name, with `remarks` on what it cannot show."""

    scenario: str
    run_id: str
    base: str
    candidate: str
    verdict: GateVerdict
    counted: int
    """How many pairs of figures were compared."""
    elapsed_s: float
    """How long the gate took."""
    remarks: tuple[str, ...] = ()
    """What a reader must know beside the verdict."""

    @property
    def title(self) -> str:
        return printable(f"{self.scenario}: {self.candidate} against {self.base}")

    @property
    def exit_code(self) -> ExitCode:
        return self.verdict.exit_code


@dataclass(frozen=True, slots=True)
class GateDocument:
    """A field is only ever added within a version."""

    schema: Literal["anima-harness/gate"]
    schema_version: Literal[1]
    gate: GateReport


DOCUMENT: Final = TypeAdapter(GateDocument)
COLUMNS: Final = (
    Column("Verdict"),
    *text_columns("Where", "What", "Figure"),
    *number_columns("Before", "After"),
    Column("From"),
)


def gate_table(verdict: GateVerdict) -> Table | None:
    """Lists what fails the gate first."""
    return table_or_none("What differs", COLUMNS, [_row(each) for each in verdict.findings])


def _row(finding: GateFinding) -> tuple[Cell, ...]:
    verdict = Cell("FAIL", "bad") if finding.is_worse else Cell("differs", "muted")
    if finding.standing and not finding.is_worse:
        verdict = Cell("WAIVED", "doubt")
    texts = (finding.place, finding.subject, finding.counter, _figure(finding.before), _figure(finding.after))
    return (verdict, *(Cell(printable(text)) for text in texts), Cell(printable(_detail(finding))))


def _detail(finding: GateFinding) -> str:
    return ". ".join(part for part in (finding.detail, finding.standing.sentence if finding.standing else "") if part)


def _figure(value: float | None) -> str:
    return "" if value is None else re.sub(r"\.0+$", "", f"{value:,.2f}")


def finding_sentence(finding: GateFinding) -> str:
    """`query statements, 300 memories: 3 → 23 (access.touch 0 → 20)`."""
    figures = "" if finding.before is None else f"{_figure(finding.before)} → {_figure(finding.after)}"
    said = ": ".join(part for part in (f"{finding.subject} {finding.counter}, {finding.place}", figures) if part)
    return f"{said} ({_detail(finding)})" if _detail(finding) else said


def _terminal(report: GateReport) -> str:
    lines = [report.title, *map(printable, report.remarks)]
    table = TerminalRenderer().render_tables([gate_table(report.verdict)])
    worse = [f"FAIL {printable(finding_sentence(each))}" for each in report.verdict.worse]
    took = f"{number_of(report.counted, 'place')} in {report.elapsed_s:.0f} s"
    verdict = f"{report.verdict.outcome.value} {printable(report.verdict.sentence)} {took}."
    return "\n".join([*lines, *([table] if table else []), *worse, verdict]) + "\n"


def _markdown(report: GateReport) -> str:
    verdict = report.verdict
    table = gate_table(verdict)
    parts = [
        f"# {escaped(report.title)}",
        f"**{verdict.outcome.value}** {escaped(verdict.sentence)}",
        *map(escaped, report.remarks),
        table_markup(table) if table else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _html(report: GateReport) -> str:
    from harness.showing.renderers.html.lines import GLYPHS  # noqa: PLC0415 -- what a page needs is an extra.
    from harness.showing.renderers.html.templates import style, templates  # noqa: PLC0415 -- as above

    verdict, tone = report.verdict, OUTCOME_TONES[report.verdict.outcome]
    return (
        templates()
        .get_template("gate.html.jinja")
        .render(
            style=style(),
            title=report.title,
            run_id=printable(report.run_id),
            places=number_of(report.counted, "place"),
            elapsed=duration(report.elapsed_s),
            exit_code=int(report.exit_code),
            outcome=verdict.outcome.value,
            tone=tone,
            glyph=GLYPHS[tone],
            sentence=printable(verdict.sentence),
            worse=[printable(finding_sentence(each)) for each in verdict.worse],
            remarks=list(map(printable, report.remarks)),
            differs=gate_table(verdict),
            differences=(),
        )
    )


def _json(report: GateReport) -> str:
    return DOCUMENT.dump_json(GateDocument("anima-harness/gate", 1, report), indent=2).decode() + "\n"


def _junit(report: GateReport) -> str:
    outcome = report.verdict.outcome
    whole = Outcome.INVALID if outcome is Outcome.INVALID else Outcome.PASS
    cases = [
        Case(f"gate.{report.scenario}", "both sides were measured", whole, report.verdict.sentence),
        *_cases(report),
    ]
    known = {"run_id": report.run_id, "verdict": outcome.value, "sentence": report.verdict.sentence}
    return junit_document(report.title, cases, known, elapsed_s=report.elapsed_s)


def _cases(report: GateReport) -> Iterable[Case]:
    for each in report.verdict.findings:
        outcome = Outcome.FAIL if each.is_worse else each.standing.outcome if each.standing else Outcome.PASS
        name = f"{each.subject} {each.counter}, {each.place}"
        yield Case(f"gate.{report.scenario}", name, outcome, finding_sentence(each))


GATE_FORMS: Final[Mapping[GateForm, Callable[[GateReport], str]]] = {
    "terminal": _terminal,
    "markdown": _markdown,
    "html": _html,
    "json": _json,
    "junit": _junit,
}
