"""What every format of a comparison promises: the outcome, each finding, and no way out of the format."""

import json
import re
from collections.abc import Callable

import pytest

from harness.judging.comparison import Comparison, compare, compare_runs
from harness.quantities import duration
from harness.showing.renderers import RENDERERS
from tests.records import HOSTILE, guide_record, record, sample, variant

ESCAPE_SEQUENCE = "\x1b[2J"


def hostile() -> Comparison:
    """Every text that a comparison can hold tries to break out."""
    text = f"{HOSTILE}{ESCAPE_SEQUENCE}"
    before, after = (
        variant(f"{name}{text}", [sample(text, 0.1, round=number) for number in range(3)]) for name in ("a", "b")
    )
    control = before.model_copy(update={"name": f"c{text}", "control_of": before.name})
    return compare(
        record(before, after, control, run_id=text, state="partial", interruption=text), before.name, after.name
    )


def failing() -> Comparison:
    failed = [sample(round=number, error="timeout") for number in range(3)]
    return compare(record(variant("naive", failed), variant("batched", failed)))


def apart() -> Comparison:
    samples = [sample(service_time_s=0.1 + number / 100, round=number) for number in range(4)]
    return compare_runs(record(variant("batched", samples)), record(variant("batched", samples[::-1]), run_id="other"))


COMPARISONS: dict[str, Callable[[], Comparison]] = {
    "guide": lambda: compare(guide_record()),
    "hostile": hostile,
    "failing": failing,
    "apart": apart,
    "nothing": lambda: compare(record(variant("naive"), variant("batched"))),
}


@pytest.fixture(params=COMPARISONS)
def comparison(request: pytest.FixtureRequest) -> Comparison:
    return COMPARISONS[request.param]()


@pytest.mark.parametrize("form", RENDERERS)
def test_it_tells_the_outcome_and_cannot_be_steered(form: str, comparison: Comparison) -> None:
    text = RENDERERS[form].render_comparison(comparison, ())
    assert comparison.outcome.value in text
    assert ESCAPE_SEQUENCE not in text
    assert text.endswith("\n")
    if form == "html":
        assert "<img" not in text
    if form == "markdown":
        assert "<img" not in re.sub(r"`` .*? ``", "", text), "outside of code"


@pytest.mark.parametrize("form", ["terminal", "markdown", "html"])
def test_people_see_every_latency(form: str, comparison: Comparison) -> None:
    text = RENDERERS[form].render_comparison(comparison, ())
    for metric in comparison.metrics:
        assert duration(metric.candidate_s) in text


def test_programs_read_all_of_it(comparison: Comparison) -> None:
    read = json.loads(RENDERERS["json"].render_comparison(comparison, ()))
    assert (read["schema"], read["schema_version"]) == ("anima-harness/comparison", 1)
    assert read["comparison"]["outcome"] == comparison.outcome.value
    assert [each["metric"] for each in read["comparison"]["metrics"]] == [each.metric for each in comparison.metrics]
