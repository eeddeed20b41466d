"""Annotations as the runner of GitHub Actions reads them: nothing escapes its field, and nothing is dropped unsaid."""

import re
from collections.abc import Iterator

from harness.judging.verdict import judge
from harness.record import RunRecord
from harness.showing.renderers import RENDERERS
from harness.showing.report import Report
from tests.records import HOSTILE, guide_record, record, samples, variant

COMMAND = re.compile(r"::(?P<level>error|warning|notice) title=(?P<title>[^,:]*)::(?P<message>.*)")


def unescaped(text: str) -> str:
    for written, meant in {"%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ",", "%25": "%"}.items():
        text = text.replace(written, meant)
    return text


def annotations(run: RunRecord) -> Iterator[tuple[str, str, str]]:
    """Level, title and message, read as the runner does: by line, and unescaped."""
    for line in RENDERERS["github"].render(Report.of(run)).splitlines():
        command = COMMAND.fullmatch(line)
        assert command, line
        assert not re.search("%(?!25|0D|0A|3A|2C)", line)
        yield command["level"], unescaped(command["title"]), unescaped(command["message"])


def run_of(*budgets: str, n: int = 100, name: str = "new") -> RunRecord:
    measured = variant(name, samples([0.1] * n, statements=3))
    return record(measured, scenario={"name": "shop", "budgets": list(budgets)})


def test_a_run_that_passes_is_one_notice() -> None:
    run = guide_record()
    assert list(annotations(run)) == [("notice", "PASS: guide", judge(run).sentence)]


def test_what_does_not_hold_is_named_at_the_level_of_its_verdict() -> None:
    run = run_of("query.p95 <= 50ms", "query.p99 <= 1s", "query.p95 <= 1s", "add.errors <= 1%")
    verdict = judge(run)
    sentences = {each.budget: each.sentence for each in verdict.budgets}
    assert list(annotations(run)) == [
        ("error", "FAIL: shop", verdict.sentence),
        ("error", "FAIL: new: query.p95 <= 50ms", sentences["query.p95 <= 50ms"]),
        ("error", "INVALID: new: add.errors <= 1%", sentences["add.errors <= 1%"]),
        ("warning", "UNDECIDED: new: query.p99 <= 1s", sentences["query.p99 <= 1s"]),
    ]


def test_a_level_has_ten_and_the_last_counts_the_rest() -> None:
    run = run_of(*(f"query.statements <= {limit % 3}" for limit in range(14)), "query.p99 <= 1s")
    found = list(annotations(run))
    errors = [message for level, _, message in found if level == "error"]
    assert len(errors) == 10
    assert errors[-1].startswith("6 more")
    assert [level for level, _, _ in found].count("warning") == 1


def test_exactly_ten_are_all_shown() -> None:
    run = run_of(*(f"query.statements <= {limit % 3}" for limit in range(9)))
    assert [title for _, title, _ in annotations(run)].count("More of these") == 0
    assert len(list(annotations(run))) == 10


def test_hostile_texts_stay_in_their_field() -> None:
    text = f"{HOSTILE}\r\n::error::100%,a:b"
    plain = text.replace("\r\n", "  ")
    named = record(variant(text, samples([0.1] * 100)), scenario={"name": "shop", "budgets": ["query.p95 <= 1ms"]})
    assert [title for _, title, _ in annotations(named)] == ["FAIL: shop", f"FAIL: {plain}: query.p95 <= 1ms"]
