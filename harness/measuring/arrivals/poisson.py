"""Starts that know nothing of each other, as those of many independent people."""

import math
from collections.abc import Iterator
from typing import Literal

from harness.measuring.arrivals._shared.schedule import IN_FLIGHT_MAX, InFlightMax, Rate, Schedule
from harness.measuring.arrivals.protocol import ArrivalSettings, PhaseBounds, Streams
from harness.measuring.draws import Draws


class PoissonSettings(ArrivalSettings, frozen=True):
    """`arrival` with `kind = "poisson"`: exponential distances, 1 / `rate_per_s` seconds on average; seeded."""

    kind: Literal["poisson"] = "poisson"
    """The name of the arrival: a schedule of independent users, whose distances are distributed exponentially."""
    rate_per_s: Rate
    """How many requests start per second, on average."""
    in_flight_max: InFlightMax = IN_FLIGHT_MAX

    def check(self, bounds: PhaseBounds) -> None:
        bounds.with_starts(self.kind, self.rate_per_s * bounds.duration_s)

    def open(self, bounds: PhaseBounds, streams: Streams) -> Schedule:
        return Schedule([*self._offsets_s(bounds.duration_s, streams("starts"))], self.in_flight_max)

    def _offsets_s(self, duration_s: float, draws: Draws) -> Iterator[float]:
        offset_s = 0.0
        while (offset_s := offset_s - math.log1p(-draws.fraction()) / self.rate_per_s) < duration_s:
            yield offset_s
