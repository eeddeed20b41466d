"""Charts as elements of a page: what they say in text, what they draw, and that several can stand on one page."""

import math
import re
from xml.etree import ElementTree as ET

import pytest

from harness.showing.renderers.html.charts import (
    BASE,
    CHANGING_SCALE,
    TAIL,
    ChartSeries,
    Cloud,
    Curve,
    Judged,
    Law,
    Rung,
    Timeframe,
    distribution_chart,
    ladder_chart,
    law_chart,
    series_chart,
    statements_chart,
)
from harness.showing.summary import Quantile, Spread, Step

PATH = "{http://www.w3.org/2000/svg}path"
KNOWN = Quantile(0.1, 0.09, 0.11)


def text_of(drawing: str) -> str:
    return " ".join("".join(ET.fromstring(drawing).itertext()).split())


def step(p50_s: float, p95_s: float) -> Step:
    p50, p95 = (Quantile(value_s, None, None) for value_s in (p50_s, p95_s))
    return Step("naive", 80, p50, p95, statements=None, saved_p50=None, saved_p95=None)


def test_a_drawing_describes_itself_and_takes_its_colours_from_the_page() -> None:
    drawing = statements_chart([("naive", Spread(1, 2, 3))], "key", "two statements")
    root = ET.fromstring(drawing)
    assert (root.attrib["role"], root.attrib["aria-label"]) == ("img", "two statements")
    assert not re.search("#0000[0-9a-f]{2}|<style|<metadata|font-family", drawing)
    assert "var(--chart-typical)" in drawing


def test_what_drawings_refer_to_is_their_own() -> None:
    drawing = distribution_chart([Curve([0.1, 0.2], TAIL)], [], "left", "")
    defined = re.findall(r'\bid="([^"]+)"', drawing)
    referred = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', drawing)
    assert defined
    assert referred
    assert all(name.startswith("left-") for name in defined)
    assert {one or other for one, other in referred} <= set(defined)


def test_the_same_is_drawn_alike() -> None:
    assert len({statements_chart([("naive", Spread(1, 2, 3))], "key", "") for _ in range(2)}) == 1


def test_a_rung_says_its_p50_and_a_long_name_is_cut() -> None:
    drawing = ladder_chart([Rung("a name of a variant", step(0.25, 0.5), None, None)], 0.3, "key", "")
    assert "250 ms" in text_of(drawing)
    assert "a name of a var…" in text_of(drawing)


@pytest.mark.parametrize("p95_s", [math.inf, 0.5])
def test_what_failed_has_no_place_on_an_axis_of_times(p95_s: float) -> None:
    rungs = [Rung("naive", step(math.inf, math.inf), None, (0.1, 0.2)), Rung("batched", step(0.25, p95_s), None, None)]
    drawing = ladder_chart(rungs, None, "key", "")
    assert "250 ms" in text_of(drawing)
    assert not re.search(r"\b(?:nan|inf)\b", " ".join(re.findall(r' d="([^"]+)"', drawing)))


def curve_points(times_s: list[float]) -> int:
    drawing = ET.fromstring(distribution_chart([Curve(times_s, TAIL)], [], "key", ""))
    lines = [path.attrib["d"] for path in drawing.iter(PATH) if "--chart-tail" in path.attrib.get("style", "")]
    return max(line.count("L") for line in lines)


def test_a_distribution_of_very_many_requests_is_drawn_with_some_hundreds_of_steps() -> None:
    few, many = ([0.001 * number for number in range(1, end)] for end in (301, 20_001))
    assert curve_points(few) < curve_points(many) < 3 * curve_points(few)


def test_a_budget_on_a_distribution_is_where_its_limit_is() -> None:
    judged = [Judged(0.3, 0.95, KNOWN)]
    without, with_budget = (distribution_chart([Curve([0.1, 0.2], TAIL)], each, "key", "") for each in ([], judged))
    assert "--chart-budget" not in without
    assert "--chart-budget" in with_budget


def test_statements_beyond_ten_are_on_another_scale_which_is_said() -> None:
    few, many = (statements_chart([("naive", Spread(1, 2, most))], "key", "") for most in (5, 232))
    assert CHANGING_SCALE not in text_of(few)
    assert CHANGING_SCALE in text_of(many)


def test_a_law_is_written_below_what_was_sent() -> None:
    law = Law("query.statements <= 2 + n", [(1, 3.0, 3.0), (20, 22.0, 22.0)])
    drawing = law_chart([Cloud("naive", BASE, [(1, 3), (20, 232)])], [law], "key", "")
    assert "query.statements <= 2 + n" in text_of(drawing)
    assert "n, results of a request" in text_of(drawing)


def test_errors_and_disruptions_are_marked_on_the_time_of_a_pass() -> None:
    points = [(TAIL, [(1.0, 0.1), (2.0, 0.2)])]
    quiet = series_chart(ChartSeries(Timeframe(0, 10, [], []), points, []), "key", "")
    disturbed = series_chart(ChartSeries(Timeframe(0, 10, [5.0], [(2.0, 3.0)]), points, [2.5]), "key", "")
    assert "--chart-budget" not in quiet
    assert "--chart-budget" in disturbed
