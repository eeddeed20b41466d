"""What a reviewer reads first: changes with what they are owed to, and what to do about each outcome."""

from typing import Any

import pytest

from harness.quantities import MINUS
from harness.record import RunRecord
from harness.showing.essence import advice, essence_table
from harness.showing.report import Report
from tests.records import HOSTILE, guide_record, record, samples, variant


def told(run: RunRecord) -> list[tuple[str, str]]:
    return [(each.sentence, each.section) for each in advice(Report.of(run))]


def rows(run: RunRecord) -> list[list[str]]:
    table = essence_table(Report.of(run))
    assert table is not None
    return [[cell.text for cell in row] for row in table.rows]


def test_each_operation_goes_from_the_baseline_to_the_candidate() -> None:
    bootstrap, *_ = rows(guide_record())
    assert bootstrap == [
        "bootstrap",
        "1.21 s → 120 ms",
        f"{MINUS}90.1%",
        "(1.42 s) → 131 ms",
        f"{MINUS}90.7%",
        "4 → 1",
        "fix5: 98.6% of it",
    ]


def test_a_change_names_the_part_that_changed_most() -> None:
    before = variant("a", samples([0.5] * 80, elapsed_s={"embedding": 0.4}, embedding="ollama"))
    after = variant("b", samples([0.1] * 80, elapsed_s={"embedding": 0.001}, embedding="cache"))
    ((*_, owed_to),) = rows(record(before, after, scenario={"strategies": ["a", "b"], "baseline": "a"}))
    assert owed_to == "embedding (ollama) 400 ms → none"


def test_one_variant_is_told_as_it_was_measured() -> None:
    run = record(variant("service", samples([0.1] * 80, statements=3)))
    assert rows(run) == [["query", "80", "0", "100 ms", "100 ms", "3", ""]]


def test_nothing_measured_is_no_table() -> None:
    assert essence_table(Report.of(record())) is None


@pytest.mark.parametrize(
    ("budget", "fields", "sentence", "section"),
    [
        (
            "query.p95 <= 300ms",
            {"elapsed_s": {"pool": 0.3}},
            "begin with what its slow requests wait for, which is pool (75%).",
            "waterfall",
        ),
        ("query.p95 <= 300ms", {}, "`harness profile` says where its time goes, function by function.", "series"),
        (
            "query.statements <= 3",
            {"statements": 9},
            "a request sent 9 statements. See which of them repeat.",
            "statements",
        ),
    ],
)
def test_a_failure_says_where_its_cause_is_looked_for(
    budget: str, fields: dict[str, Any], sentence: str, section: str
) -> None:
    run = record(variant("service", samples([0.4] * 80, **fields)), scenario={"budgets": [budget]})
    assert told(run) == [(f"{budget}: {sentence}", section)]


def test_failed_requests_are_named_by_what_they_failed_with() -> None:
    measured = samples([0.1] * 80) + samples([0.1] * 2, error="timeout")
    run = record(variant("service", measured), scenario={"budgets": ["query.errors <= 1%"]})
    assert told(run) == [("query.errors <= 1%: 2 requests failed with timeout.", "measured")]


def test_other_outcomes_say_what_to_do_too() -> None:
    few = record(variant("service", samples([0.1] * 20)), scenario={"budgets": ["query.p95 <= 300ms"]})
    ((doubt, _),) = told(few)
    assert doubt.startswith(
        "Measure longer, with `--sample-for 300` or more `requests`: query.p95 <= 300ms needs about"
    )
    assert told(record(variant("service", samples([0.1])))) == [
        ("State budgets: `harness budgets RUN` proposes some from what was measured.", "")
    ]
    missing = record(variant("service", samples([0.1])), scenario={"budgets": ["nothing.p95 <= 300ms"]})
    assert told(missing)[0][0].startswith("Correct what is said above")


def test_hostile_names_are_only_texts() -> None:
    measured = samples([0.1] * 80) + samples([0.1] * 2, error=f"{HOSTILE}\x1b[2J")
    run = record(variant("service", measured), scenario={"budgets": ["query.errors <= 1%"]})
    ((sentence, _),) = told(run)
    assert HOSTILE in sentence
    assert "\x1b" not in sentence
