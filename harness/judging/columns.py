"""Requests as arrays, for what looks at all of them: a run may have ten million, and each operation here is over all.

What is asked of a request's traits is asked once for those that have the same (`select`, `tally`).
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from harness.record import RunRecord, VariantRecord
from harness.samples import Sample, SampleColumns, Traits

TraitsKey = TypeVar("TraitsKey", bound=Hashable)
Numbers = NDArray[np.float64]
Mask = NDArray[np.bool_]

DIGITS: Final = 9
"""Of seconds. Clocks tell no more than nanoseconds; what is beyond them would be taken for a resemblance."""


class Columns(Sequence[Sample]):
    """Some of a variant's requests. Arrays have a value for each of them, in their order."""

    def __init__(self, samples: SampleColumns, places: NDArray[np.intp] | None = None) -> None:
        self._samples = samples
        self._places = places

    @classmethod
    def of(cls, samples: Sequence[Sample]) -> "Columns":
        return samples if isinstance(samples, Columns) else cls(SampleColumns.of(samples))

    def where(self, mask: Mask) -> "Columns":
        """Those that the mask is true of."""
        if mask.all():
            return self
        return self.at(np.flatnonzero(mask))

    def at(self, places: NDArray[np.intp]) -> "Columns":
        """Those at these places among them, in that order."""
        return Columns(self._samples, places if self._places is None else self._places[places])

    def first(self, size: int) -> "Columns":
        """The first ones, so many."""
        return self if size >= len(self) else self.at(np.arange(size))

    def select(self, selects: Callable[[Traits], bool]) -> "Columns":
        """Those with such traits."""
        return self.where(self.mask(selects))

    def mask(self, selects: Callable[[Traits], bool]) -> Mask:
        return np.fromiter(map(selects, self._samples.traits), np.bool_)[self.trait]

    def tally(self) -> Mapping[Traits, int]:
        """Counts the requests that have the same traits."""
        return self.tally_by(lambda traits: traits)

    def tally_by(self, key: Callable[[Traits], TraitsKey]) -> Mapping[TraitsKey, int]:
        """Counts the requests by the key of their traits, in the order in which keys came."""
        found: Counter[TraitsKey] = Counter()
        for traits, requests in zip(self._samples.traits, self._counted, strict=True):
            if requests:
                found[key(traits)] += requests
        return found

    @cached_property
    def _counted(self) -> Sequence[int]:
        """How many requests have each of the traits."""
        counted: list[int] = np.bincount(self.trait, minlength=len(self._samples.traits)).tolist()
        return counted

    def groups(self, key: Callable[[Traits], TraitsKey]) -> Mapping[TraitsKey, "Columns"]:
        """Requests by the key of their traits, in the order in which the first of each came."""
        places = self.places(key)
        return {each: self if len(chosen) == len(self) else self.at(chosen) for each, chosen in places.items()}

    def places(
        self, key: Callable[[Traits], TraitsKey], order: NDArray[np.intp] | None = None
    ) -> Mapping[TraitsKey, NDArray[np.intp]]:
        """Finds the requests by the key of their traits, in this order or that of the record; so are the keys."""
        numbers: dict[TraitsKey, int] = {}
        of_traits = [numbers.setdefault(key(traits), len(numbers)) for traits in self._samples.traits]
        numbered = np.array(of_traits, dtype=np.intp)[self.trait if order is None else self.trait[order]]
        found = {each: np.flatnonzero(numbered == number) for each, number in numbers.items()}
        in_order = sorted((each for each in found if found[each].size), key=lambda each: int(found[each][0]))
        return {each: found[each] if order is None else order[found[each]] for each in in_order}

    def numbers(self, number: Callable[[Traits], float | None]) -> Numbers:
        """A number of each request's traits; not a number where there is none."""
        found = [np.nan if (value := number(traits)) is None else value for traits in self._samples.traits]
        return np.array(found, dtype=np.float64)[self.trait]

    @property
    def traits(self) -> Sequence[Traits]:
        """The different ones of all that were measured, in the order in which they came."""
        return self._samples.traits

    @cached_property
    def trait(self) -> NDArray[np.intp]:
        """The place of each request's traits among the different ones."""
        return self._chosen(np.frombuffer(self._samples.trait, np.intc))

    @cached_property
    def intended_s(self) -> Numbers:
        return self._chosen(np.frombuffer(self._samples.intended_s))

    @cached_property
    def started_s(self) -> Numbers:
        return self._chosen(np.frombuffer(self._samples.started_s))

    @cached_property
    def ended_s(self) -> Numbers:
        return self._chosen(np.frombuffer(self._samples.ended_s))

    @cached_property
    def server_s(self) -> Numbers:
        """Not a number where no server said it."""
        if not self._samples.server_s:
            return np.full(len(self), np.nan)
        return self._chosen(np.frombuffer(self._samples.server_s))

    @property
    def service_time_s(self) -> Numbers:
        return self.ended_s - self.started_s

    @property
    def lateness_s(self) -> Numbers:
        return self.started_s - self.intended_s

    @cached_property
    def latency_s(self) -> Numbers:
        """As `Sample.latency_s`, whether or not the request failed."""
        scheduled = self.mask(lambda traits: traits.scheduled)
        return self.ended_s - np.where(scheduled, self.intended_s, self.started_s)

    @cached_property
    def judged_s(self) -> Numbers:
        """Latencies as budgets hold them to limits: in whole nanoseconds, and infinite where the request failed."""
        return np.where(self.failed, np.inf, np.round(self.latency_s, DIGITS))

    @cached_property
    def judged_s_ascending(self) -> Numbers:
        return np.sort(self.judged_s)

    @cached_property
    def failed(self) -> Mask:
        return self.mask(lambda traits: traits.error is not None)

    @cached_property
    def answered(self) -> "Columns":
        return self.select(lambda traits: traits.error is None)

    @cached_property
    def broken_down(self) -> "Columns":
        """Those that say what their time went to."""
        says = np.array([bool(elapsed_s) for elapsed_s, _ in self._samples.parts], dtype=np.bool_)
        return self.where(self._chosen(says)) if says.size else self.first(0)

    @property
    def parts(self) -> Iterator[tuple[int, Mapping[str, float]]]:
        """Yields what the time of those went to that say it, with their numbers among these."""
        parts = self._samples.parts
        places = range(len(parts)) if self._places is None else self._places.tolist() if parts else ()
        return ((number, elapsed_s) for number, place in enumerate(places) if (elapsed_s := parts[place][0]))

    @cached_property
    def by_round(self) -> Mapping[int, "Columns"]:
        """Each round's, in the order in which the first of each came."""
        return self.groups(lambda traits: traits.round)

    @cached_property
    def by_operation(self) -> Mapping[str, "Columns"]:
        """Each operation's, in the order in which the first of each came."""
        return self.groups(lambda traits: traits.operation)

    @cached_property
    def passes(self) -> Sequence[Sequence[NDArray[np.intp]]]:
        """Finds the requests by their starts, pass by pass; those of one phase, and stage of it, together."""
        order = np.argsort(self.intended_s, kind="stable")
        kinds: dict[tuple[str, int | None], list[NDArray[np.intp]]] = {}
        for (phase, stage, _), places in self.places(lambda each: (each.phase, each.stage, each.round), order).items():
            kinds.setdefault((phase, stage), []).append(places)
        return list(kinds.values())

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> "Columns": ...

    def __getitem__(self, index: int | slice) -> "Sample | Columns":
        if isinstance(index, slice):
            return self.at(np.arange(len(self))[index])
        return self._samples[index if self._places is None else int(self._places[index])]

    def __len__(self) -> int:
        return len(self._samples) if self._places is None else len(self._places)

    def __iter__(self) -> Iterator[Sample]:
        return (self[number] for number in range(len(self)))

    def _chosen(self, column: NDArray[Any]) -> NDArray[Any]:
        return column if self._places is None else column[self._places]


def in_columns(record: RunRecord) -> RunRecord:
    """The same record. Who looks at its samples shares with the others what they computed of all of them."""
    variants = tuple(map(variant_in_columns, record.variants))
    return record.model_copy(update={"variants": variants})


def variant_in_columns(variant: VariantRecord) -> VariantRecord:
    if isinstance(variant.samples, Columns):
        return variant
    return variant.model_copy(update={"samples": Columns.of(variant.samples)})
