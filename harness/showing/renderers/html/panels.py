"""Several small charts above each other, over the time of one pass."""

# The keyword arguments of matplotlib's methods have no types.
# pyright: reportUnknownMemberType=false

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, assert_never

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter

from harness.quantities import count, duration
from harness.showing.renderers.html.charts import INK, MUTED, STYLE, WIDTH_IN, Timeframe, svg, time_axis

PANEL_IN: Final = 0.5
TITLE_IN: Final = 0.24
FOOT_IN: Final = 0.42


@dataclass(frozen=True, slots=True)
class Layer:
    """Values over time. An area's `at_s` are the edges of its slices, one more than its values; areas are stacked."""

    colour: str
    form: Literal["area", "steps", "dots"]
    at_s: Sequence[float]
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Panel:
    """`figures` are what its title ends with; `is_time` says that values are seconds."""

    title: str
    figures: str
    layers: Sequence[Layer]
    is_time: bool = False


def panels_chart(panels: Sequence[Panel], time: Timeframe, key: str, description: str) -> str:
    """One axis of time for all, stages and disruptions marked in each; each from 0 to its own highest value."""
    height_in = len(panels) * (PANEL_IN + TITLE_IN) + FOOT_IN
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, height_in))
        for number, panel in enumerate(panels):
            top_in = height_in - number * (PANEL_IN + TITLE_IN) - TITLE_IN
            axes = figure.add_axes((0.13, (top_in - PANEL_IN) / height_in, 0.84, PANEL_IN / height_in))
            _draw_panel(axes, panel)
            time_axis(axes, time)
            if number < len(panels) - 1:
                axes.tick_params(axis="x", labelbottom=False)
            else:
                axes.set_xlabel("seconds", loc="right", labelpad=0)
        return svg(figure, key, description)


def _draw_panel(axes: Axes, panel: Panel) -> None:
    below = [0.0] * max(len(layer.values) for layer in panel.layers)
    for layer in panel.layers:
        match layer.form:
            case "area":
                tops = [base + value for base, value in zip(below, layer.values, strict=True)]
                axes.stairs(tops, layer.at_s, baseline=below, fill=True, color=layer.colour, linewidth=0, zorder=3)
                below = tops
            case "steps":
                axes.step(layer.at_s, layer.values, where="post", color=layer.colour, linewidth=1.3, zorder=3)
            case "dots":
                axes.plot(layer.at_s, layer.values, ".", color=layer.colour, markersize=3, alpha=0.7, zorder=3)
            case _:
                assert_never(layer.form)
    highest = max(*below, *(value for layer in panel.layers if layer.form != "area" for value in layer.values), 0.0)
    axes.set_ylim(0, highest * 1.08 or 1)
    axes.yaxis.set_major_locator(FixedLocator([0, highest] if highest else [0]))
    axes.yaxis.set_major_formatter(FuncFormatter(_duration if panel.is_time else _level))
    axes.tick_params(axis="y", labelcolor=MUTED)
    axes.grid(axis="y")
    axes.text(0, 1.08, panel.title, transform=axes.transAxes, ha="left", va="bottom", color=INK, fontsize=9)
    axes.text(1, 1.08, panel.figures, transform=axes.transAxes, ha="right", va="bottom", color=MUTED, fontsize=9)


def _duration(seconds: float, _: object) -> str:
    return duration(seconds) if seconds else "0"


def _level(value: float, _: object) -> str:
    return count(round(value))
