"""How a judged run is shown: the format's name, and its renderer; that for the terminal writes to a file here."""

from typing import Final

from harness.renderers.comment import CommentRenderer
from harness.renderers.github import GithubRenderer
from harness.renderers.html import HtmlRenderer
from harness.renderers.json import JsonRenderer
from harness.renderers.junit import JunitRenderer
from harness.renderers.markdown import MarkdownRenderer
from harness.renderers.protocol import ComparisonRenderer, Renderer
from harness.renderers.terminal import UNLIMITED, TerminalRenderer

RENDERERS: Final[dict[str, Renderer]] = {
    "terminal": TerminalRenderer(UNLIMITED, colour=False, everything=True),
    "markdown": MarkdownRenderer(),
    "html": HtmlRenderer(),
    "json": JsonRenderer(),
    "junit": JunitRenderer(),
    "github": GithubRenderer(),
    "comment": CommentRenderer(),
}

COMPARISON_RENDERERS: Final[dict[str, ComparisonRenderer]] = {
    "terminal": TerminalRenderer(UNLIMITED, colour=False, everything=True),
    "markdown": MarkdownRenderer(),
    "json": JsonRenderer(),
    "junit": JunitRenderer(),
    "github": GithubRenderer(),
    "comment": CommentRenderer(),
}
