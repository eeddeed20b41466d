"""Starts at equal distances."""

import math
from typing import Literal

from harness.arrivals.protocol import ArrivalSettings, Streams, has_no_requests
from harness.arrivals.schedule import IN_FLIGHT_MAX, InFlightMax, Rate, Schedule


class ConstantRateSettings(ArrivalSettings, frozen=True):
    """`arrival` with `kind = "constant_rate"`: a start every 1 / `rate_per_s` seconds."""

    kind: Literal["constant_rate"] = "constant_rate"
    rate_per_s: Rate
    in_flight_max: InFlightMax = IN_FLIGHT_MAX

    def check(self, requests: int | None, time_s: float | None) -> None:
        del time_s
        has_no_requests(self.kind, requests)

    def open(self, time_s: float | None, streams: Streams) -> Schedule:
        del streams
        starts = math.ceil(self.rate_per_s * self.duration_s(time_s))
        return Schedule([number / self.rate_per_s for number in range(starts)], self.in_flight_max)
