"""The history as pictures: one figure per operation, a panel per metric, a line per variant, change points marked.

Variants differ in colour and in marker; the colours are Petroff's, which the colour-blind can tell apart
(arXiv 2107.02270).
"""

# The keyword arguments of matplotlib's methods have no types.
# pyright: reportUnknownMemberType=false

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from matplotlib.typing import ColorType

from harness.commands.history.trends import ChangePoint, Series
from harness.errors import UsageError
from harness.quantities import share

MARKERS: Final = "osD^vP*X<>"
FAR_APART: Final = 10
"""Times the lowest value: from there on a linear axis would press the lowest flat."""
PANELS: Final = {
    "p50_s": "p50 latency (ms)",
    "p95_s": "p95 latency (ms)",
    "mean_s": "mean latency (ms)",
    "statements": "statements per request",
    "errors": "failed requests",
}
"""Metrics in the order of their panels, with what the axis says."""

_STYLE: Final[dict[Any, Any]] = {
    "svg.hashsalt": "harness",
    "text.parse_math": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "date.converter": "concise",
    "font.size": 9,
}


def plot(every: Sequence[Series], place: Path, form: str) -> tuple[Path, ...]:
    """Writes a figure for each operation into a directory, or the only one to a file; returns the files.

    Raises `UsageError` where no metric has a panel.
    """
    shown = [series for series in every if series.metric in PANELS]
    if not shown:
        raise UsageError(f"There is nothing to draw: the panels are {', '.join(PANELS)}.")
    with mpl.rc_context(_STYLE):
        return tuple(
            _write([series for series in shown if series.operation == operation], operation, place, form)
            for operation in dict.fromkeys(series.operation for series in shown)
        )


def _write(every: Sequence[Series], operation: str, place: Path, form: str) -> Path:
    metrics = [metric for metric in PANELS if any(series.metric == metric for series in every)]
    variants = list(dict.fromkeys(series.variant for series in every))
    figure = Figure(figsize=(9, 0.9 + 1.9 * len(metrics)), layout="constrained")
    panels = figure.subplots(len(metrics), 1, sharex=True, squeeze=False)[:, 0]
    for metric, axes in zip(metrics, panels, strict=True):
        _panel(axes, metric, [series for series in every if series.metric == metric], variants)
    panels[-1].set_xlabel("start of the run (UTC)")
    scenario = every[0].entries[-1].scenario
    figure.suptitle(f"{scenario}: {operation}")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    name = f"{scenario}-{re.sub(r'[^a-z0-9]+', '-', operation.lower()).strip('-')}.{form}"
    path = place / name if place.is_dir() else place
    figure.savefig(path, dpi=150, metadata={"Date": None} if form == "svg" else None)
    return path


def _panel(axes: Axes, metric: str, every: Sequence[Series], variants: Sequence[str]) -> None:
    colours = mpl.color_sequences["petroff10"]
    drawn: list[float] = []
    for series in every:
        place = variants.index(series.variant)
        colour = colours[place % len(colours)]
        marker = MARKERS[place % len(MARKERS)]
        times: list[Any] = [entry.started_at for entry in series.entries]
        heights = [value * 1000 if series.is_time else value for value in series.values]
        axes.plot(times, heights, color=colour, marker=marker, markersize=4, linewidth=1.2, label=series.variant)
        drawn += heights
        for change in series.change_points():
            _mark(axes, times[change.index], heights[change.index], change, colour)
    axes.set_ylabel(PANELS[metric])
    if not metric.endswith("_s"):
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    _scale(axes, drawn)


def _scale(axes: Axes, heights: Sequence[float]) -> None:
    """From 0 where that leaves something to see; logarithmic where variants are far apart."""
    low, high = min(heights), max(heights)
    if low > 0 and high / low > FAR_APART:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter("{x:g}")
    else:
        axes.set_ylim(0, high * 1.15 or 1)


def _mark(axes: Axes, time: Any, height: float, change: ChangePoint, colour: ColorType) -> None:  # noqa: ANN401 -- a date
    axes.axvline(time, color=colour, linewidth=0.9, linestyle=(0, (4, 2)))
    text = "from 0" if change.ratio is None else f"{'+' if change.ratio > 0 else ''}{share(change.ratio)}"
    axes.annotate(text, (time, height), xytext=(4, 6), textcoords="offset points", color=colour, fontsize=8)
