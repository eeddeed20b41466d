"""A chart in its place on the page."""

from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True, slots=True)
class Figure:
    """`key` tells it from the others of the page."""

    key: str
    title: str
    svg: Markup


def safe(svg: str) -> Markup:
    """Charts are written by an XML serializer, which has escaped every text in them."""
    return Markup(svg)  # noqa: S704 -- as the docstring says.
