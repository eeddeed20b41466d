"""Two profiles as one flame graph that can be searched and zoomed: Vega lays it out and draws it in the browser.

Its script comes from the package vl-convert and stands in the page itself, so the page asks nothing of any network.
A frame is as wide as the slower side's time, so frames that appear and frames that vanish are both there.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from markupsafe import Markup

from harness.judging.analysis.flames import FrameChange, Stack

SHARE_MIN: Final = 0.004
"""Narrower frames would be less than a few pixels wide; what they took stays in their callers."""

ROW_PX: Final = 18
GREY, SLOWER, FASTER, FOUND = "#c9ccd1", "#d9534f", "#3b82c4", "#f2c037"


@cache
def script() -> Markup:
    """Vega and its embedder; a closing tag inside it would end the page's script."""
    import vl_convert  # noqa: PLC0415 -- it takes long to import, and few pages have flame graphs.

    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return Markup(bundle.replace("</script", "<\\/script"))  # noqa: S704 -- a library's own code


def specification(changes: Sequence[FrameChange], before: str, after: str) -> str:
    """The graph as JSON that may stand inside a page's script element, whatever the frames are called."""
    frames = _frames(changes)
    depth = max((frame["depth"] for frame in frames), default=0) + 1
    text = json.dumps(_graph(frames, depth, before, after), separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _frames(changes: Sequence[FrameChange]) -> list[dict[str, Any]]:
    """One row per frame; `own` is what a frame adds to the width of what it called."""
    by_stack = {change.stack: change for change in changes}
    if () not in by_stack:
        return []
    widths = _widths(by_stack)
    kept = [change for change in changes if widths[change.stack] >= SHARE_MIN * widths[()]]
    numbers = {change.stack: number for number, change in enumerate(kept)}
    own = {change.stack: widths[change.stack] for change in kept}
    for change in kept:
        if change.stack:
            own[change.stack[:-1]] -= widths[change.stack]
    return [
        {
            "id": numbers[change.stack],
            "parent": numbers[change.stack[:-1]] if change.stack else None,
            "name": change.stack[-1] if change.stack else "request",
            "depth": len(change.stack),
            "before": round(change.before_ms, 4),
            "after": round(change.after_ms, 4),
            "changed": change.changed,
            "own": round(max(own[change.stack], 0.0), 6),
        }
        for change in kept
    ]


def _widths(by_stack: Mapping[Stack, FrameChange]) -> dict[Stack, float]:
    """The slower side's own time of each frame, summed up towards the root: a frame always holds what it called."""
    own = {stack: [change.before_ms, change.after_ms] for stack, change in by_stack.items()}
    for stack, change in by_stack.items():
        if stack:
            own[stack[:-1]][0] -= change.before_ms
            own[stack[:-1]][1] -= change.after_ms
    widths = dict.fromkeys(by_stack, 0.0)
    for stack, sides in own.items():
        for depth in range(len(stack) + 1):
            widths[stack[:depth]] += max(*sides, 0.0)
    return widths


def _graph(frames: Sequence[Mapping[str, Any]], depth: int, before: str, after: str) -> dict[str, Any]:
    tooltip = (
        "{'frame': datum.name, "
        f"'before ({before})': format(datum.before, ',.2f') + ' ms', "
        f"'after ({after})': format(datum.after, ',.2f') + ' ms', "
        "'change': format(datum.after - datum.before, '+,.2f') + ' ms' "
        "+ (datum.changed ? '' : ' (within the noise)')}"
    )
    matches = "search && test(regexp(replace(search, /[.*+?^${}()|[\\]\\\\]/g, '\\\\$&'), 'i'), datum.name)"
    return {
        "$schema": "https://vega.github.io/schema/vega/v6.json",
        "description": f"Flame graph: milliseconds per request, {before} against {after}",
        "autosize": {"type": "fit-x", "contains": "padding"},
        "height": depth * ROW_PX,
        "padding": 6,
        "signals": [
            {
                "name": "width",
                "init": "containerSize()[0] - 12",
                "on": [{"events": "window:resize", "update": "containerSize()[0] - 12"}],
            },
            {"name": "search", "value": "", "bind": {"input": "search", "placeholder": "function or file"}},
            {
                "name": "focus",
                "value": None,
                "on": [
                    {"events": "@frame:click", "update": "datum"},
                    {"events": "window:keydown[event.key === 'Escape'], dblclick", "update": "null"},
                ],
            },
            {"name": "left", "update": "focus ? focus.x0 : 0"},
            {"name": "right", "update": "focus ? focus.x1 : 1"},
        ],
        "data": [
            {
                "name": "frames",
                "values": list(frames),
                "transform": [
                    {"type": "stratify", "key": "id", "parentKey": "parent"},
                    {"type": "partition", "field": "own", "size": [1, depth], "sort": {"field": "name"}},
                    {"type": "filter", "expr": "datum.x1 > left && datum.x0 < right"},
                ],
            }
        ],
        "scales": [
            {
                "name": "x",
                "type": "linear",
                "domain": [{"signal": "left"}, {"signal": "right"}],
                "range": [0, {"signal": "width"}],
                "clamp": True,
                "zero": False,
            },
            {"name": "strength", "type": "linear", "domain": [0, 1], "range": [0.25, 1], "clamp": True},
        ],
        "marks": [
            {
                "type": "rect",
                "name": "frame",
                "from": {"data": "frames"},
                "encode": {
                    "enter": {
                        "cursor": {"value": "pointer"},
                        "stroke": {"value": "#fff"},
                        "strokeWidth": {"value": 0.5},
                    },
                    "update": {
                        "x": {"scale": "x", "field": "x0"},
                        "x2": {"scale": "x", "field": "x1"},
                        "y": {"signal": f"datum.depth * {ROW_PX}"},
                        "height": {"value": ROW_PX},
                        "tooltip": {"signal": tooltip},
                        "description": {"signal": "datum.name"},
                        "fill": [
                            {"test": matches, "value": FOUND},
                            {"test": "!datum.changed", "value": GREY},
                            {"test": "datum.after > datum.before", "value": SLOWER},
                            {"value": FASTER},
                        ],
                        "fillOpacity": [
                            {"test": "!datum.changed", "value": 1},
                            {
                                "scale": "strength",
                                "signal": "abs(datum.after - datum.before) / max(datum.after, datum.before)",
                            },
                        ],
                    },
                },
            },
            {
                "type": "text",
                "interactive": False,
                "from": {"data": "frames"},
                "encode": {
                    "update": {
                        "x": {"signal": "scale('x', max(datum.x0, left)) + 3"},
                        "y": {"signal": f"datum.depth * {ROW_PX} + {ROW_PX / 2}"},
                        "baseline": {"value": "middle"},
                        "fontSize": {"value": 11},
                        "fill": {"value": "#16181d"},
                        "limit": {"signal": "scale('x', min(datum.x1, right)) - scale('x', max(datum.x0, left)) - 6"},
                        "text": {
                            "signal": "scale('x', min(datum.x1, right)) - scale('x', max(datum.x0, left)) > 24"
                            " ? datum.name : ''"
                        },
                    }
                },
            },
        ],
    }
