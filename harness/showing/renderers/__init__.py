"""Says how a judged run is shown: the format's name, and its renderer; that for the terminal writes to a file here."""

from collections.abc import Sequence
from typing import Final, assert_never

from harness.judging.comparison import Comparison
from harness.record import RunRecord
from harness.showing.renderers.comment import CommentRenderer
from harness.showing.renderers.github import GithubRenderer
from harness.showing.renderers.json import JsonRenderer
from harness.showing.renderers.junit import JunitRenderer
from harness.showing.renderers.markdown import MarkdownRenderer
from harness.showing.renderers.protocol import Renderer
from harness.showing.renderers.terminal import UNLIMITED, TerminalRenderer
from harness.showing.report import AnyReport, CapacityReport, ComparisonReport, Report


class Page:
    """The HTML page, imported when one is rendered: what it needs is an extra, and slow to import."""

    suffix = ".html"

    def render(self, report: Report) -> str:
        from harness.showing.renderers.html import HtmlRenderer  # noqa: PLC0415 -- see above

        return HtmlRenderer().render(report)

    def render_comparison(self, comparison: Comparison, records: Sequence[RunRecord]) -> str:
        from harness.showing.renderers.html import HtmlRenderer  # noqa: PLC0415 -- see above

        return HtmlRenderer().render_comparison(comparison, records)

    def render_capacity(self, report: CapacityReport) -> str:
        from harness.showing.renderers.html import HtmlRenderer  # noqa: PLC0415 -- see above

        return HtmlRenderer().render_capacity(report)


RENDERERS: Final[dict[str, Renderer]] = {
    "terminal": TerminalRenderer(UNLIMITED, colour=False, everything=True),
    "markdown": MarkdownRenderer(),
    "html": Page(),
    "json": JsonRenderer(),
    "junit": JunitRenderer(),
    "github": GithubRenderer(),
    "comment": CommentRenderer(),
}


def rendered(report: AnyReport, renderer: Renderer) -> str:
    """As what it is: a comparison, a search, or a run that is judged by its budgets."""
    match report:
        case Report():
            return renderer.render(report)
        case ComparisonReport(comparison, records):
            return renderer.render_comparison(comparison, records)
        case CapacityReport():
            return renderer.render_capacity(report)
        case _:
            assert_never(report)
