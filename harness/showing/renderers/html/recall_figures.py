"""The curve of latency over recall: what a setting that was swept pays for finding more."""

# The keyword arguments of matplotlib's methods have no types.
# pyright: reportUnknownMemberType=false

import math
from collections.abc import Iterable, Sequence
from typing import Final

import matplotlib as mpl
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import FuncFormatter, MaxNLocator

from harness.quantities import duration, share
from harness.record import RunRecord
from harness.showing.renderers.html.charts import BUDGET, FIRST, MUTED, STYLE, TYPICAL, WIDTH_IN, log_seconds, svg
from harness.showing.renderers.html.inline_svg import Figure, safe
from harness.showing.summary import Summary
from harness.showing.tables import RecallPoint, printable, recall_points

WANTED: Final = (0.90, 0.95, 0.99)
"""The recalls that a latency is asked at."""
POINTS_MIN: Final = 2
"""One point is no curve."""


def recall_figures(record: RunRecord, summary: Summary) -> Iterable[Figure]:
    """One for each operation of which several variants were held against an exact search."""
    points = recall_points(record, summary)
    for number, operation in enumerate(summary.operation_names):
        own = [each for each in points if each.summary.operation == operation and math.isfinite(each.p95_s)]
        if len(own) >= POINTS_MIN:
            key = f"recall{number}"
            yield Figure(key, printable(operation), safe(recall_chart(operation, own, key)))


def recall_chart(operation: str, points: Sequence[RecallPoint], key: str) -> str:
    """From the lowest recall to the highest, with the wanted ones as dashed lines."""
    with mpl.rc_context(STYLE):
        figure = Drawing(figsize=(WIDTH_IN, 2.8))
        axes = figure.add_axes((0.13, 0.18, 0.82, 0.74))
        recalls = [each.recall for each in points]
        room = max(0.02, 0.08 * (1 - min(recalls)))
        axes.set_xlim(min(recalls) - room, 1 + room / 4)
        for wanted in WANTED:
            if axes.get_xlim()[0] < wanted:
                axes.axvline(wanted, color=BUDGET, linewidth=0.9, linestyle=(0, (4, 2)))
        p50s_s, p95s_s = [each.p50_s for each in points], [each.p95_s for each in points]
        for latencies_s, colour in ((p50s_s, TYPICAL), (p95s_s, FIRST)):
            axes.plot(recalls, latencies_s, "-o", color=colour, linewidth=1.2, markersize=4)
        log_seconds(axes, [*p50s_s, *p95s_s], "y")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
        axes.xaxis.set_major_formatter(FuncFormatter(_share_tick))
        axes.set_xlabel("recall", loc="right", labelpad=0)
        axes.tick_params(axis="y", labelcolor=MUTED)
        axes.grid(axis="y")
        return svg(figure, key, _description(operation, points))


def _share_tick(number: float, _: object) -> str:
    return share(number) if number <= 1 else ""


def _description(operation: str, points: Sequence[RecallPoint]) -> str:
    """Each point, and with which of them each of the wanted recalls is first reached."""
    shown = ", ".join(
        f"{printable(each.summary.variant)} {share(each.recall)} {duration(each.p95_s)}" for each in points
    )
    reached = [_reached(points, wanted) for wanted in WANTED]
    return f"{printable(operation)}: p95 over recall. {shown}. {' '.join(reached)}"


def _reached(points: Sequence[RecallPoint], wanted: float) -> str:
    first = next((each for each in points if each.recall >= wanted), None)
    if first is None:
        return f"Nothing finds {share(wanted)}."
    return f"{share(wanted)} takes {duration(first.p95_s)}."
