"""The report's charts as files to paste: the same drawings, in the colours of the light page, on white."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from harness.showing.report import AnyReport, Report

if TYPE_CHECKING:
    from harness.showing.renderers.html.inline_svg import Figure

SCALE: Final = 3.0
TITLE_PX: Final = 22
FONT: Final = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"


@dataclass(frozen=True, slots=True)
class Pictures:
    form: Literal["svg", "png"]

    def write(self, report: AnyReport, directory: Path) -> Sequence[Path]:
        from harness.showing.renderers.html.figures import all_figures  # noqa: PLC0415 -- drawing takes long to import.

        judged = report if isinstance(report, Report) else Report.of(report.record)
        return [self._write(figure, directory) for figure in all_figures(judged)]

    def _write(self, figure: "Figure", directory: Path) -> Path:
        import vl_convert  # noqa: PLC0415 -- as above

        path = directory / f"{slug(figure.key)}.{self.form}"
        drawing = standalone(figure)
        path.write_bytes(vl_convert.svg_to_png(drawing, scale=SCALE) if self.form == "png" else drawing.encode())
        return path


def standalone(figure: "Figure") -> str:
    """A drawing that needs no page around it: its own title, size, colours, font and ground."""
    colours = light_colours()
    drawing = re.sub(r"var\((--[\w-]+)\)", lambda found: colours[found[1]], str(figure.svg))
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawing)
    assert box is not None, "every drawing states its size"
    width, height = float(box[1]), float(box[2])
    placed = drawing.replace("<svg ", f'<svg y="{TITLE_PX}" width="{width:g}" height="{height:g}" ', 1)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" font-family="{FONT}" '
        f'width="{width:g}" height="{height + TITLE_PX:g}">'
        f'<rect width="100%" height="100%" fill="#ffffff"/>'
        f'<text x="8" y="15" font-size="12" font-weight="600" fill="{colours["--ink"]}">{escape(figure.title)}</text>'
        f"{placed}</svg>"
    )


def light_colours() -> dict[str, str]:
    """The style sheet's variables, with those that are stated by others resolved."""
    from harness.showing.renderers.html.templates import style  # noqa: PLC0415 -- an extra

    light = str(style()).partition("@media")[0]
    stated = dict(re.findall(r"(--[\w-]+):\s*([^;]+);", light))
    return {name: re.sub(r"var\((--[\w-]+)\)", lambda found: stated[found[1]], value) for name, value in stated.items()}


def slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
