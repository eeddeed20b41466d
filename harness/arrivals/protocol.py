"""The seam of when requests are started.

An arrival is settings (a phase's `arrival` in a scenario), which open as one of two ways to start requests:
`VirtualUsers`, who wait for answers, or a `Schedule`, which does not.
"""

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from pydantic import BaseModel, ConfigDict

from harness.clock import Clock
from harness.draws import Draws
from harness.record import Loop, StageRecord
from harness.targets.protocol import Request

PHASE_TIME_S: Final = 60.0

Issue = Callable[[Request, float], Awaitable[None]]
"""Performs a request that was meant to start at the given time of the clock, in seconds."""

Streams = Callable[[str], Draws]
"""A phase's seeded draws by what they are for."""


@dataclass(frozen=True, slots=True)
class Share:
    """Part number `index` of `of` equal ones: which requests, starts and users a worker takes."""

    index: int = 0
    of: int = 1

    @property
    def part(self) -> slice:
        return slice(self.index, None, self.of)


class Arrival(Protocol):
    """Starts requests in the order given until they are used up or the time is over; waits for those in flight.

    `side_by_side` is how many may be in flight at once. `users` is None in an open loop; `starts`, how many are
    planned, is None in a closed one.
    """

    @property
    def loop(self) -> Loop: ...

    @property
    def side_by_side(self) -> int: ...

    @property
    def users(self) -> int | None: ...

    @property
    def starts(self) -> int | None: ...

    def share(self, share: Share) -> "Arrival":
        """The part of it that one worker drives; the parts together are the whole."""
        ...

    async def drive(self, requests: Sequence[Request], issue: Issue, clock: Clock) -> int:
        """Returns how many planned starts were dropped."""
        ...


class ArrivalSettings(BaseModel, frozen=True):
    """What a phase's `arrival` says, whichever kind it is. A kind adds its own keys and `kind`, its name."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    kind: str

    @abstractmethod
    def check(self, requests: int | None, time_s: float | None) -> None:
        """Raises `ValueError` when the phase's bounds do not fit this kind."""

    @abstractmethod
    def open(self, time_s: float | None, streams: Streams) -> Arrival:
        """`time_s` is the phase's."""

    def duration_s(self, time_s: float | None) -> float:
        """How long requests are started at most; `time_s` is the phase's."""
        return PHASE_TIME_S if time_s is None else time_s

    @property
    def stages(self) -> tuple[StageRecord, ...]:
        """The parts that samples are told apart by, in order; empty where there is only one."""
        return ()


def needs_requests(kind: str, requests: int | None) -> None:
    if requests is None:
        raise ValueError(f"`requests` is missing: {kind} ends when they are used up, or when `time_s` is over.")


def has_no_requests(kind: str, requests: int | None) -> None:
    if requests is not None:
        raise ValueError(f"`requests` stands beside {kind}, which sets how many there are. Leave `requests` out.")
