"""The curve of latency over rate: what a system does on the way to its capacity, and beyond it."""

# The keyword arguments of matplotlib's methods have no types.
# pyright: reportUnknownMemberType=false

import math
from collections.abc import Iterable
from typing import Final

import matplotlib as mpl
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import FuncFormatter, MaxNLocator

from harness.judging.capacity import Capacity, CapacityVerdict
from harness.judging.rates import TriedRate
from harness.quantities import amount, duration, rate
from harness.showing.renderers.html.charts import (
    BUDGET,
    FIRST,
    MUTED,
    STYLE,
    TAIL,
    TYPICAL,
    WIDTH_IN,
    log_seconds,
    svg,
)
from harness.showing.renderers.html.inline_svg import Figure, safe
from harness.showing.tables import printable

COLOURS: Final = (TYPICAL, FIRST, TAIL)
"""Of p50, p95 and p99."""


def rate_figures(verdict: CapacityVerdict) -> Iterable[Figure]:
    """One for each capacity whose rates answered something."""
    for number, capacity in enumerate(verdict.capacities):
        if any(math.isfinite(latency_s) for each in capacity.curve for latency_s in _quantiles_s(each)):
            key = f"rates{number}"
            yield Figure(key, printable(capacity.name), safe(rate_chart(capacity, key)))


def rate_chart(capacity: Capacity, key: str) -> str:
    """Latencies on a logarithmic axis, since they go from milliseconds to seconds within some percent of the rate."""
    with mpl.rc_context(STYLE):
        figure = Drawing(figsize=(WIDTH_IN, 2.8))
        axes = figure.add_axes((0.13, 0.18, 0.84, 0.77))
        if capacity.lower_per_s is not None:
            axes.axvline(capacity.lower_per_s, color=BUDGET, linewidth=1.2, linestyle=(0, (4, 2)))
        for number, colour in enumerate(COLOURS):
            points = [(each.rate_per_s, _quantiles_s(each)[number], each.word == "holds") for each in capacity.curve]
            finite = [point for point in points if math.isfinite(point[1])]
            axes.plot([x for x, _, _ in finite], [y for _, y, _ in finite], color=colour, linewidth=1.2)
            for marker, holds in (("o", True), ("x", False)):
                same = [(x, y) for x, y, each in finite if each is holds]
                axes.plot([x for x, _ in same], [y for _, y in same], marker, color=colour, markersize=4)
        log_seconds(axes, [latency_s for each in capacity.curve for latency_s in _quantiles_s(each)], "y")
        axes.set_xlim(0, 1.05 * max(each.rate_per_s for each in capacity.curve))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
        axes.xaxis.set_major_formatter(FuncFormatter(_amount_tick))
        axes.set_xlabel("requests per second", loc="right", labelpad=0)
        axes.tick_params(axis="y", labelcolor=MUTED)
        axes.grid(axis="y")
        return svg(figure, key, _description(capacity))


def _amount_tick(number: float, _: object) -> str:
    return amount(number)


def _quantiles_s(tried: TriedRate) -> tuple[float, ...]:
    """Infinite where nothing was answered."""
    return tuple(math.inf if each is None else each for each in (tried.p50_s, tried.p95_s, tried.p99_s))


def _description(capacity: Capacity) -> str:
    points = ", ".join(f"{rate(each.rate_per_s)} {duration(each.p95_s)}" for each in capacity.curve)
    return f"{printable(capacity.name)}: p95 over rate. {points}."
