"""Latencies of a system that puts off more and more work are of a debt: a longer phase would have had to pay it."""

from collections.abc import Iterator
from itertools import pairwise
from statistics import fmean
from typing import Final

from harness.quantities import count, duration
from harness.record import LevelsRecord, PhaseRecord, RunRecord

QUEUED: Final = "background_queued"
PARTS: Final = 5
QUEUED_MIN: Final = 50
"""A few pieces in hand are no debt, however short the phase."""

DRAIN_SHARE_MIN: Final = 0.1
"""Of the phase's time. What is done sooner than that after it would have been done in it, with hardly less to spare."""


class GrowingBacklog:
    of_timings_only = True
    meaning = (
        "A phase was too short to be sustained: its background queue grew in each fifth of it, to 50 pieces or more, "
        "which took more than 10% of the phase's time to do afterwards."
    )

    def objections(self, record: RunRecord) -> Iterator[str]:
        for variant in record.variants:
            for phase in variant.phases:
                if phase.levels and phase.drain_s and _is_debt(phase, phase.levels, phase.drain_s):
                    queued = phase.levels.values[QUEUED]
                    yield (
                        f"background work of {variant.name} did not keep up in {phase.name}, round {phase.round}: its "
                        f"queue grew throughout to {count(round(queued[-1]))} pieces, which took "
                        f"{duration(phase.drain_s)} more. Lower the rate, or measure until the queue grows no further"
                    )


def _is_debt(phase: PhaseRecord, levels: LevelsRecord, drain_s: float) -> bool:
    queued = levels.values.get(QUEUED, ())
    if len(queued) < PARTS or queued[-1] < QUEUED_MIN:
        return False
    parts = [queued[len(queued) * part // PARTS : len(queued) * (part + 1) // PARTS] for part in range(PARTS)]
    grew = all(earlier < later for earlier, later in pairwise(map(fmean, parts)))
    return grew and drain_s > DRAIN_SHARE_MIN * (phase.ended_s - phase.started_s)
