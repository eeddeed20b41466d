"""The comment on a pull request: found again by its first line, the verdict before all else, never over the limit."""

from harness.judging.verdict import judge
from harness.record import RunRecord
from harness.showing.markup import shortened
from harness.showing.renderers import RENDERERS
from harness.showing.renderers.comment import BYTES_MAX
from harness.showing.report import Report
from tests.records import HOSTILE, guide_record, record, samples, variant


def comment(run: RunRecord) -> str:
    return RENDERERS["comment"].render(Report.of(run))


def test_the_marker_comes_first_then_the_verdict_then_what_changed_then_the_budgets() -> None:
    run = guide_record()
    lines = [line for line in comment(run).splitlines() if line]
    assert lines[0] == "<!-- anima-harness: guide -->"
    assert lines[1] == f"**PASS** {judge(run).sentence}"
    assert [line for line in lines if line.startswith("## ")][:2] == ["## From naive to batched", "## Budgets"]


def test_the_marker_is_the_same_for_every_run_of_a_scenario_and_cannot_be_broken() -> None:
    one, other = guide_record(), guide_record(seed=2, run_id="another")
    assert comment(one).splitlines()[0] == comment(other).splitlines()[0]
    hostile = record(variant(samples=samples([0.1])), scenario={"name": f"x--> {HOSTILE}"})
    assert comment(hostile).splitlines()[0].count(">") == 1


def test_a_long_report_is_cut_at_a_line_and_says_so() -> None:
    names = [f"variant-{number:04}" for number in range(700)]
    budgets = [f"{name}: query.statements <= 3" for name in names]
    variants = [variant(name, samples([0.1] * 2, statements=9)) for name in names]
    text = comment(record(*variants, scenario={"name": "long", "budgets": budgets}))
    assert len(text.encode()) <= BYTES_MAX
    assert "FAIL" in text.splitlines()[2]
    assert text.splitlines()[-1].startswith("*Cut here")
    assert all(line.endswith("|") for line in text.splitlines() if line.startswith("|"))


def test_what_fits_is_left_alone_and_a_character_is_never_cut_in_two() -> None:
    assert shortened("as it is\n", 9, "") == "as it is\n"
    text = "a line\n" + "ü" * 100 + "\n"
    for bytes_max in range(len(text.encode())):
        assert len(shortened(text, bytes_max, "Elsewhere.").encode()) <= bytes_max
