"""Samples: what was measured of each request, one by one, or of millions in columns.

All times are seconds; those in `_s` of a sample are offsets from the start of its variant's timed pass.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import isnan, nan
from operator import attrgetter, eq
from typing import Any, Final, NamedTuple, cast, overload

from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

COLD: Final = "{cache=cold}"
"""At the end of an operation's name in samples of requests before which the database was made cold."""


@dataclass(frozen=True, slots=True, kw_only=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Sample:
    """One request. What is None was not measured, or the target could not say it."""

    operation: str
    """The operation's name; `newest{cache=cold}` where the database was made cold before the request."""
    round: int
    """The round, counted from 1."""
    phase: str = ""
    """The name of its phase; empty in records that are older than phases."""
    stage: int | None = None
    """The stage of its phase, counted from 0; None where the phase has none."""
    worker: int | None = None
    """The worker that sent it, counted from 0; None where there was one alone."""
    scheduled: bool = False
    """Whether its start was set before, in an open loop."""
    intended_s: float
    """When it was to start, as an offset from the start of the timed pass."""
    started_s: float
    """When it did start, as such an offset."""
    ended_s: float
    """When its answer was there, as such an offset."""
    error: str | None = None
    """Why it failed, in a word; None where it did not."""
    first_time_text: bool | None = None
    """Whether its text had not been embedded before in the run; None where there is no text."""
    embedding: str | None = None
    """Who made the embedding: a provider's name, or `cache`."""
    elapsed_s: dict[str, float] | None = None
    """Seconds of it by what they went to: waiting for the pool, for the embedding, and each statement by its name."""
    calls: dict[str, int] | None = None
    """How often each statement was sent, by its name."""
    statements: int | None = None
    """How many SQL statements were sent, transaction control excluded."""
    round_trips: int | None = None
    """How often the server was waited for, transaction control included."""
    rows: int | None = None
    """How many rows came back."""
    results: int | None = None
    """How many results the answer has."""
    promotions: int | None = None
    """How many memories were promoted."""
    proven: bool | None = None
    """Whether a search is known to have missed nothing without having ranked everything; None where nobody tells."""
    server_s: float | None = None
    """How long a server says that it took, in seconds."""

    @property
    def is_cold(self) -> bool:
        """Says whether the database was made cold before it."""
        return self.operation.endswith(COLD)

    @property
    def service_time_s(self) -> float:
        """Says what the system took."""
        return self.ended_s - self.started_s

    @property
    def response_time_s(self) -> float:
        """Says what a user waited: a start that the load generator was late with is waited for too."""
        return self.ended_s - self.intended_s

    @property
    def latency_s(self) -> float:
        """Says what budgets and tables mean by latency: response time of scheduled starts, service time of others."""
        return self.response_time_s if self.scheduled else self.service_time_s

    @property
    def lateness_s(self) -> float:
        """The load generator's own delay."""
        return self.started_s - self.intended_s


SAMPLES: Final = TypeAdapter(Sample)
"""Reads and writes one as Python's own values."""


class Traits(NamedTuple):
    """Says what a request has in common with many others: all of a `Sample` but its times, and named as there."""

    operation: str
    """Its operation's name."""
    round: int
    """Its round, counted from 1."""
    phase: str
    """The name of its phase."""
    stage: int | None
    """The stage of its phase, counted from 0."""
    worker: int | None
    """The worker that sent it."""
    scheduled: bool
    """Whether its start was set before."""
    error: str | None
    """Why it failed; None where it did not."""
    first_time_text: bool | None
    """Whether its text was a new one."""
    embedding: str | None
    """Who made the embedding."""
    statements: int | None
    """How many SQL statements it sent."""
    round_trips: int | None
    """How often it waited for the server."""
    rows: int | None
    """How many rows came back."""
    results: int | None
    """How many results its answer has."""
    promotions: int | None
    """How many memories it promoted."""
    proven: bool | None
    """Whether its search is known to have missed nothing."""

    @property
    def is_cold(self) -> bool:
        """Says whether the database was made cold before it."""
        return self.operation.endswith(COLD)


MOMENTS: Final = ("intended_s", "started_s", "ended_s")
_UNSAID: Final = (None, None, None)

OBJECTS_MAX: Final = 200_000
"""So many samples are kept as objects once they were read as such, since reports read them again and again."""

_traits_of: Final[Callable[[Sample], Iterable[Any]]] = attrgetter(*Traits._fields)
_SETTERS: Final = [
    Sample.__dict__[name].__set__ for name in (*Traits._fields, *MOMENTS, "elapsed_s", "calls", "server_s")
]
_Parts = tuple[dict[str, float] | None, dict[str, int] | None]
_NO_PARTS: Final[_Parts] = (None, None)


class SampleColumns(Sequence[Sample]):
    """Requests in columns, since a run may have ten million: a request takes 28 bytes, and its traits are kept once.

    Read one by one they are `Sample`. Who makes it may add to it until somebody else has it.
    """

    def __init__(self, samples: Iterable[Sample] = ()) -> None:
        self.traits: list[Traits] = []
        """The different traits, in the order in which they came."""
        self.trait = array("i")
        """Of each request, the place of its traits among these."""
        self.intended_s = array("d")
        self.started_s = array("d")
        self.ended_s = array("d")
        self.server_s = array("d")
        """Not a number where no server said it; empty where none ever did."""
        self.parts: list[_Parts] = []
        """Of each request `elapsed_s` and `calls`; empty where no request has any."""
        self._places: dict[Traits, int] = {}
        self._entries: dict[tuple[Any, ...], int] = {}
        self._objects: tuple[Sample, ...] | None = None
        for sample in samples:
            self.append(sample)

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> "SampleColumns":
        """These, in columns if they are not yet."""
        return samples if isinstance(samples, SampleColumns) else cls(samples)

    @classmethod
    def joined(cls, several: Sequence["SampleColumns"]) -> "SampleColumns":
        """All of them, one after the other; one alone as it is."""
        if len(several) == 1:
            return several[0]
        whole = cls()
        for each in several:
            whole._extend(each)
        return whole

    def append(self, sample: Sample) -> None:
        place = self._place(Traits._make(_traits_of(sample)))
        parts = (sample.elapsed_s, sample.calls)
        self._append(place, (sample.intended_s, sample.started_s, sample.ended_s), sample.server_s, parts)

    def read(self, entry: dict[str, Any]) -> None:
        """Appends what a journal says of one, and keeps nothing of the entry. Raises `ValidationError`."""
        moments = tuple(map(entry.pop, MOMENTS, _UNSAID))
        key = (*entry, *entry.values())
        try:
            place = self._entries.get(key)
        except TypeError:  # It has parts, which are dicts: no two are alike.
            place, key = None, ()
        if place is not None and type(moments[0]) is type(moments[1]) is type(moments[2]) is float:
            # All else of it was validated with the first that was like it.
            self._append(place, moments, None, _NO_PARTS)
            return
        said = {name: moment for name, moment in zip(MOMENTS, moments, strict=True) if moment is not None}
        sample = SAMPLES.validate_python(entry | said)
        self.append(sample)
        if key and sample.server_s is None:
            self._entries[key] = self.trait[-1]

    def move(self, by_s: Mapping[int, Callable[[float], float]]) -> None:
        """Moves requests whose traits have these places, each by what it says of the moment that was intended."""
        self._objects = None
        for number, place in enumerate(self.trait):
            if (moved_s := by_s.get(place)) is not None:
                seconds = moved_s(self.intended_s[number])
                for moments in (self.intended_s, self.started_s, self.ended_s):
                    moments[number] += seconds

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> "SampleColumns": ...

    def __getitem__(self, index: "int | slice") -> "Sample | SampleColumns":
        if isinstance(index, slice):
            return self._slice(index)
        if self._objects is not None:
            return self._objects[index]
        server_s = self.server_s[index] if self.server_s else nan
        # All of it was validated when it came, and is not again.
        sample = object.__new__(Sample)
        values = (
            *self.traits[self.trait[index]],
            self.intended_s[index],
            self.started_s[index],
            self.ended_s[index],
            *(self.parts[index] if self.parts else _NO_PARTS),
            None if isnan(server_s) else server_s,
        )
        for set_field, value in zip(_SETTERS, values, strict=True):
            set_field(sample, value)
        return sample

    def __len__(self) -> int:
        return len(self.trait)

    def __iter__(self) -> Iterator[Sample]:
        if self._objects is None and len(self) <= OBJECTS_MAX:
            self._objects = tuple(self[number] for number in range(len(self)))
        return iter(self._objects or (self[number] for number in range(len(self))))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        others = cast("Sequence[object]", other)
        return len(self) == len(others) and all(map(eq, self, others))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return f"SampleColumns({tuple(self)!r})"

    def _slice(self, chosen: slice) -> "SampleColumns":
        part = SampleColumns()
        part.traits, part._places = self.traits, self._places
        part.trait, part.intended_s = self.trait[chosen], self.intended_s[chosen]
        part.started_s, part.ended_s = self.started_s[chosen], self.ended_s[chosen]
        part.server_s, part.parts = self.server_s[chosen], self.parts[chosen]
        return part

    def _place(self, traits: Traits) -> int:
        place = self._places.setdefault(traits, len(self.traits))
        if place == len(self.traits):
            self.traits.append(traits)
        return place

    def _append(self, place: int, moments: tuple[float, float, float], server_s: float | None, parts: _Parts) -> None:
        self._objects = None
        if server_s is not None or self.server_s:
            self.server_s.extend([nan] * (len(self) - len(self.server_s)))
            self.server_s.append(nan if server_s is None else server_s)
        if self.parts or parts != _NO_PARTS:
            self.parts.extend([_NO_PARTS] * (len(self) - len(self.parts)))
            self.parts.append(parts)
        self.trait.append(place)
        self.intended_s.append(moments[0])
        self.started_s.append(moments[1])
        self.ended_s.append(moments[2])

    def _extend(self, other: "SampleColumns") -> None:
        if self.server_s or other.server_s:
            self.server_s.extend([nan] * (len(self) - len(self.server_s)))
            self.server_s.extend(other.server_s or [nan] * len(other))
        if self.parts or other.parts:
            self.parts.extend([_NO_PARTS] * (len(self) - len(self.parts)))
            self.parts.extend(other.parts or [_NO_PARTS] * len(other))
        places = [self._place(traits) for traits in other.traits]
        self.trait.extend(map(places.__getitem__, other.trait))
        self.intended_s.extend(other.intended_s)
        self.started_s.extend(other.started_s)
        self.ended_s.extend(other.ended_s)
