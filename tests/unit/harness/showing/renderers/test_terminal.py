import re
from collections.abc import Iterable
from functools import cache

import pytest

from harness.advice import MARGIN
from harness.judging.comparison import compare
from harness.judging.plan_differences import pair_plans
from harness.judging.verdict import judge
from harness.record import RunRecord
from harness.showing.comparison_tables import counts_table, processor_table, timings_table
from harness.showing.plan_tables import plans_table
from harness.showing.profile_tables import waterfall_tables
from harness.showing.renderers.terminal import WORD_MAX, TerminalRenderer
from harness.showing.report import Report
from harness.showing.summary import summarise
from harness.showing.tables import (
    Cell,
    Column,
    Table,
    background_table,
    budgets_table,
    environment_table,
    errors_table,
    ladder_overview,
    ladder_tables,
    model_table,
    number_columns,
    operations_table,
    reference_tables,
    statements_table,
)
from tests.records import guide_record, record, samples, variant

WIDTHS = (60, 80, 100, 200)


def shown(run: RunRecord, *, width: int | None = None, colour: bool = False, everything: bool = False) -> str:
    return TerminalRenderer(width, colour, everything).render(Report.of(run))


@cache
def guide_shown(width: int | None = None, *, colour: bool = False, everything: bool = False) -> str:
    return shown(guide_record(), width=width, colour=colour, everything=everything)


def every_table() -> Iterable[Table]:
    run = guide_record()
    summary, comparison = summarise(run), compare(run, margin=MARGIN)
    broken = summarise(record(variant("naive", samples([0.1] * 3, error="asyncpg.TooManyConnectionsError"))))
    where = "anima.memory.query > anima.searches.approximate.candidates > asyncpg.connection.Connection.fetch"
    labels = ("naive of local-20260101T120000Z-1a2b", "batched of local-20260102T120000Z-3c4d")
    found = (
        budgets_table(judge(run)),
        *reference_tables(summary),
        ladder_overview(summary, "p50"),
        *ladder_tables(summary),
        statements_table(summary),
        operations_table(summary),
        background_table(summary),
        errors_table(broken),
        model_table(run),
        environment_table(run),
        timings_table(comparison),
        counts_table(comparison),
        processor_table(comparison),
        plans_table(pair_plans(run)),
        *waterfall_tables(run, summary),
        Table(
            "query: where the time went",
            (*number_columns("Change", *labels), Column("Where", code=True)),
            ((Cell("12.3 ms"), Cell("1.20 s"), Cell("1.21 s"), Cell(where)),),
        ),
    )
    return [table for table in found if table]


def words(text: str) -> list[str]:
    return [word for word in text.split() if len(word) <= WORD_MAX]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("table", every_table(), ids=lambda table: table.title)
def test_no_column_is_lost_and_none_is_wider_than_the_terminal(table: Table, width: int) -> None:
    text = TerminalRenderer(width, colour=False).render_tables([table])
    assert max(len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    for column in table.columns:
        assert all(word in text for word in words(column.title)), column.title
    for row in table.rows:
        for cell, column in zip(row, table.columns, strict=True):
            # A figure stays together with its unit; a text may go on in the next line.
            assert all(part in text for part in ([cell.text] if column.numeric else words(cell.text))), cell.text


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("everything", [False, True])
def test_no_line_of_a_report_is_wider_than_the_terminal(width: int, *, everything: bool) -> None:
    text = guide_shown(width, everything=everything)
    assert max(len(line) for line in text.splitlines()) <= width


def test_without_a_terminal_there_is_no_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    long = Table("T", (Column("Where", code=True), Column("Note")), ((Cell("a.b" * 300), Cell("word " * 300)),))
    text = TerminalRenderer(colour=False).render_tables([long])
    assert text.splitlines()[-1] == f"{'a.b' * 300}  {('word ' * 300).strip()}"


def test_columns_that_have_no_room_stand_below_each_other() -> None:
    table = Table(
        "T", tuple(number_columns("One", "Two", "Three")), ((Cell("1" * 20), Cell("2" * 20), Cell("3" * 20)),)
    )
    lines = TerminalRenderer(60, colour=False).render_tables([table]).splitlines()
    assert lines[-4:] == [f"One    {'1' * 20}", f"Two    {'2' * 20}", f"Three  {'3' * 20}", ""]


def test_the_verdict_comes_first_and_last_with_what_failed() -> None:
    budgets = ["query.p50 <= 1s", "query.p95 <= 300ms"]
    lines = shown(
        record(variant("batched", samples([0.4] * 80)), scenario={"budgets": budgets}), width=120
    ).splitlines()
    verdict = " FAIL  Of 2 budgets, 1 failed."
    failed = "400 ms > 300 ms (33% over), in 80 requests."
    assert lines[1] == verdict
    assert failed in next(line for line in lines if line.startswith("FAIL "))
    assert lines[-2:] == [verdict, f"FAIL query.p95 <= 300ms: {failed}"]


def test_what_failed_is_named_again_up_to_a_number() -> None:
    budgets = [f"query.p95 <= {limit}ms" for limit in range(1, 21)]
    lines = shown(
        record(variant("batched", samples([0.4] * 80)), scenario={"budgets": budgets}), width=120
    ).splitlines()
    assert lines[-1] == "and 12 more, in the table of budgets above."


def test_a_short_report_names_what_fails_and_counts_what_holds() -> None:
    budgets = ["query.p50 <= 1ms", *(f"query.p50 <= {limit}s" for limit in range(1, 21))]
    run = record(variant("batched", samples([0.4] * 80)), scenario={"budgets": budgets})
    assert "11 more hold: --all shows them." in shown(run)
    assert len(re.findall(r"^PASS ", shown(run), flags=re.MULTILINE)) == 9
    assert len(re.findall(r"^PASS ", shown(run, everything=True), flags=re.MULTILINE)) == 20


def test_everything_is_shown_where_it_is_asked_for() -> None:
    for part in ("Background work", "takes off p95", "Week 1 results", "Cache hits"):
        assert part not in guide_shown()
        assert part in guide_shown(everything=True)


def test_colour_is_the_callers_choice() -> None:
    assert "\x1b[" in guide_shown(80, colour=True)
    assert "\x1b[" not in guide_shown(80, colour=False)


def test_nothing_but_colour_differs_between_the_two() -> None:
    coloured = guide_shown(100, colour=True)
    plain = re.sub(r"\x1b\[[\d;]*m", "", coloured)
    assert [line.rstrip() for line in plain.splitlines()] == guide_shown(100).splitlines()
