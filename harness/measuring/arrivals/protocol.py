"""The seam of when requests are started.

An arrival is settings (a phase's `arrival` in a scenario), which open as one of two ways to start requests:
`UserLoop`, who wait for answers, or a `Schedule`, which does not.
"""

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol, TypeVar

from harness.measuring.clock import Clock
from harness.measuring.draws import Draws
from harness.measuring.operations import Request
from harness.measuring.section import Section
from harness.record import Loop, StageRecord

T = TypeVar("T")

PHASE_TIME_S: Final = 60.0

STARTS_MAX: Final = 1_000_000

Issue = Callable[[Request, float], Awaitable[None]]
"""Performs a request that was meant to start at the given time of the clock, in seconds."""

Streams = Callable[[str], Draws]
"""A phase's seeded draws by what they are for."""


@dataclass(frozen=True, slots=True)
class Share:
    """Part number `index`, from 0, of `of`: which starts or users a worker takes.

    The parts are equal, or as large as `weights` say.
    """

    index: int = 0
    of: int = 1
    weights: tuple[int, ...] = ()

    def part(self, whole: Sequence[T]) -> Sequence[T]:
        """Equal parts take turns, so each has its starts and users all over the whole; unlike ones do so as well."""
        if not self.weights:
            return whole[self.index :: self.of]
        return [each for number, each in enumerate(whole) if self.takes(number)]

    def takes(self, number: int) -> bool:
        """Says whether what has this number in the whole, from 0, is in the part."""
        if not self.weights:
            return number % self.of == self.index
        turns = turns_of(self.weights)
        return turns[number % len(turns)] == self.index


@lru_cache
def turns_of(weights: tuple[int, ...]) -> tuple[int, ...]:
    """Whose turn it is at each number until all begins again: his who is furthest behind his share until then."""
    whole, taken = sum(weights), [0] * len(weights)
    turns: list[int] = []
    for number in range(1, whole + 1):
        behind = [weight * number - had * whole for weight, had in zip(weights, taken, strict=True)]
        turns.append(behind.index(max(behind)))
        taken[turns[-1]] += 1
    return tuple(turns)


WHOLE: Final = Share()


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

    def share(self, share: Share, requests: Sequence[Request]) -> tuple["Arrival", Sequence[Request]]:
        """The part that one worker drives, and which of the requests it sends; the parts together are the whole."""
        ...

    async def drive(self, requests: Sequence[Request], issue: Issue, clock: Clock, begun: float | None = None) -> int:
        """Returns how many planned starts were dropped. Its time counts from `begun` on; None is now."""
        ...


@dataclass(frozen=True, slots=True)
class PhaseBounds:
    """Tells what a phase says beside its arrival; None where it says nothing."""

    requests: int | None = None
    """How many requests there are at most."""
    warm_up: int = 0
    """How many requests come before the others and are discarded."""
    time_s: float | None = None
    """After how many seconds no request starts any more."""

    @property
    def duration_s(self) -> float:
        return PHASE_TIME_S if self.time_s is None else self.time_s

    def with_requests(self, kind: str) -> None:
        """Raises `ValueError` without."""
        if self.requests is None:
            raise ValueError(f"`requests` is missing: {kind} ends when they are used up, if not by its time.")

    def with_starts(self, kind: str, expected: float) -> None:
        """Raises `ValueError` when requests are stated beside an arrival that sets how many there are, or too many."""
        if self.requests is not None:
            raise ValueError(f"`requests` stands beside {kind}, which sets how many there are. Leave `requests` out.")
        if expected > STARTS_MAX:
            raise ValueError(
                f"{kind} would start {expected:,.0f} requests, and a phase holds {STARTS_MAX:,} at most. "
                "Lower the rate or the time."
            )

    def without_time(self, kind: str) -> None:
        if self.time_s is not None:
            raise ValueError(f"`time_s` stands beside {kind}, whose parts have their own. Leave `time_s` out.")


class ArrivalSettings(Section, frozen=True):
    """Tells what a phase's `arrival` says, whichever kind it is. A kind adds its own keys and `kind`, its name."""

    kind: str
    """The name of the arrival."""

    @abstractmethod
    def check(self, bounds: PhaseBounds) -> None:
        """Raises `ValueError` when the phase's bounds do not fit this kind."""

    @abstractmethod
    def open(self, bounds: PhaseBounds, streams: Streams) -> Arrival: ...

    def duration_s(self, bounds: PhaseBounds) -> float:
        """Says how long requests are started at most."""
        return bounds.duration_s

    @property
    def stage_records(self) -> tuple[StageRecord, ...]:
        """The parts that samples are told apart by, in order; empty where there is only one."""
        return ()

    @property
    def own_requests(self) -> Sequence[Request]:
        """Says what it sends itself, those of the warm-up first; empty where a workload says what is sent."""
        return ()
