"""The events of a run: a line each, of the schema, told no more often than is read, and ended by the verdict."""

import json
from typing import Any

import pytest

from harness.commands._shared.events import EVENTS, EventStream
from harness.errors import TargetError
from harness.judging.comparison import compare
from harness.showing.report import AnyReport, ComparisonReport, Report
from tests.records import HOSTILE, guide_record, record, sample, samples, variant


class Lines:
    """What was written, and a clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.written: list[str] = []
        self.stream = EventStream(self.written.append, lambda: self.now_s)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.written]


@pytest.fixture
def lines() -> Lines:
    return Lines()


def test_a_phase_is_told_once_a_second_and_at_its_end(lines: Lines) -> None:
    lines.stream.phase("batched", "query", 40, 60)
    for number in range(40):
        lines.now_s = number * 0.1
        lines.stream.sample(sample(service_time_s=0.1, error="timeout" if number == 5 else None))
    lines.stream.phase_end("batched", "query")
    progress = [each for each in lines.events if each["event"] == "progress"]
    assert [each["requests"] for each in progress] == [11, 21, 31, 40]
    assert [each["errors"] for each in progress] == [1] * 4
    assert [each["ended"] for each in progress] == [False, False, False, True]
    assert {each["p95_s"] for each in progress} == {0.1}


def test_phases_that_take_turns_keep_their_figures_apart(lines: Lines) -> None:
    for name, seconds in (("a", 0.5), ("b", 0.1)):
        lines.stream.phase(name, "query", 1, 1)
        lines.stream.sample(sample(service_time_s=seconds))
    lines.stream.phase_end("a", "query")
    assert [(each["variant"], each["p95_s"]) for each in lines.events[-1:]] == [("a", 0.5)]


def test_a_phase_without_requests_has_no_progress(lines: Lines) -> None:
    lines.stream.phase("a", "query", 0, 1)
    lines.stream.phase_end("a", "query")
    assert [each["event"] for each in lines.events] == ["phase"]


def test_each_kind_of_failure_is_told_once_and_on_one_line(lines: Lines) -> None:
    for _ in range(3):
        lines.stream.failure("a", "query", TargetError("timeout", f"{HOSTILE}\nnext line"))
    (event,) = lines.events
    assert event["sentence"].startswith("a: query failed (timeout): ")
    assert "\n" not in lines.written[0]


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (Report.of(guide_record()), ["budget"] * 7 + ["verdict"]),
        (ComparisonReport(compare(guide_record()), (guide_record(),)), ["verdict"]),
        (Report.of(record(variant("a", samples([0.1], error="timeout")))), ["verdict"]),
    ],
    ids=["budgets", "comparison", "failures"],
)
def test_the_verdict_comes_last(lines: Lines, report: AnyReport, expected: list[str]) -> None:
    lines.stream.started("run", "guide", "reports/run")
    lines.stream.judged(report, "reports/run")
    assert [each["event"] for each in lines.events] == ["start", *expected]
    assert lines.events[-1]["exit_code"] == report.exit_code
    for line in lines.written:
        assert json.loads(EVENTS.dump_json(EVENTS.validate_json(line))) == json.loads(line)


def test_a_value_that_no_number_says_is_null(lines: Lines) -> None:
    failed = variant("a", samples([0.1] * 20, error="timeout"))
    lines.stream.judged(Report.of(record(failed, scenario={"budgets": ["query.p95 <= 1s"]})), "")
    assert lines.events[0]["measured"] is None
