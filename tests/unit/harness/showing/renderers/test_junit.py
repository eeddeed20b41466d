"""JUnit XML as test reporters read it: red is red, undecided is never green, and the totals are those of the cases."""

import re
from xml.etree import ElementTree as ET

import pytest

from harness.judging.comparison import compare
from harness.judging.verdict import judge
from harness.record import INTERRUPTED, RunRecord, VariantRecord
from harness.showing.renderers import RENDERERS
from harness.showing.report import Report
from tests.records import HOSTILE, guide_record, record, sample, samples, variant

ATTRIBUTES = {
    "testsuites": {"name", "tests", "failures", "errors", "time"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"},
    "properties": set[str](),
    "property": {"name", "value"},
    "testcase": {"classname", "name", "time"},
    "failure": {"message", "type"},
    "error": {"message", "type"},
    "system-out": set[str](),
}
"""Those that the schemas of Jenkins, GitLab and Ant have in common, as far as we use them."""


def suites(run: RunRecord) -> ET.Element:
    return ET.fromstring(RENDERERS["junit"].render(Report.of(run)))


def judged(*budgets: str, seconds: float = 0.1, n: int = 100, **fields: object) -> RunRecord:
    scenario = {"name": "shop", "budgets": list(budgets)}
    return record(variant("new", samples([seconds] * n, statements=3)), scenario=scenario, **fields)


def case(run: RunRecord, name: str) -> ET.Element:
    (found,) = [each for each in suites(run).iter("testcase") if each.get("name") == name]
    return found


def test_a_budget_that_holds_is_a_case_that_passes() -> None:
    found = case(judged("query.p95 <= 200ms"), "query.p95 <= 200ms")
    assert found.get("classname") == "shop.new"
    assert {child.tag for child in found} == {"system-out"}


@pytest.mark.parametrize(
    ("budget", "n", "element", "kind"),
    [
        ("query.p95 <= 50ms", 100, "failure", "FAIL"),
        ("query.statements <= 2", 100, "failure", "FAIL"),
        ("query.p95 <= 200ms", 10, "error", "UNDECIDED"),
        ("add.p95 <= 200ms", 100, "error", "INVALID"),
    ],
)
def test_a_budget_that_does_not_hold_is_red(budget: str, n: int, element: str, kind: str) -> None:
    run = judged(budget, n=n)
    (found,) = case(run, budget)
    (verdict,) = judge(run).budgets
    assert (found.tag, found.get("type")) == (element, kind)
    assert found.get("message") == found.text == verdict.sentence


def test_nothing_is_skipped_since_that_is_shown_as_harmless() -> None:
    run = judged("query.p95 <= 200ms", n=10)
    assert not list(suites(run).iter("skipped"))
    assert suites(run).get("errors") == "1"


def test_a_run_that_cannot_be_judged_is_red_whatever_its_budgets_say() -> None:
    run = judged("query.p95 <= 200ms", state="partial", interruption=INTERRUPTED)
    assert case(run, "query.p95 <= 200ms").find("error") is None
    assert [child.get("type") for child in case(run, "the run can be judged")] == ["INVALID"]


def test_a_run_without_budgets_is_not_an_empty_suite() -> None:
    assert suites(judged()).get("tests") == "1"


@pytest.mark.parametrize("run", [guide_record(), judged("query.p95 <= 1ms", "add.p95 <= 1s", "query.p99 <= 1s")])
def test_the_totals_are_those_of_the_cases(run: RunRecord) -> None:
    root = suites(run)
    (suite,) = root
    for tag, total in {"testcase": "tests", "failure": "failures", "error": "errors", "skipped": "skipped"}.items():
        assert int(suite.attrib[total]) == len(list(suite.iter(tag)))
        assert root.get(total, suite.attrib[total]) == suite.attrib[total]


@pytest.mark.parametrize("run", [guide_record(), judged("query.p95 <= 1ms", "add.p95 <= 1s")])
def test_only_what_every_reader_knows_is_written(run: RunRecord) -> None:
    for element in suites(run).iter():
        assert set(element.attrib) == ATTRIBUTES[element.tag]
    names = [(each.get("classname"), each.get("name")) for each in suites(run).iter("testcase")]
    assert len(names) == len(set(names))


def test_hostile_texts_stay_texts() -> None:
    text = f"{HOSTILE}]]>\x00\x1b\ufffe\ud800"
    run = record(variant(text, samples([0.1] * 3)), scenario={"name": text, "budgets": ["query.p50 <= 1ms"]})
    rendered = RENDERERS["junit"].render(Report.of(run))
    assert re.search(r"[^\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", rendered) is None
    values = [value for element in suites(run).iter() for value in element.attrib.values()]
    assert any(HOSTILE in value for value in values)


def timed(name: str, seconds: float, statements: int) -> VariantRecord:
    """Ten rounds of three requests, a little different from each other."""
    drawn = [
        sample("query", seconds * (1 + 0.001 * ((number * 7) % 5)), round=number % 10, statements=statements)
        for number in range(30)
    ]
    return variant(name, drawn)


def test_a_comparison_has_a_case_for_each_figure() -> None:
    compared = compare(record(timed("naive", 0.1, 3), timed("batched", 0.2, 4)))
    root = ET.fromstring(RENDERERS["junit"].render_comparison(compared, ()))
    cases = {each.get("name"): [child.tag for child in each] for each in root.iter("testcase")}
    assert cases["query.p50"] == cases["query statements"] == ["failure"]
    assert cases["query errors"] == cases["timings can be judged"] == ["system-out"]
    assert {each.get("classname") for each in root.iter("testcase")} == {
        "comparison",
        "comparison.batched against naive",
    }
    (slower,) = [each for each in root.iter("failure") if "slower" in (each.text or "")][:1]
    assert re.fullmatch(r"slower: 100 ms to 200 ms, 2\.0\d x \(.* to .*\), 3 requests a round", slower.text or "")


def test_timings_that_cannot_be_judged_are_red_and_counts_still_count() -> None:
    compared = compare(record(timed("naive", 0.1, 3), timed("batched", 0.1, 3), state="partial", interruption="killed"))
    root = ET.fromstring(RENDERERS["junit"].render_comparison(compared, ()))
    kinds = {each.get("name"): [child.get("type") for child in each] for each in root.iter("testcase")}
    assert kinds["timings can be judged"] == kinds["query.p50"] == ["INVALID"]
    assert kinds["query statements"] == [None]
