import re
from xml.etree import ElementTree as ET

import pytest

from harness.record import RunRecord
from harness.showing.renderers import RENDERERS
from harness.showing.report import Report
from tests.pages import guide_page
from tests.records import HOSTILE, record, samples, variant


def page_of(run: RunRecord) -> str:
    return RENDERERS["html"].render(Report.of(run))


@pytest.fixture
def page() -> str:
    return guide_page()


def drawings(page: str) -> list[ET.Element]:
    return [ET.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)]


def test_nothing_is_loaded_and_no_script_can_run(page: str) -> None:
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:;")
    assert not re.search(r"<(script|iframe|object|embed|img|base|form)\b", page)
    addresses = re.findall(r'(?:href|src|action)="([^"]*)"|url\(([^)]*)\)|@import', page)
    assert {one or other for one, other in addresses if not (one or other).startswith("#")} == {"data:,"}


def test_ids_are_unique_and_every_reference_has_its_target(page: str) -> None:
    ids = re.findall(r'\sid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    targets = re.findall(r'(?:href="#|url\(#|aria-labelledby=")([^")]+)', page)
    assert set(targets) <= set(ids)


def test_charts_say_what_they_show_and_take_their_colours_from_the_page(page: str) -> None:
    assert len(drawings(page)) == 15
    for drawing in drawings(page):
        assert drawing.attrib["role"] == "img"
        assert re.search(r"\d", drawing.attrib["aria-label"])
    assert not re.search(r"#0000[0-9a-f]{2}", page)
    assert set(re.findall(r"var\((--chart-\w+)\)", page)) <= set(re.findall(r"(--chart-\w+):", page))


def test_the_ladder_chart_states_the_p50_of_each_rung(page: str) -> None:
    _bootstrap, add, *_ = drawings(page)
    texts = "".join(add.itertext())
    for text in ("naive", "fix1", "batched", "3.35 s", "84.0 ms"):
        assert text in texts


def test_the_verdict_comes_before_any_table(page: str) -> None:
    assert page.index("All 7 budgets hold.") < page.index("<table")
    assert page.index("<h1>") < page.index('id="verdict"') < page.index('id="changes"') < page.index('id="budgets"')


def test_what_failed_comes_first_among_the_budgets() -> None:
    run = record(
        variant("batched", samples([0.4] * 80, statements=3)),
        scenario={"budgets": ["query.statements <= 3", "query.p95 <= 300ms"]},
    )
    page = page_of(run)
    rows = re.findall(r'<tr class="(\w+)">.*?class="margin">(.*?)</td>', page, flags=re.DOTALL)
    assert rows == [("bad", "33% over"), ("good", "nothing to spare")]


def test_the_card_of_a_failure_names_what_does_not_hold() -> None:
    run = record(
        variant("batched", samples([0.4] * 80, statements=3)),
        scenario={"budgets": ["query.statements <= 3", "query.p95 <= 300ms", "query.p99 <= 3s"]},
    )
    (card,) = re.findall(r'<section id="verdict".*?</section>', page_of(run), flags=re.DOTALL)
    assert "<code>query.p95 &lt;= 300ms</code> 400 ms &gt; 300 ms (33% over)" in card
    assert '<b class="open">UNDECIDED</b> <code>query.p99 &lt;= 3s</code>' in card
    assert "query.statements" not in card


def test_the_card_of_a_pass_names_the_budget_that_is_nearest_to_its_limit(page: str) -> None:
    (card,) = re.findall(r'<section id="verdict".*?</section>', page, flags=re.DOTALL)
    assert card.count("<li>") == 1
    assert "bootstrap.p95 &lt;= 200ms is the nearest to its limit: 34% to spare." in card


def test_all_but_the_essence_is_folded(page: str) -> None:
    outside = re.sub(r"<details.*</details>", "", page, flags=re.DOTALL)
    assert re.findall(r'<section id="(\w+)"', page) == ["verdict", "changes", "budgets"]
    assert outside.count("<table") == 2
    assert "<details open" not in page


def test_an_axis_says_what_its_scale_is(page: str) -> None:
    for drawing in drawings(page):
        told, label = "".join(drawing.itertext()), drawing.attrib["aria-label"]
        if "p50 goes from" in label or "distribution of latencies" in label:
            assert "scale: logarithmic" in told, label
        if "SQL statements" in label and "query" in label:
            assert "scale: linear to 10, then logarithmic" in told, label


@pytest.mark.slow
def test_a_page_of_a_hundred_thousand_requests_stays_small() -> None:
    times_s = [0.001 * (1 + number % 977) for number in range(100_000)]
    run = record(variant("naive", samples(times_s)), variant("batched", samples(times_s)))
    assert len(page_of(run)) < 500_000


def test_long_and_hostile_names_do_not_break_a_chart() -> None:
    run = record(*(variant(f"{HOSTILE}{number}", samples([0.1] * 3, statements=2)) for number in range(3)))
    assert len(drawings(page_of(run))) == 4
    assert HOSTILE[:15] in "".join(drawings(page_of(run))[0].itertext())
