"""A fixed number of users, from the phase's start to its end."""

from typing import Annotated, Literal

from pydantic import Field

from harness.measuring.arrivals._shared.virtual_users import (
    USERS_MAX,
    ThinkTime,
    ThinkTimeLaw,
    ThinkTimeS,
    UserLoop,
    VirtualUser,
)
from harness.measuring.arrivals.protocol import ArrivalSettings, PhaseBounds, Streams


class ClosedLoopSettings(ArrivalSettings, frozen=True):
    """`arrival` with `kind = "closed_loop"`: each of `users` waits for an answer, thinks, and asks again."""

    kind: Literal["closed_loop"] = "closed_loop"
    """The name of the arrival: users who wait for answers."""
    users: Annotated[int, Field(ge=1, le=USERS_MAX)] = 1
    """How many virtual users there are."""
    think_time_s: ThinkTimeS = 0.0
    """How many seconds a user does nothing between an answer and the next request, on average."""
    think_time: ThinkTimeLaw = "constant"
    """Whether every think time is the same, or they are distributed exponentially."""

    def check(self, bounds: PhaseBounds) -> None:
        bounds.with_requests(self.kind)

    def open(self, bounds: PhaseBounds, streams: Streams) -> UserLoop:
        interval = (0.0, bounds.duration_s)
        members = [VirtualUser((interval,), streams(f"user {number}")) for number in range(self.users)]
        return UserLoop(members, ThinkTime(self.think_time_s, self.think_time))
