"""Two profiles as one flame graph that can be searched and zoomed: Vega lays it out and draws it in the browser.

Its script comes from the package vl-convert and stands in the page itself, so the page asks nothing of any network.
A frame is as wide as the slower side's time, so frames that appear and frames that vanish are both there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, Final

from markupsafe import Markup

from harness.judging.analysis.flames import FrameChange, Stack
from harness.showing.renderers.html.templates import templates

SHARE_MIN: Final = 0.004
"""Narrower frames would be less than a few pixels wide; what they took stays in their callers."""


@cache
def script() -> Markup:
    """Vega and its embedder; a closing tag inside it would end the page's script."""
    import vl_convert  # noqa: PLC0415 -- it takes long to import, and few pages have flame graphs.

    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return Markup(bundle.replace("</script", "<\\/script"))  # noqa: S704 -- a library's own code


REQUEST: Final = "request"
TOGETHER: Final = "request, and the server beside it"


def specification(changes: Sequence[FrameChange], before: str, after: str, server: Sequence[FrameChange] = ()) -> str:
    """The graph as JSON that may stand inside a page's script element, whatever the frames are called."""
    frames = _frames(_beside(changes, server), TOGETHER if server else REQUEST)
    depth = max((frame["depth"] for frame in frames), default=0) + 1
    graph = templates().get_template("flames.vega.json.jinja")
    return graph.render(frames=frames, depth=depth, before=before, after=after, tooltip=_tooltip(before, after))


def _beside(changes: Sequence[FrameChange], server: Sequence[FrameChange]) -> Sequence[FrameChange]:
    """The requests' own frames with those of the server, which are no part of the request that waits for them."""
    if not (changes and server):
        return changes
    roots = changes[0], server[0]
    before_ms, after_ms = (sum(side) for side in zip(*((each.before_ms, each.after_ms) for each in roots), strict=True))
    whole = FrameChange(stack=(), before_ms=before_ms, after_ms=after_ms, p_value=1.0, changed=False)
    return (whole, *(replace(each, stack=(REQUEST, *each.stack)) for each in changes), *server[1:])


def _frames(changes: Sequence[FrameChange], root: str) -> list[dict[str, Any]]:
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
            "name": change.stack[-1] if change.stack else root,
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


def _tooltip(before: str, after: str) -> str:
    """What a frame says when it is pointed at, as an expression of Vega."""
    return (
        "{'frame': datum.name, "
        f"'before ({before})': format(datum.before, ',.2f') + ' ms', "
        f"'after ({after})': format(datum.after, ',.2f') + ' ms', "
        "'change': format(datum.after - datum.before, '+,.2f') + ' ms' "
        "+ (datum.changed ? '' : ' (within the noise)')}"
    )
