"""Says what changed between two sets of profiles: frame by frame, in milliseconds per request, with noise told apart.

A profile is one round: folded stacks and the time spent in each, per request. Frames are compared over rounds, since
two rounds of unchanged code differ as well. A frame that only one side has is compared with nothing, 0 ms: Gregg's
difffolded drops it, and a new statement is exactly what one looks for.

Each frame's rounds are compared by Welch's t-test of their logarithms, since a busy machine multiplies times; the
smallest change worth naming is added before, so that frames below it are compared as equals. Benjamini and Hochberg
(1995) bounds the share of false ones among those called changed. If nothing changed at all, that bound is the chance
that any frame is called changed.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import scipy

Stack: TypeAlias = tuple[str, ...]
"""Frames from the outermost to the innermost."""

FALSE_DISCOVERY_RATE: Final = 0.05
CHANGE_MS_MIN: Final = 0.05
CHANGE_SHARE_MIN: Final = 0.01
"""Below the larger of these, the share taken of the slower side's whole, a change is nothing to act on."""

EXPLAINED_SHARE: Final = 0.8
CULPRIT_SHARE: Final = 0.05


@dataclass(frozen=True, slots=True)
class FrameChange:
    """A frame's time on both sides with all it called, means over rounds; `changed` is what survived the test."""

    stack: Stack
    before_ms: float
    after_ms: float
    p_value: float
    changed: bool

    @property
    def change_ms(self) -> float:
        return self.after_ms - self.before_ms


def inclusive(own_ms: Mapping[Stack, float]) -> dict[Stack, float]:
    """The time of each frame with all it called, from the time of each whole stack. The root is `()`."""
    totals: defaultdict[Stack, float] = defaultdict(float)
    for stack, time_ms in own_ms.items():
        for depth in range(len(stack) + 1):
            totals[stack[:depth]] += time_ms
    return dict(totals)


def compare(before: Sequence[Mapping[Stack, float]], after: Sequence[Mapping[Stack, float]]) -> list[FrameChange]:
    """Every frame of either side, the root first. Each mapping is one round: milliseconds per request of a stack."""
    rounds = [[inclusive(profile) for profile in side] for side in (before, after)]
    stacks = sorted({stack for side in rounds for profile in side for stack in profile})
    if not stacks:
        return []
    times = [np.array([[profile.get(stack, 0.0) for profile in side] for stack in stacks]) for side in rounds]
    means = [side.mean(axis=1) for side in times]
    change_min = max(CHANGE_MS_MIN, CHANGE_SHARE_MIN * max(float(side[0]) for side in means))
    p_values = _p_values(*(np.log(side + change_min) for side in times))
    adjusted = scipy.stats.false_discovery_control(p_values)
    return [
        FrameChange(
            stack=stack,
            before_ms=float(means[0][place]),
            after_ms=float(means[1][place]),
            p_value=float(p_values[place]),
            changed=bool(
                adjusted[place] <= FALSE_DISCOVERY_RATE and abs(means[1][place] - means[0][place]) >= change_min
            ),
        )
        for place, stack in enumerate(stacks)
    ]


def culprits(changes: Sequence[FrameChange]) -> list[FrameChange]:
    """The frames to look at, the largest change first.

    A frame whose change is mostly that of frames it called is not the cause, they are. What is below a share of the
    whole is left to its caller.
    """
    callees: defaultdict[Stack, list[FrameChange]] = defaultdict(list)
    for change in changes:
        if change.stack:
            callees[change.stack[:-1]].append(change)
    largest_ms = max((abs(change.change_ms) for change in changes), default=0.0)
    found = [culprit for frame in changes[:1] for culprit in _descend(frame, callees, CULPRIT_SHARE * largest_ms)]
    return sorted(found, key=lambda change: -abs(change.change_ms))


def _descend(
    frame: FrameChange, callees: Mapping[Stack, Sequence[FrameChange]], change_min: float
) -> list[FrameChange]:
    """A frame that is within the noise may still call one that is not, or two that make up for each other."""
    below = [culprit for callee in callees.get(frame.stack, ()) for culprit in _descend(callee, callees, change_min)]
    explained_ms = math.fsum(abs(culprit.change_ms) for culprit in below)
    if frame.changed and abs(frame.change_ms) >= change_min and explained_ms < EXPLAINED_SHARE * abs(frame.change_ms):
        return [frame]
    return below


def _p_values(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Welch's test per row. With fewer than two rounds on a side nothing can be told; constant rows need no test."""
    if min(before.shape[-1], after.shape[-1]) < 2:  # noqa: PLR2004 -- a spread needs two values.
        return np.ones(len(before))
    moments = [(side.mean(axis=1), side.std(axis=1, ddof=1), side.shape[1]) for side in (before, after)]
    varying = (moments[0][1] > 0) | (moments[1][1] > 0)
    p_values = np.where(moments[0][0] == moments[1][0], 1.0, 0.0)
    if varying.any():
        (mean_before, std_before, n_before), (mean_after, std_after, n_after) = moments
        p_values[varying] = scipy.stats.ttest_ind_from_stats(
            mean_before[varying],
            std_before[varying],
            n_before,
            mean_after[varying],
            std_after[varying],
            n_after,
            equal_var=False,
        ).pvalue
    return p_values
