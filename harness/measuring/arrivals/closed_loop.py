"""A fixed number of users, from the phase's start to its end."""

from typing import Annotated, Literal

from pydantic import Field

from harness.measuring.arrivals._shared.virtual_users import (
    USERS_MAX,
    ThinkTime,
    ThinkTimeLaw,
    ThinkTimeS,
    VirtualUser,
    VirtualUsers,
)
from harness.measuring.arrivals.protocol import ArrivalSettings, PhaseBounds, Streams


class ClosedLoopSettings(ArrivalSettings, frozen=True):
    """`arrival` with `kind = "closed_loop"`: each of `users` waits for an answer, thinks, and asks again."""

    kind: Literal["closed_loop"] = "closed_loop"
    users: Annotated[int, Field(ge=1, le=USERS_MAX)] = 1
    think_time_s: ThinkTimeS = 0.0
    think_time: ThinkTimeLaw = "constant"

    def check(self, bounds: PhaseBounds) -> None:
        bounds.with_requests(self.kind)

    def open(self, bounds: PhaseBounds, streams: Streams) -> VirtualUsers:
        interval = (0.0, bounds.duration_s)
        members = [VirtualUser((interval,), streams(f"user {number}")) for number in range(self.users)]
        return VirtualUsers(members, ThinkTime(self.think_time_s, self.think_time))
