"""How a judged run is shown: the format's name, and its renderer; that for the terminal writes to a file here."""

from typing import Final

from harness.comparison import Comparison, judged
from harness.record import RunRecord
from harness.renderers.comment import CommentRenderer
from harness.renderers.github import GithubRenderer
from harness.renderers.html import HtmlRenderer
from harness.renderers.json import JsonRenderer
from harness.renderers.junit import JunitRenderer
from harness.renderers.markdown import MarkdownRenderer
from harness.renderers.protocol import Renderer
from harness.renderers.terminal import UNLIMITED, TerminalRenderer
from harness.summary import summarise

RENDERERS: Final[dict[str, Renderer]] = {
    "terminal": TerminalRenderer(UNLIMITED, colour=False, everything=True),
    "markdown": MarkdownRenderer(),
    "html": HtmlRenderer(),
    "json": JsonRenderer(),
    "junit": JunitRenderer(),
    "github": GithubRenderer(),
    "comment": CommentRenderer(),
}


def rendered(record: RunRecord, renderer: Renderer) -> str:
    """As what it is: a comparison, or a run that is judged by its budgets."""
    found = judged(record)
    if isinstance(found, Comparison):
        return renderer.render_comparison(found, (record,))
    return renderer.render(record, summarise(record), found)
