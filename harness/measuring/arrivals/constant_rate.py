"""Starts at equal distances."""

import math
from typing import Literal

from harness.measuring.arrivals._shared.schedule import IN_FLIGHT_MAX, InFlightMax, Rate, Schedule
from harness.measuring.arrivals.protocol import ArrivalSettings, PhaseBounds, Streams


class ConstantRateSettings(ArrivalSettings, frozen=True):
    """`arrival` with `kind = "constant_rate"`: a start every 1 / `rate_per_s` seconds."""

    kind: Literal["constant_rate"] = "constant_rate"
    """The name of the arrival: a schedule with equal distances."""
    rate_per_s: Rate
    """How many requests start per second."""
    in_flight_max: InFlightMax = IN_FLIGHT_MAX

    def check(self, bounds: PhaseBounds) -> None:
        bounds.with_starts(self.kind, self.rate_per_s * bounds.duration_s)

    def open(self, bounds: PhaseBounds, streams: Streams) -> Schedule:
        del streams
        starts = math.ceil(self.rate_per_s * bounds.duration_s)
        return Schedule([number / self.rate_per_s for number in range(starts)], self.in_flight_max)
