"""The sections of a report: listed once, in one order, and shown by whoever renders."""

import re
from collections.abc import Generator
from typing import get_args

import pytest

from harness.showing import sections
from harness.showing.renderers import RENDERERS
from harness.showing.renderers.html.figures import FIGURES, all_figures
from harness.showing.report import Report
from harness.showing.sections import ALL, ENTRIES, Audience, ListedSection, tables_of
from harness.showing.tables import Cell, Column, Table
from tests.records import guide_record

NEW = ListedSection(
    "weather",
    "The weather",
    "What the weather was",
    lambda _report, _audience: [Table("Weather by day", (Column("Day"),), ((Cell("sunny"),),))],
    sentence=lambda _: "It was looked at twice.",
)


EMPTY = ListedSection("fog", "The fog", "The fog", lambda _report, _audience: [None])


@pytest.fixture(scope="module")
def page() -> Generator[str]:
    """With both, drawn once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sections, "ENTRIES", (*ENTRIES, NEW, EMPTY))
        yield RENDERERS["html"].render(Report.of(guide_record()))


@pytest.mark.parametrize("form", ["terminal", "markdown", "comment"])
def test_a_section_that_is_listed_is_in_every_report(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sections, "ENTRIES", (*ENTRIES, NEW))
    text = RENDERERS[form].render(Report.of(guide_record()))
    assert "Weather by day" in text
    assert "sunny" in text


def test_the_page_lists_it_too(page: str) -> None:
    assert "Weather by day" in page
    assert "sunny" in page
    assert re.search(r'<summary><h3>What the weather was</h3>.*?</summary>\n<div class="inside" id="weather">', page)
    assert "It was looked at twice." in page


def test_a_section_without_anything_to_show_is_left_out(page: str) -> None:
    assert "fog" not in page.lower()


def test_addresses_are_told_apart_and_every_group_of_figures_is_drawn() -> None:
    assert len({entry.id for entry in ENTRIES}) == len(ENTRIES)
    assert {group for entry in ENTRIES for group in entry.figures} == set(FIGURES)
    assert len({figure.key for figure in all_figures(Report.of(guide_record()))}) > len(FIGURES) / 2


def test_who_waits_is_shown_no_table_that_who_asks_is_not() -> None:
    report = Report.of(guide_record())
    titles = {audience: [table.title for table in tables_of(report, audience)] for audience in get_args(Audience)}
    assert set(titles) == ALL
    assert set(titles["waiting"]) < set(titles["asking"])
    assert titles["asking"] == [title for title in titles["reading"] if title in titles["asking"]]
