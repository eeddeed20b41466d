"""What every format of a search for a capacity promises: the outcome, the curve, and no way out of the format."""

import json
import re
from collections.abc import Callable
from xml.etree import ElementTree as ET

import pytest

from harness.quantities import rate
from harness.showing.renderers import RENDERERS
from harness.showing.report import CapacityReport, report_of
from tests.queues import constant, searched, slots
from tests.records import HOSTILE

ESCAPE_SEQUENCE = "\x1b[2J"


def found(**fields: object) -> CapacityReport:
    record = searched({"before": slots(1, constant(0.2)), "after": slots(2, constant(0.2))}, BUDGETS)
    report = report_of(record.model_copy(update=fields))
    assert isinstance(report, CapacityReport)
    return report


BUDGETS = ("query.p95 <= 500ms", "query.capacity >= 5/s")


def hostile() -> CapacityReport:
    """Every text that a search can hold tries to break out."""
    text = f"{HOSTILE}{ESCAPE_SEQUENCE}"
    scenario = {**found().record.scenario, "title": text, "name": text}
    return found(run_id=text, scenario=scenario, interruption=text, state="partial")


REPORTS: dict[str, Callable[[], CapacityReport]] = {
    "found": found,
    "hostile": hostile,
    "nothing measured": lambda: found(rates=()),
}


@pytest.fixture(scope="module", params=REPORTS)
def report(request: pytest.FixtureRequest) -> CapacityReport:
    return REPORTS[request.param]()


@pytest.mark.parametrize("form", RENDERERS)
def test_it_tells_the_outcome_and_cannot_be_steered(form: str, report: CapacityReport) -> None:
    text = RENDERERS[form].render_capacity(report)
    assert report.verdict.outcome.value in text
    assert ESCAPE_SEQUENCE not in text
    assert text.endswith("\n")
    if form == "html":
        assert "<img" not in text
    if form == "markdown":
        assert "<img" not in re.sub(r"`` .*? ``", "", text), "outside of code"


@pytest.mark.parametrize("form", ["terminal", "markdown", "html"])
def test_people_see_every_rate(form: str, report: CapacityReport) -> None:
    text = RENDERERS[form].render_capacity(report)
    for capacity in report.verdict.capacities:
        for tried in capacity.tried:
            assert rate(tried.rate_per_s) in text


def test_programs_read_all_of_it(report: CapacityReport) -> None:
    read = json.loads(RENDERERS["json"].render_capacity(report))
    assert (read["schema"], read["schema_version"]) == ("anima-harness/capacity", 1)
    assert read["capacity"]["outcome"] == report.verdict.outcome.value
    tried = [[each["rate_per_s"] for each in capacity["tried"]] for capacity in read["capacity"]["capacities"]]
    assert tried == [[each.rate_per_s for each in capacity.tried] for capacity in report.verdict.capacities]


def test_a_test_report_has_a_case_for_each_budget_and_comparison() -> None:
    root = ET.fromstring(RENDERERS["junit"].render_capacity(found()))
    names = [case.get("name") for case in root.iter("testcase")]
    assert names == [
        "the search came to its end",
        "query.capacity",
        "query.capacity >= 5/s",
        "query.capacity against before",
    ]
