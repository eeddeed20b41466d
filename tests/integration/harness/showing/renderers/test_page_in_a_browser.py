"""The report in a real browser: nothing is loaded, nothing fails, the figures are the record's, and the graph works."""

import re
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from harness.judging.verdict import judge
from harness.quantities import duration
from harness.record import ProfileRecord, RunRecord, StatementProfile
from harness.showing.renderers import RENDERERS, rendered
from harness.showing.report import report_of
from harness.showing.summary import summarise
from tests.needs import chromium
from tests.records import HOSTILE, guide_record

pytestmark = pytest.mark.needs("chromium")


@dataclass
class Opened:
    """A page, and what it asked for and complained about."""

    page: Page
    requests: list[str]
    complaints: list[str]


@pytest.fixture(scope="module")
def browser() -> Generator[Browser]:
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=chromium(), args=arguments)
        yield browser
        browser.close()


def profiled() -> RunRecord:
    """The guide's record, with profiles in which one frame vanishes and another has a hostile name."""
    stacks = {"naive": {"query;per_pair.py:record": 0.4, "query;search": 0.1}, "batched": {f"query;{HOSTILE}": 0.1}}
    profiles = [
        ProfileRecord(
            variant=name,
            operation="query",
            round=number,
            requests=2,
            profiled_s=0.11,
            plain_s=0.1,
            stacks={stack: time_s * (1 + number / 100) for stack, time_s in stacks[name].items()},
        )
        for name in stacks
        for number in range(5)
    ]
    return guide_record(profiles=tuple(profiles))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(rendered(report_of(profiled()), RENDERERS["html"]), encoding="utf-8")
    return path


@pytest.fixture(params=[360, 1600])
def opened(request: pytest.FixtureRequest, browser: Browser, report: Path) -> Generator[Opened]:
    page = browser.new_page(viewport={"width": request.param, "height": 900})
    opened = Opened(page, [], [])
    page.on("request", lambda asked: opened.requests.append(asked.url))
    page.on("console", lambda message: opened.complaints.append(message.text))
    page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    page.goto(report.as_uri())
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    page.wait_for_selector("[data-flame] svg")
    yield opened
    page.close()


def test_nothing_is_loaded_and_nothing_fails(opened: Opened) -> None:
    assert len(opened.requests) == 1
    assert opened.complaints == []
    assert opened.page.locator("img").count() == 0


def test_the_page_is_no_wider_than_the_window(opened: Opened) -> None:
    assert opened.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_the_figures_are_those_of_the_record(opened: Opened) -> None:
    run = profiled()
    verdict, summary = judge(run), summarise(run)
    assert opened.page.locator("#verdict h2").inner_text().endswith(verdict.outcome.value)
    assert opened.page.locator(".budgets tbody tr").count() == len(verdict.budgets)
    opened.page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    shown = opened.page.locator("#measured").inner_text()
    for operation in summary.operations:
        assert duration(operation.p50.value_s) in shown
        assert duration(operation.p95.value_s) in shown


def test_the_charts_of_the_system_tell_the_figures_of_the_record(opened: Opened) -> None:
    variants = {each.name: each for each in profiled().variants}
    charts = opened.page.locator("#system figure")
    assert charts.locator("figcaption").all_inner_texts() == ["naive", "batched"]
    for chart in charts.all():
        variant = variants[chart.locator("figcaption").inner_text()]
        sources = Counter(sample.embedding for sample in variant.samples if sample.embedding)
        (levels,) = [phase.levels for phase in variant.phases if phase.levels is not None]
        told = chart.locator("svg").get_attribute("aria-label") or ""
        assert f"{sources['cache']} cache, 0 coalesced, {sources['ollama']} provider" in told
        assert f"background queue: at most {max(levels.values['background_queued']):.0f}." in told
        assert chart.get_by_text("background queue").count() == 1


def test_the_law_of_a_budget_stands_in_the_chart_of_statements(opened: Opened) -> None:
    (naive,) = (each for each in profiled().variants if each.name == "naive")
    counts = [each.statements for each in naive.samples if each.operation == "query" and each.statements]
    told = opened.page.locator("#statements svg[aria-label*='number of results']").get_attribute("aria-label") or ""
    assert f"naive {min(counts)} to {max(counts)} for n from 18 to 20" in told
    assert "naive: <= 2 + 2 * n + n * (n - 1) / 2 + 3 * promotions" in told


def test_a_frame_opens_and_escape_goes_back(opened: Opened) -> None:
    graph = opened.page.locator("#graph-query")
    frames = graph.locator("g.frame path")
    whole = frames.count()
    frames.filter(has=opened.page.locator("xpath=self::*[@aria-label='per_pair.py:record']")).first.click(force=True)
    opened.page.wait_for_function(
        "count => document.querySelectorAll('#graph-query g.frame path').length < count", arg=whole
    )
    opened.page.keyboard.press("Escape")
    opened.page.wait_for_function(
        "count => document.querySelectorAll('#graph-query g.frame path').length === count", arg=whole
    )


def test_a_click_tells_both_numbers_inside_the_window(opened: Opened) -> None:
    frames = opened.page.locator("#graph-query g.frame path")
    frames.filter(has=opened.page.locator("xpath=self::*[@aria-label='per_pair.py:record']")).first.click(force=True)
    told = opened.page.locator("#vg-tooltip-element.visible")
    assert re.findall(r"[\d.]+ ms", told.inner_text())[:2] == ["204.00 ms", "0.00 ms"]
    box, window = told.bounding_box(), opened.page.viewport_size
    assert box is not None
    assert window is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= window["width"]


def test_a_search_colours_what_it_finds(opened: Opened) -> None:
    found = "#graph-query g.frame path[fill='#f2c037']"
    assert opened.page.locator(found).count() == 0
    opened.page.locator("#graph-query input").fill("per_pair")
    opened.page.wait_for_selector(found, state="attached")
    assert opened.page.locator(found).count() == 1


def test_the_page_tells_its_result_without_scripts(browser: Browser, report: Path) -> None:
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(report.as_uri())
    assert judge(profiled()).sentence in page.locator("#verdict").inner_text()
    page.locator("summary", has_text="Where the time goes").click()
    assert "per_pair.py:record" in page.locator("#flames table").inner_text()


REFERENCE = Path(__file__).parents[5] / "reports" / "reference"
LONG_INDEX = "idx_memories_embedding_of_the_active_tier_by_structural_weight"

SCHEMES: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")


def costly() -> RunRecord:
    """A failed run with a statement whose index has a long name."""
    plan = StatementProfile(
        statement="query.search",
        variant="batched",
        indexes=(LONG_INDEX,),
        planning_ms=0.2,
        execution_ms=12.0,
        rows=20,
        blocks_hit=100,
        blocks_read=0,
        wal_bytes=0,
    )
    run = profiled()
    scenario = {**run.scenario, "budgets": ["query.p95 <= 1ms", "add.statements <= 100"]}
    return run.model_copy(update={"statement_profiles": (plan,), "scenario": scenario})


@pytest.fixture(scope="module")
def failed_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("failed") / "report.html"
    path.write_text(rendered(report_of(costly()), RENDERERS["html"]), encoding="utf-8")
    return path


@pytest.fixture(scope="module", params=[(width, scheme) for width in (400, 1000, 1600) for scheme in SCHEMES], ids=str)
def page(request: pytest.FixtureRequest, browser: Browser, failed_report: Path) -> Generator[Page]:
    width, scheme = request.param
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(failed_report.as_uri())
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    yield page
    page.close()


def test_the_first_figures_of_a_table_need_no_scrolling(page: Page) -> None:
    seen = page.evaluate(
        """() => [...document.querySelectorAll(".scroll")].filter(each => each.querySelector("td.number")).map(each => {
          const edge = each.getBoundingClientRect().right;
          return each.querySelector("td.number").getBoundingClientRect().right <= edge;
        })"""
    )
    assert seen
    assert all(seen)


def test_words_of_a_row_do_not_lie_on_each_other(page: Page) -> None:
    overlapping = page.evaluate(
        """() => [...document.querySelectorAll("tbody tr")].filter(row => {
          const boxes = [...row.children].map(each => each.getBoundingClientRect()).filter(each => each.width);
          return boxes.some((one, at) => boxes.slice(at + 1).some(other =>
            one.left < other.right - 1 && other.left < one.right - 1 &&
            one.top < other.bottom - 1 && other.top < one.bottom - 1));
        }).length"""
    )
    assert overlapping == 0


def test_the_name_of_an_index_is_whole(page: Page) -> None:
    lines = page.evaluate(
        """name => {
          const code = [...document.querySelectorAll("td code")].find(each => each.textContent === name);
          const cell = code.closest("td").getBoundingClientRect(), box = code.getBoundingClientRect();
          return [code.getClientRects().length, box.right <= cell.right + 1];
        }""",
        LONG_INDEX,
    )
    assert lines == [1, True]


def test_a_table_that_scrolls_has_a_shadow_that_moves_with_its_window(page: Page) -> None:
    attachments = page.locator(".scroll").first.evaluate("each => getComputedStyle(each).backgroundAttachment")
    assert attachments.split(", ")[:4] == ["local", "local", "scroll", "scroll"]


def test_the_card_names_what_failed(page: Page) -> None:
    card = page.locator("#verdict").inner_text()
    assert "query.p95 <= 1ms" in card
    assert "add.statements" not in card


@pytest.fixture
def folded(browser: Browser, failed_report: Path) -> Generator[Page]:
    page = browser.new_page(viewport={"width": 1000, "height": 1000})
    page.goto(failed_report.as_uri())
    yield page
    page.close()


def opened_folds(page: Page) -> list[str]:
    return [str(each.get_attribute("id")) for each in page.locator("details[open] > .inside").all()]


def test_all_but_the_essence_is_folded_and_fits_two_screens(folded: Page) -> None:
    assert folded.locator("details[open]").count() == 0
    assert folded.locator("details").count() > 10
    assert folded.evaluate("document.documentElement.scrollHeight") < 2 * 1000
    visible = [each.get_attribute("id") for each in folded.locator("section[id]").all() if each.is_visible()]
    assert visible == ["verdict", "changes", "budgets"]


def test_a_search_opens_the_fold_that_holds_what_it_finds(browser: Browser, failed_report: Path) -> None:
    """An address that names a text looks for it as a search within the page does."""
    page = browser.new_page()
    page.goto(f"{failed_report.as_uri()}#:~:text=No%20outlier%20is%20removed")
    page.wait_for_selector("details[open] > #reading")
    assert opened_folds(page) == ["reading"]
    page.close()


def test_a_link_opens_the_fold_that_it_leads_to(folded: Page) -> None:
    folded.locator("#verdict a").first.click()
    folded.wait_for_selector("details[open]")
    assert opened_folds(folded) == ["flames"]


def test_folds_are_reached_and_opened_by_the_keyboard(folded: Page) -> None:
    folded.locator(".fold > summary").first.focus()
    folded.keyboard.press("Enter")
    assert opened_folds(folded) == ["references"]


def test_a_print_has_the_essence_and_what_is_open(folded: Page) -> None:
    assert pages_printed(folded) == 1
    folded.locator("summary", has_text="How to read it").click()
    folded.emulate_media(media="print")
    assert folded.locator("#reading").is_visible()
    assert not folded.locator("summary", has_text="All figures").is_visible()


def pages_printed(page: Page) -> int:
    return len(re.findall(rb"/Type\s*/Page\b", page.pdf(prefer_css_page_size=True)))


def test_the_reference_run_fits_two_screens_and_two_pages(browser: Browser) -> None:
    page = browser.new_page(viewport={"width": 1000, "height": 1000})
    page.goto((REFERENCE / "report.html").as_uri())
    assert page.evaluate("document.documentElement.scrollHeight") < 2.2 * 1000
    assert pages_printed(page) <= 2
    page.set_viewport_size({"width": 400, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    page.close()


CONTRAST = """() => {
  const shade = text => {
    const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map(part => part / 255)
      .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = each => {
    for (let at = each; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!/, 0\\)$/.test(colour)) return colour;
    }
  };
  return [...document.querySelectorAll("h1, h2, h3, p, li, th, td, a, b, code, summary, .chip, .gist")]
    .filter(each => each.checkVisibility() && each.innerText.trim())
    .map(each => {
      const [one, other] = [shade(getComputedStyle(each).color), shade(ground(each))].sort((a, b) => b - a);
      return [(one + 0.05) / (other + 0.05), each.className + " " + each.innerText.slice(0, 30)];
    }).filter(([ratio]) => ratio < 4.5);
}"""


def test_text_can_be_told_from_its_ground(page: Page) -> None:
    """Tells by the contrast that WCAG 2 asks of text, level AA."""
    assert page.evaluate(CONTRAST) == []
