import pytest

from harness.judging.declaration import Reference
from harness.quantities import ABSENT
from harness.record import DisruptionRecord
from harness.showing.summary import Spread, summarise
from harness.showing.tables import (
    Column,
    Table,
    disruptions_table,
    environment_table,
    ladder_overview,
    model_table,
    operations_table,
    printable,
    reference_figure,
    reference_tables,
    services_table,
    spread,
    statements_table,
)
from tests.records import guide_record, record, sample, samples, variant


def texts(table: Table | None) -> list[list[str]]:
    assert table is not None
    return [[cell.text for cell in row] for row in table.rows]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\tc", "a b c"),
        ("\x1b[2Jx", "�[2Jx"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}x", "�x"),
        ("\ud800", "�"),
        ("naïve ✓", "naïve ✓"),
    ],
)
def test_control_characters_and_turned_writing_never_reach_an_output(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("low_s", "high_s", "text"),
    [
        (3, 8, "3\N{EN DASH}8 s"),
        (0.15, 0.15, "150 ms"),
        (0.4, 0.6, "400\N{EN DASH}600 ms"),
        (None, 0.3, "< 300 ms"),
        (2, None, "> 2 s"),
    ],
)
def test_reference_figures_are_written_as_the_guide_writes_them(
    low_s: float | None, high_s: float | None, text: str
) -> None:
    assert reference_figure(Reference(operation="add", variant="naive", low_s=low_s, high_s=high_s)) == text


@pytest.mark.parametrize(
    ("counts", "text"), [(None, "\N{EN DASH}"), (Spread(3, 3, 3), "3"), (Spread(191, 232, 238), "232 (191 to 238)")]
)
def test_spreads_show_the_extremes_where_they_differ(counts: Spread | None, text: str) -> None:
    assert spread(counts) == text


def test_references_stand_in_the_tables_that_they_came_in() -> None:
    tables = reference_tables(summarise(guide_record()))
    assert [table.title for table in tables] == ["The problem", "Week 1 results", "Week 2 results"]
    assert [row[:4] for row in texts(tables[1])] == [
        ["add, known texts", "after fix 4", "fix4", "150 ms"],
        ["query, known texts", "after fix 4", "fix4", "400\N{EN DASH}600 ms"],
    ]


@pytest.mark.parametrize(
    ("reference", "cell"),
    [
        ({"high_s": 0.2}, ("p95 50.0 ms under the target", "good")),
        ({"high_s": 0.1}, ("p95 50.0 ms over the target", "doubt")),
        ({"low_s": 0.1, "high_s": 0.2}, ("p50 within", "good")),
        ({"low_s": 0.3, "high_s": 0.4}, ("p50 150 ms below", "plain")),
        ({"low_s": 0.3, "variant": "other"}, ("not measured", "muted")),
        ({"low_s": 0.3, "variant": "failed"}, ("p50 above: too many failed", "bad")),
    ],
)
def test_a_comparison_says_on_which_side_and_how_far(reference: dict[str, object], cell: tuple[str, str]) -> None:
    named = {"operation": "query", "variant": "naive"} | reference
    run = record(
        variant("naive", samples([0.15] * 20)),
        variant("failed", samples([0.15] * 20, error="timeout")),
        scenario={"references": [named]},
    )
    (table,) = reference_tables(summarise(run))
    assert (table.rows[0][-1].text, table.rows[0][-1].tone) == cell


def test_the_overview_has_a_row_for_each_rung_and_one_for_all() -> None:
    run = record(variant("naive", samples([4.0] * 80)), variant("batched", samples([1.0] * 80)))
    assert texts(ladder_overview(summarise(run), "p50")) == [
        ["naive", "4.00 s", ""],
        ["batched", "1.00 s", "100%"],
        ["all steps", "\N{MINUS SIGN}75%", ""],
    ]


def test_steps_that_add_to_a_latency_are_told_from_those_that_take_off() -> None:
    run = record(variant("naive", samples([1.0] * 80)), variant("batched", samples([1.5] * 80)))
    assert texts(ladder_overview(summarise(run), "p50"))[-1] == ["all steps", "+50%", ""]


def test_first_time_texts_have_an_overview_of_their_own() -> None:
    summary = summarise(guide_record())
    known, first = ladder_overview(summary, "p50"), ladder_overview(summary, "p50", first_time=True)
    assert known is not None
    assert first is not None
    assert known.title == "What each step takes off p50, known texts"
    assert first.title == "What each step takes off p50, first-time texts"
    assert [column.title for column in known.columns[1::2]] == ["bootstrap", "add", "query"]
    assert [column.title for column in first.columns[1::2]] == ["add", "query"]


def test_steps_that_may_be_noise_are_in_parentheses() -> None:
    spread_s = [0.1 + 0.001 * number for number in range(80)]
    names = {"naive": [4.0] * 80, "fix1": spread_s, "batched": [each + 0.001 for each in spread_s]}
    run = record(*(variant(name, samples(times_s)) for name, times_s in names.items()))
    shares = [row[2] for row in texts(ladder_overview(summarise(run), "p50"))]
    assert shares == ["", "100%", "(\N{MINUS SIGN}0.03%)", ""]


@pytest.mark.parametrize(("requests", "p50", "p95"), [(2, "(100 ms)", "(100 ms)"), (58, "100 ms", "(100 ms)")])
def test_a_quantile_of_too_few_requests_is_not_written_like_any_other(requests: int, p50: str, p95: str) -> None:
    table = operations_table(summarise(record(variant("naive", samples([0.1] * requests)))))
    assert texts(table)[0][6:8] == [p50, p95]
    assert table is not None
    assert "p50 needs 5, p95 needs 59" in table.note


def test_quantiles_of_enough_requests_need_no_note() -> None:
    table = operations_table(summarise(record(variant("naive", samples([0.1] * 59)))))
    assert texts(table)[0][6:8] == ["100 ms", "100 ms"]
    assert table is not None
    assert not table.note


@pytest.mark.parametrize(("titles", "keys"), [("A B 1 C", 2), ("A B", 1), ("1 2", 1)])
def test_a_table_says_what_its_rows_are_about(titles: str, keys: int) -> None:
    columns = tuple(Column(title, numeric=title.isdigit()) for title in titles.split())
    assert Table("T", columns, ()).keys == keys


def test_operations_can_be_those_of_some_variants_only() -> None:
    rows = texts(operations_table(summarise(guide_record()), ["naive"]))
    assert {row[0] for row in rows} == {"naive"}


def test_statements_have_a_row_for_each_variant() -> None:
    run = record(variant("naive", samples([1.0, 1.0, 1.0], statements=232)), variant("batched", samples([1.0])))
    assert texts(statements_table(summarise(run))) == [["naive", "232"], ["batched", "\N{EN DASH}"]]


def test_settings_are_flat_and_leave_out_what_is_shown_elsewhere() -> None:
    scenario = {
        "title": "T",
        "seed": 1,
        "latency": {"rtt_ms": 20},
        "phases": [{"users": 4}, {"users": 2}],
        "mix": [1, 2],
    }
    rows = texts(model_table(record(scenario=scenario, corpus={"size": 3})))
    assert [row[1:] for row in rows] == [
        ["seed", "1"],
        ["latency.rtt_ms", "20"],
        ["phases.1.users", "4"],
        ["phases.2.users", "2"],
        ["mix", "1, 2"],
        ["size", "3"],
    ]
    assert ["server", "settings.random_page_cost", "1.1"] in texts(environment_table(record()))


def test_what_has_no_rows_has_no_table() -> None:
    summary = summarise(record(scenario={}))
    assert (ladder_overview(summary, "p50"), operations_table(summary), reference_tables(summary)) == (None, None, ())


def test_a_disruption_stands_with_the_requests_that_were_under_way_meanwhile() -> None:
    disrupted = variant(
        samples=[
            sample(started_s=0.0, service_time_s=0.9, round=1),
            sample(started_s=0.9, service_time_s=0.2, round=1),
            sample(started_s=1.5, service_time_s=2.5, round=1, error="DatabaseUnavailable"),
            sample(started_s=1.5, service_time_s=0.1, round=2),
            sample(started_s=2.1, service_time_s=0.1, round=1),
            sample(started_s=0.1, service_time_s=0.1, round=1, error="DatabaseUnavailable"),
            sample(started_s=4.5, service_time_s=0.1, round=1, error="DatabaseUnavailable"),
            sample(started_s=4.5, service_time_s=0.1, round=2, error="DatabaseUnavailable"),
            sample(started_s=9.5, service_time_s=0.6, round=1, error="DatabaseUnavailable"),
        ],
        disruptions=[
            DisruptionRecord(round=1, phase="mix", action="kill", planned_s=0.5, started_s=1.0, ended_s=2.0),
            DisruptionRecord(round=1, phase="mix", action="pause", planned_s=9.5, started_s=10.0, ended_s=10.2),
            DisruptionRecord(round=1, phase="mix", action="restart", planned_s=50.0),
        ],
    )
    assert texts(disruptions_table(summarise(record(disrupted)))) == [
        ["batched", "1", "mix", "kill", "500 ms", "1.00 s", "1.00 s", "2", "1", "2.50 s", "3.00 s to 3.60 s"],
        ["batched", "1", "mix", "pause", "9.50 s", "10.0 s", "200 ms", "1", "1", "600 ms", "100 ms to 100 ms"],
        ["batched", "1", "mix", "restart", "50.0 s", "not reached", ABSENT, "0", "0", ABSENT, ABSENT],
    ]


def test_a_run_without_a_timeline_has_no_table_of_disruptions() -> None:
    assert disruptions_table(summarise(guide_record())) is None


def test_the_service_s_view_stands_beside_the_client_s() -> None:
    asked = [
        *(sample(service_time_s=0.101, server_s=0.1) for _ in range(3)),
        sample(service_time_s=0.5, error="503 DATABASE_BUSY"),
        sample(service_time_s=0.5, error="ServerDisconnectedError"),
    ]
    served = variant(samples=asked, served={"query 200": 3, "query 503": 1, "add 201": 7})
    table = services_table(summarise(record(served)))
    assert texts(table) == [["batched", "query", "5", "4", "2", "1", "101 ms", "100 ms", "101 ms", "100 ms", "1.00 ms"]]
    assert table is not None
    assert table.rows[0][3].tone == "doubt"


def test_a_service_that_does_not_count_is_shown_by_its_times_alone() -> None:
    table = services_table(summarise(record(variant(samples=[sample(service_time_s=0.2, server_s=0.1)]))))
    assert texts(table) == [
        ["batched", "query", "1", ABSENT, "0", ABSENT, "200 ms", "100 ms", "200 ms", "100 ms", "100 ms"]
    ]


def test_where_no_server_was_asked_there_is_no_view_of_its_own_and_no_count_of_statements() -> None:
    bare = summarise(record(variant(samples=[sample()])))
    assert services_table(bare) is None
    assert statements_table(bare) is None
