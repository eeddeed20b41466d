"""Requests as arrays say what they say one by one."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from harness.judging.budgets import parse
from harness.judging.columns import Columns
from harness.record import VariantRecord
from harness.samples import SAMPLES, Sample, SampleColumns
from tests.records import sample, variant

MIXED = (
    sample("add", 0.2, started_s=3.0, first_time_text=True, phase="mix", server_s=0.1),
    sample("query", 0.1, started_s=1.0, intended_s=0.5, scheduled=True, phase="mix", stage=0, worker=1),
    sample("query{cache=cold}", 0.3, started_s=2.0, phase="cold", elapsed_s={"pool": 0.1}, calls={"query.search": 2}),
    sample("query", 0.4, started_s=0.5, error="TimeoutError", phase="mix", stage=1, round=2),
    sample("query", 0.1, started_s=4.0, statements=2, results=20, proven=False, phase="mix", stage=0, worker=1),
)


def test_samples_in_columns_are_the_same_samples_in_the_same_order() -> None:
    columns = SampleColumns(MIXED)
    assert columns == MIXED
    assert [columns[number] for number in range(-1, len(MIXED) - 1)] == [MIXED[-1], *MIXED[:-1]]
    assert columns[1:4] == MIXED[1:4]
    assert SampleColumns.joined([columns[:2], SampleColumns(MIXED[3:1:-1]), columns[4:]]) == (
        *MIXED[:2],
        MIXED[3],
        MIXED[2],
        MIXED[4],
    )
    assert columns != MIXED[1:]


def test_what_the_time_went_to_is_found_among_some_of_them() -> None:
    columns = Columns.of(MIXED)
    assert list(columns.parts) == [(2, {"pool": 0.1})]
    assert list(columns.at(np.array([4, 2])).parts) == [(1, {"pool": 0.1})]
    assert list(columns.broken_down) == [MIXED[2]]
    assert list(columns.by_round[2].broken_down) == []
    assert list(Columns.of(MIXED[:2]).parts) == []
    assert {name: len(found) for name, found in columns.by_operation.items()} == {
        "add": 1,
        "query": 3,
        "query{cache=cold}": 1,
    }


def test_a_record_keeps_its_samples_in_columns_and_writes_them_one_by_one() -> None:
    measured = variant("naive", MIXED)
    assert isinstance(measured.samples, SampleColumns)
    written = measured.model_dump_json(exclude_defaults=True)
    assert VariantRecord.model_validate_json(written) == measured
    assert measured.model_dump(exclude_defaults=True)["samples"][1] == SAMPLES.dump_python(
        MIXED[1], exclude_defaults=True
    )


def test_what_a_journal_says_of_many_is_read_as_each_by_itself() -> None:
    columns = SampleColumns()
    entries = [SAMPLES.dump_python(each, exclude_defaults=True) for each in MIXED * 2]
    for entry in (*entries, {**entries[1], "ended_s": 7}):
        columns.read(dict(entry))
    assert columns == (*MIXED, *MIXED, replace(MIXED[1], ended_s=7.0))
    assert len(columns.traits) == len({(each.operation, each.stage, each.error, each.statements) for each in MIXED})
    for wrong in ({**entries[1], "ended_s": "late"}, {**entries[1], "ended_s": None}, {**entries[1], "ended": 1.0}):
        with pytest.raises(ValueError, match="ended"):
            columns.read(wrong)


@pytest.mark.parametrize(
    "budget",
    [
        "query.p95 <= 1s",
        "mix.p95 <= 1s",
        "mix{stage=1}.p95 <= 1s",
        "add{text=first}.p95 <= 1s",
        "query{cache=cold}.p95 <= 1s",
        "cache.hit_rate >= 80%",
    ],
)
def test_a_budget_selects_the_same_requests_by_their_traits(budget: str) -> None:
    selects = parse(budget).selects
    assert list(Columns.of(MIXED).select(selects)) == [each for each in MIXED if selects(each)]


def test_times_and_tallies_are_those_of_each_request() -> None:
    columns = Columns.of(MIXED).select(lambda traits: traits.operation != "add")
    rest = MIXED[1:]
    for name in ("intended_s", "started_s", "ended_s", "latency_s", "service_time_s", "lateness_s"):
        assert getattr(columns, name).tolist() == [getattr(each, name) for each in rest]
    assert columns.judged_s.tolist() == [0.6, 0.3, np.inf, 0.1]
    assert columns.tally_by(lambda traits: traits.phase) == Counter(each.phase for each in rest)
    assert Columns.of(MIXED).server_s[0] == 0.1
    assert np.isnan(Columns.of(MIXED).server_s[1:]).all()


def test_groups_come_in_the_order_of_their_first_request() -> None:
    def operation(each: Sample) -> str:
        return each.operation

    grouped = Columns.of(MIXED).first(4).groups(lambda traits: traits.operation)
    assert list(grouped) == list(dict.fromkeys(map(operation, MIXED)))
    assert list(grouped["query"]) == [MIXED[1], MIXED[3]]
    by_start = np.argsort(Columns.of(MIXED).intended_s)
    placed = Columns.of(MIXED).places(lambda traits: traits.operation, by_start)
    assert {name: places.tolist() for name, places in placed.items()} == {
        "query": [1, 3, 4],
        "query{cache=cold}": [2],
        "add": [0],
    }
