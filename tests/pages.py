"""The page of the guide's run, which takes seconds to draw, drawn once for all tests that only read it."""

from functools import cache

from harness.showing.renderers import RENDERERS
from harness.showing.report import Report
from tests.records import guide_record


@cache
def guide_page() -> str:
    return RENDERERS["html"].render(Report.of(guide_record()))
