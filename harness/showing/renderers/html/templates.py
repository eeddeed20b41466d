"""The page's templates and its style sheet."""

from functools import cache
from importlib import resources
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

PACKAGE: Final = "harness.showing.renderers.html"


@cache
def templates() -> Environment:
    return Environment(
        loader=PackageLoader(PACKAGE, ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


@cache
def style() -> Markup:
    return Markup(resources.files(PACKAGE).joinpath("page.css").read_text("utf-8"))  # noqa: S704 -- our own file.
