"""The page's charts, as inline SVG: matplotlib draws, the page's style sheet colours.

Each colour is a placeholder that becomes a CSS variable, so one drawing serves light and dark. Text stays text: it can
be selected, searched and read aloud, and takes the page's font.
"""

# The keyword arguments of matplotlib's methods have no types.
# pyright: reportUnknownMemberType=false

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final, Literal
from xml.etree import ElementTree as ET

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from numpy.typing import NDArray

from harness.quantities import count, duration
from harness.showing.summary import Quantile, Spread, Step

# Any colours that matplotlib leaves as they are; they never reach the page.
INK, MUTED, GRID, TYPICAL, TAIL, FIRST, BUDGET, BASE = (f"#0000{number:02x}" for number in range(1, 9))
_VARIABLES: Final[Mapping[str, str]] = {
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    TYPICAL: "typical",
    TAIL: "tail",
    FIRST: "first",
    BUDGET: "budget",
    BASE: "base",
}
STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "harness",
    "text.parse_math": False,
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "xtick.color": MUTED,
    "ytick.color": INK,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}
_SVG: Final = "{http://www.w3.org/2000/svg}"
_HREF: Final = "{http://www.w3.org/1999/xlink}href"
ET.register_namespace("", "http://www.w3.org/2000/svg")

_TICK_FACTORS: Final = ((10, (1, 2, 5)), (100, (1, 3)), (math.inf, (1,)))
WIDTH_IN: Final = 4.4
_POINTS_MAX: Final = 600
_NAME_MAX: Final = 16
_LAW_MAX: Final = 72

LINEAR_TO: Final = 10
CHANGING_SCALE: Final = f"scale: linear to {LINEAR_TO}, then logarithmic"
LOGARITHMIC: Final = "scale: logarithmic"


@dataclass(frozen=True, slots=True)
class Rung:
    """One line of a ladder chart: known texts, or all requests where texts do not matter; first-time texts apart."""

    name: str
    typical: Step
    first: Step | None
    reference_s: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Curve:
    """One distribution. `ordered_s` ascends; infinite latencies are requests that failed."""

    ordered_s: Sequence[float] | NDArray[np.float64]
    colour: str


@dataclass(frozen=True, slots=True)
class Timeframe:
    """Part of a pass, in seconds from its start: where phases and stages began, and what was done to the database."""

    start_s: float
    end_s: float
    boundaries_s: Sequence[float]
    disruptions_s: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class ChartSeries:
    """One operation over time: latencies by colour, and when requests failed."""

    time: Timeframe
    points: Sequence[tuple[str, Sequence[tuple[float, float]]]]
    errors_s: Sequence[float]


@dataclass(frozen=True, slots=True)
class Judged:
    """A latency budget on a chart of distributions: the limit, and the bounds of what was held to it."""

    limit_s: float
    probability: float
    bounds: Quantile


@dataclass(frozen=True, slots=True)
class Cloud:
    """Says what one variant sent: pairs of n and statements, ascending."""

    name: str
    colour: str
    points: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Law:
    """A limit that follows from n: the least and the most that it allowed for each, since other figures count too."""

    text: str
    bounds: Sequence[tuple[int, float, float]]


def ladder_chart(rungs: Sequence[Rung], limit_s: float | None, key: str, description: str) -> str:
    """p50 (dot) to p95 (end of the line) of each rung, on a logarithmic axis, first-time texts beside."""
    with mpl.rc_context(STYLE):
        figure, axes = _rows([rung.name for rung in rungs])
        for y, rung in enumerate(rungs):
            _draw_rung(axes, y, rung)
        typical = [(rung.typical.p50.value_s, y) for y, rung in enumerate(rungs)]
        axes.plot(*zip(*typical, strict=True), color=BASE, linewidth=0.8, zorder=2)
        if limit_s is not None:
            axes.axvline(limit_s, color=BUDGET, linewidth=1.2, linestyle=(0, (4, 2)), zorder=1)
        steps = [step for rung in rungs for step in (rung.typical, rung.first) if step is not None]
        references_s = [end_s for rung in rungs if rung.reference_s for end_s in rung.reference_s]
        measured_s = [quantile.value_s for step in steps for quantile in (step.p50, step.p95)]
        log_seconds(axes, [*measured_s, *references_s, *([limit_s] if limit_s else [])])
        return svg(figure, key, description)


def _draw_rung(axes: Axes, y: int, rung: Rung) -> None:
    p50_s, p95_s = rung.typical.p50.value_s, rung.typical.p95.value_s
    if rung.reference_s is not None:
        axes.plot(rung.reference_s, [y, y], "|-", color=BASE, linewidth=9, alpha=0.3, markersize=9, zorder=1)
    if math.isfinite(p50_s):
        axes.hlines(y, p50_s, p95_s if math.isfinite(p95_s) else p50_s, color=TAIL, linewidth=5, zorder=3)
        axes.plot(p50_s, y, "o", color=TYPICAL, markersize=6, zorder=4)
    if rung.first is not None and math.isfinite(rung.first.p50.value_s):
        axes.plot(rung.first.p50.value_s, y, "D", markerfacecolor="none", color=FIRST, markersize=5, zorder=3)
    _beside(axes, y, duration(p50_s))


def distribution_chart(curves: Sequence[Curve], judged: Sequence[Judged], key: str, description: str) -> str:
    """The share of requests that were answered within a time: empirical distributions on a logarithmic axis."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, 2.8))
        axes = figure.add_axes((0.11, 0.18, 0.85, 0.77))
        drawn_s = [each.limit_s for each in judged]
        for curve in curves:
            times_s, shares = _steps(curve.ordered_s)
            drawn_s += times_s
            axes.plot(times_s, shares, color=curve.colour, linewidth=1.8, drawstyle="steps-post")
        for budget in judged:
            _draw_judged(axes, budget)
        log_seconds(axes, drawn_s)
        axes.set_ylim(0, 1.03)
        axes.yaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 0.95]))
        axes.yaxis.set_major_formatter(FuncFormatter(_percent))
        axes.tick_params(axis="y", labelcolor=MUTED)
        axes.grid(axis="y")
        return svg(figure, key, description)


def _draw_judged(axes: Axes, judged: Judged) -> None:
    axes.axvline(judged.limit_s, color=BUDGET, linewidth=1.2, linestyle=(0, (4, 2)))
    ends_s = [end_s for end_s in (judged.bounds.lower_s, judged.bounds.upper_s) if end_s and math.isfinite(end_s)]
    axes.plot(ends_s, [judged.probability] * len(ends_s), "|-", color=INK, linewidth=1.5, markersize=8)


def _steps(ordered_s: Sequence[float] | NDArray[np.float64]) -> tuple[list[float], list[float]]:
    """The distribution's steps; of very many requests some hundreds evenly by rank, the extremes included."""
    n = len(ordered_s)
    ranks = sorted({round(1 + index * (n - 1) / (_POINTS_MAX - 1)) for index in range(_POINTS_MAX)}) if n > 1 else [1]
    finite = [rank for rank in ranks if math.isfinite(ordered_s[rank - 1])]
    if not finite:
        return [], []
    times_s = [float(ordered_s[rank - 1]) for rank in finite]
    return [times_s[0], *times_s], [0.0, *(rank / n for rank in finite)]


def statements_chart(counts: Sequence[tuple[str, Spread]], key: str, description: str) -> str:
    """Statements per request of each variant: the median, and a line from the fewest to the most."""
    with mpl.rc_context(STYLE):
        figure, axes = _rows([name for name, _ in counts])
        for y, (_, spread) in enumerate(counts):
            axes.hlines(y, 0, spread.median, color=TAIL, linewidth=5, zorder=2)
            axes.hlines(y, spread.minimum, spread.maximum, color=TYPICAL, linewidth=1.5, zorder=3)
            axes.plot(spread.median, y, "o", color=TYPICAL, markersize=6, zorder=4)
            _beside(axes, y, count(spread.median))
        _count_axis(axes, max((spread.maximum for _, spread in counts), default=1))
        return svg(figure, key, description)


def law_chart(clouds: Sequence[Cloud], laws: Sequence[Law], key: str, description: str) -> str:
    """Statements of requests by their number of results, and what budgets allow for it."""
    with mpl.rc_context(STYLE):
        height_in = 2.65 + 0.17 * len(laws)
        figure = Figure(figsize=(WIDTH_IN, height_in))
        axes = figure.add_axes((0.11, (0.55 + 0.17 * len(laws)) / height_in, 0.85, 2.0 / height_in))
        for law in laws:
            n, least, most = zip(*law.bounds, strict=True)
            axes.fill_between(n, least, most, color=BUDGET, alpha=0.15, linewidth=0)
            axes.plot(n, most, color=BUDGET, linewidth=1.2, linestyle=(0, (4, 2)))
        for cloud in clouds:
            n, statements = zip(*cloud.points, strict=True)
            # The pair lies on top, where variants send as many.
            axes.plot(n, statements, ".", color=cloud.colour, markersize=6, zorder=3 if cloud.colour == TAIL else 4)
        allowed = [most for law in laws for _, _, most in law.bounds]
        _count_axis(axes, max(*allowed, *(most for cloud in clouds for _, most in cloud.points), 0), "y")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        axes.xaxis.set_major_formatter(FuncFormatter(_count_tick))
        axes.set_xlabel("n, results of a request", loc="right", labelpad=1)
        axes.tick_params(axis="y", labelcolor=MUTED)
        axes.grid(axis="y")
        for number, law in enumerate(laws):
            figure.text(
                0.02, (0.2 + 0.17 * number) / height_in, _shortened(law.text, _LAW_MAX), color=BUDGET, fontsize=8
            )
        return svg(figure, key, description)


def series_chart(series: ChartSeries, key: str, description: str) -> str:
    """Latency over the time of the pass: a dot per answer, a cross per error, stages and disruptions marked."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, 2.3))
        axes = figure.add_axes((0.13, 0.17, 0.84, 0.78))
        time_axis(axes, series.time)
        for colour, points in series.points:
            times_s, latencies_s = zip(*points, strict=True)
            axes.plot(times_s, latencies_s, ".", color=colour, markersize=3.5, alpha=0.7, zorder=3)
        if series.errors_s:
            axes.plot(
                series.errors_s, [1.0] * len(series.errors_s), "x", color=BUDGET, transform=axes.get_xaxis_transform()
            )
        log_seconds(axes, [latency_s for _, points in series.points for _, latency_s in points], "y")
        axes.set_xlabel("seconds", loc="right", labelpad=0)
        axes.tick_params(axis="y", labelcolor=MUTED)
        axes.grid(axis="y")
        return svg(figure, key, description)


def time_axis(axes: Axes, time: Timeframe) -> None:
    """The width of a pass, with what happened in it behind everything else."""
    for start_s, end_s in time.disruptions_s:
        axes.axvspan(start_s, end_s, color=BUDGET, alpha=0.25, linewidth=0)
    for start_s in time.boundaries_s:
        axes.axvline(start_s, color=BASE, linewidth=1)
    # A pass of one moment has no width of its own.
    axes.set_xlim(time.start_s, max(time.end_s, time.start_s + 0.001))


def _rows(names: Sequence[str]) -> tuple[Figure, Axes]:
    """Axes with one named row per entry, the first on top."""
    height_in = 0.6 + 0.26 * len(names)
    left = min(max((len(name) for name in names), default=1), _NAME_MAX) * 0.021 + 0.02
    figure = Figure(figsize=(WIDTH_IN, height_in))
    axes = figure.add_axes((left, 0.48 / height_in, 0.83 - left, 1 - 0.51 / height_in))
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_yticks(range(len(names)), [_shortened(name) for name in names])
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    return figure, axes


def _shortened(name: str, length_max: int = _NAME_MAX) -> str:
    return name if len(name) <= length_max else f"{name[: length_max - 1]}…"


def _beside(axes: Axes, y: int, text: str) -> None:
    axes.text(
        1.0 + 0.17 / (0.83 - axes.get_position().x0),
        y,
        text,
        transform=axes.get_yaxis_transform(),
        ha="right",
        va="center",
        color=INK,
    )


def _count_axis(axes: Axes, largest: float, along: Literal["x", "y"] = "x") -> None:
    """Linear up to 10, where each statement tells; logarithmic beyond, where hundreds would hide it, and says so."""
    end = max(largest * 1.3, LINEAR_TO)
    if along == "x":
        axes.set_xscale("symlog", linthresh=LINEAR_TO)
        axes.set_xlim(0, end)
    else:
        axes.set_yscale("symlog", linthresh=LINEAR_TO)
        axes.set_ylim(0, end)
    axis = axes.xaxis if along == "x" else axes.yaxis
    if end > LINEAR_TO:
        _say_scale(axes, CHANGING_SCALE)
    axis.set_major_locator(FixedLocator([tick for tick in (0, 5, 10, 50, 100, 500, 1000, 5000) if tick <= end]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(_count_tick))


def log_seconds(axes: Axes, values_s: Sequence[float], along: Literal["x", "y"] = "x") -> None:
    """A logarithmic axis over these times, with ticks at 1, 10, 100 … and between them where the range is short."""
    finite = [value for value in values_s if 0 < value < math.inf] or [0.1, 1.0]
    low_s, high_s = min(finite) / 1.3, max(finite) * 1.3
    factors = next(factors for span, factors in _TICK_FACTORS if high_s / low_s < span)
    ticks = [factor * 10.0**power for power in range(-6, 5) for factor in factors]
    _say_scale(axes, LOGARITHMIC)
    # Limits first: a logarithmic axis refuses to find its own where a time is 0.
    if along == "x":
        axes.set_xlim(low_s, high_s)
        axes.set_xscale("log")
    else:
        axes.set_ylim(low_s, high_s)
        axes.set_yscale("log")
    axis = axes.xaxis if along == "x" else axes.yaxis
    axis.set_major_locator(FixedLocator([tick for tick in ticks if low_s <= tick <= high_s]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(_time_tick))


def _say_scale(axes: Axes, scale: str) -> None:
    """In the lower left corner of the figure, where no axis has a label."""
    figure = axes.get_figure()
    assert figure is not None, "axes of a figure"
    figure.text(0.01, 0.015, scale, color=MUTED, fontsize=8, va="bottom")


def _time_tick(seconds: float, _: object) -> str:
    for factor, unit in ((1, "s"), (1e3, "ms")):
        if seconds * factor >= 0.999:  # noqa: PLR2004 -- 1 in this unit, but for rounding.
            return f"{seconds * factor:g} {unit}"
    return f"{seconds * 1e6:g} µs"


def _percent(ratio: float, _: object) -> str:
    return f"{ratio * 100:g}%"


def _count_tick(number: float, _: object) -> str:
    return count(number)


def svg(figure: Figure, key: str, description: str) -> str:
    """The drawing as an element of a page: described, coloured by CSS, its ids beginning with `key`."""
    output = BytesIO()
    figure.savefig(output, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    root = ET.fromstring(output.getvalue())  # noqa: S314 -- matplotlib wrote it, a line ago.
    for unwanted in ("metadata", "defs"):
        # The first definitions are a style that would apply to the whole page.
        found = root.find(f"{_SVG}{unwanted}")
        if found is not None:
            root.remove(found)
    root.attrib = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": description}
    for element in root.iter():
        element.attrib = dict(_attributes(element, key))
        element.tail = None
    return ET.tostring(root, encoding="unicode")


def _attributes(element: ET.Element, key: str) -> Iterable[tuple[str, str]]:
    """The attributes with colours as CSS variables; ids only where something can refer to them."""
    for name, value in element.attrib.items():
        if name == "id" and element.tag == f"{_SVG}g":
            continue
        if name == "id":
            yield name, f"{key}-{value}"
        elif name == _HREF:
            yield "href", f"#{key}-{value.removeprefix('#')}"
        elif name == "d":
            yield name, " ".join(value.split())
        elif name == "style":
            yield name, _styled(value)
        else:
            yield name, value.replace("url(#", f"url(#{key}-")


def _styled(style: str) -> str:
    style = re.sub(r"font-family: [^;]*; ?", "", style)
    return re.sub("#0000[0-9a-f]{2}", lambda found: f"var(--chart-{_VARIABLES[found[0]]})", style)
