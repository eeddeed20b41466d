"""Users or a rate that go from one level to the next in straight lines, as in k6's ramping executors."""

import math
from collections.abc import Iterator
from itertools import accumulate
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from harness.measuring.arrivals._shared.schedule import IN_FLIGHT_MAX, InFlightMax, Schedule
from harness.measuring.arrivals._shared.virtual_users import (
    USERS_MAX,
    Interval,
    ThinkTime,
    ThinkTimeLaw,
    ThinkTimeS,
    UserLoop,
    VirtualUser,
)
from harness.measuring.arrivals.protocol import Arrival, ArrivalSettings, PhaseBounds, Streams
from harness.measuring.section import Section
from harness.record import StageRecord

ROUNDING: float = 1e-9
"""Of a start: by so much may the sum of a rate over time miss the whole number that it stands for."""


class Stage(Section, frozen=True):
    """A part of a phase in which the users or the rate go in a straight line to what is stated, at first from 0."""

    time_s: Annotated[float, Field(ge=0, le=86_400)]
    """How many seconds the stage takes; 0 is a jump."""
    users: Annotated[int | None, Field(ge=0, le=USERS_MAX)] = None
    """How many virtual users there are at its end; it is left out in stages of a rate."""
    rate_per_s: Annotated[float | None, Field(ge=0, le=1_000_000)] = None
    """How many requests per second start at its end; it is left out in stages of users."""

    @model_validator(mode="after")
    def _goes_to_one(self) -> Self:
        if (self.users is None) == (self.rate_per_s is None):
            raise ValueError("A stage goes to `users` or to `rate_per_s`. State one of them.")
        return self


class StagesSettings(ArrivalSettings, frozen=True):
    """`arrival` with `kind = "stages"`: a closed loop whose users come and go, or an open one whose rate changes.

    User number i works while the line is at i or above; who leaves has the last answer first.
    """

    kind: Literal["stages"] = "stages"
    """The name of the arrival: users or a rate that change."""
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    """The stages, one after the other."""
    think_time_s: ThinkTimeS = 0.0
    """How many seconds a user does nothing between an answer and the next request, on average."""
    think_time: ThinkTimeLaw = "constant"
    """Whether every think time is the same, or they are distributed exponentially."""
    in_flight_max: InFlightMax = IN_FLIGHT_MAX

    @model_validator(mode="after")
    def _of_one_sort(self) -> Self:
        if len({stage.users is None for stage in self.stages}) > 1:
            raise ValueError("Some stages go to `users` and others to `rate_per_s`. Put them into phases of their own.")
        foreign = ("in_flight_max",) if self._has_users else ("think_time_s", "think_time")
        for key in foreign:
            if getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(f"`{key}` means nothing for stages of {'users' if self._has_users else 'a rate'}.")
        if not self._total_s or not any(stage.users or stage.rate_per_s for stage in self.stages):
            raise ValueError("These stages start nothing. Give one of them time, and users or a rate.")
        return self

    def check(self, bounds: PhaseBounds) -> None:
        bounds.without_time(self.kind)
        if self._has_users:
            bounds.with_requests(self.kind)
        else:
            bounds.with_starts(self.kind, sum(self._starts_by_stage()))

    def duration_s(self, bounds: PhaseBounds) -> float:
        del bounds
        return self._total_s

    def open(self, bounds: PhaseBounds, streams: Streams) -> Arrival:
        del bounds
        if not self._has_users:
            return Schedule([*self._offsets_s()], self.in_flight_max)
        users_max = max(stage.users or 0 for stage in self.stages)
        members = [
            VirtualUser(tuple(self._intervals(number)), streams(f"user {number - 1}"))
            for number in range(1, users_max + 1)
        ]
        return UserLoop(members, ThinkTime(self.think_time_s, self.think_time))

    @property
    def stage_records(self) -> tuple[StageRecord, ...]:
        return tuple(
            StageRecord(start_s=start_s, users=stage.users, rate_per_s=stage.rate_per_s)
            for start_s, stage in zip(self._starts_s(), self.stages, strict=True)
        )

    @property
    def _has_users(self) -> bool:
        return self.stages[0].users is not None

    @property
    def _total_s(self) -> float:
        return sum(stage.time_s for stage in self.stages)

    def _starts_s(self) -> list[float]:
        return [*accumulate((stage.time_s for stage in self.stages), initial=0.0)][:-1]

    def _lines(self) -> Iterator[tuple[float, float, float, float]]:
        """Start, length, level before and after of each stage."""
        before = 0.0
        for start_s, stage in zip(self._starts_s(), self.stages, strict=True):
            after = float(stage.users if stage.users is not None else stage.rate_per_s or 0)
            yield start_s, stage.time_s, before, after
            before = after

    def _intervals(self, number: int) -> Iterator[Interval]:
        """When the user of this number works, counted from 1."""
        since: float | None = None
        for start_s, time_s, before, after in self._lines():
            if before < number <= after:
                since = start_s + time_s * (number - before) / (after - before)
            elif after < number <= before:
                assert since is not None, "who leaves has come"
                yield since, start_s + time_s * (before - number) / (before - after)
                since = None
        if since is not None and since < self._total_s:
            yield since, self._total_s

    def _starts_by_stage(self) -> list[float]:
        return [time_s * (before + after) / 2 for _, time_s, before, after in self._lines()]

    def _offsets_s(self) -> Iterator[float]:
        """Start number k, from 0, is where the area under the rate reaches k."""
        number = 0
        area = 0.0
        for (start_s, time_s, before, after), starts in zip(self._lines(), self._starts_by_stage(), strict=True):
            while number < area + starts - ROUNDING:
                yield start_s + _time_to(max(0.0, number - area), before, (after - before) / time_s)
                number += 1
            area += starts


def _time_to(area: float, rate: float, growth: float) -> float:
    """When the area under a rate that grows by `growth` a second reaches `area`."""
    if area == 0:
        return 0.0
    return 2 * area / (rate + math.sqrt(max(0.0, rate * rate + 2 * growth * area)))
