"""Runs that are alike as series of one metric each, and where a series changed.

Times are noisy: Apache Otava finds their change points, by E-divisive means and a t-test ("Hunter", doi
10.1145/3578244.3583719). Counters are not: one that was the same twice and is another now has changed.
"""

import importlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Any

from harness.commands.history.entries import HistoryEntry
from harness.errors import UsageError, extra


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """The first run of a new level, by its index in the series, and the levels before and after (means)."""

    index: int
    before: float
    after: float

    @property
    def ratio(self) -> float | None:
        """Says how much more it is now, as a share of what it was; None after a level of 0."""
        return self.after / self.before - 1 if self.before else None


@dataclass(frozen=True, slots=True)
class Series:
    """One metric over runs that are alike, oldest first. A run without the metric is not among `entries`."""

    variant: str
    operation: str
    metric: str
    entries: tuple[HistoryEntry, ...]
    values: tuple[float, ...]

    @property
    def name(self) -> str:
        return f"{self.variant}.{self.operation}.{self.metric}"

    @property
    def is_time(self) -> bool:
        return self.metric.endswith("_s")

    def change_points(self) -> tuple[ChangePoint, ...]:
        """Raises `UsageError` where Otava is not installed."""
        if self.is_time:
            return time_changes(self.values)
        return tuple(counter_changes(self.values))


def alike(entries: Sequence[HistoryEntry]) -> tuple[tuple[HistoryEntry, ...], ...]:
    """The runs in groups of one scenario and like circumstances; the group with the newest run is the last."""
    groups: dict[tuple[str, str], list[HistoryEntry]] = {}
    for entry in entries:
        groups.setdefault((entry.scenario, entry.circumstances), []).append(entry)
    return tuple(map(tuple, sorted(groups.values(), key=lambda group: group[-1].started_at)))


def series_of(entries: Sequence[HistoryEntry], selection: str = "*") -> tuple[Series, ...]:
    """A series per variant, operation and metric whose name fits the pattern, in the order of the newest run."""
    names = dict.fromkeys(
        (variant, operation, metric)
        for entry in reversed(entries)
        for variant, operations in entry.metrics.items()
        for operation, metrics in operations.items()
        for metric in metrics
    )
    every = (_series(entries, *name) for name in names)
    return tuple(series for series in every if fnmatchcase(series.name, selection))


def _series(entries: Sequence[HistoryEntry], variant: str, operation: str, metric: str) -> Series:
    found = [(entry, entry.metrics.get(variant, {}).get(operation, {}).get(metric)) for entry in entries]
    known = [(entry, value) for entry, value in found if value is not None]
    return Series(variant, operation, metric, tuple(entry for entry, _ in known), tuple(value for _, value in known))


def time_changes(values: Sequence[float]) -> tuple[ChangePoint, ...]:
    """Raises `UsageError` where Otava is not installed."""
    found, _ = _otava().compute_change_points(list(values))
    return tuple(ChangePoint(int(each.index), float(each.stats.mean_1), float(each.stats.mean_2)) for each in found)


def counter_changes(values: Sequence[float]) -> Iterable[ChangePoint]:
    for index, (before, now) in enumerate(pairwise(values), 1):
        if index > 1 and values[index - 2] == before != now:
            yield ChangePoint(index, before, now)


def _otava() -> Any:  # noqa: ANN401 -- it has no types.
    try:
        return importlib.import_module("otava.analysis")
    except ImportError as error:
        raise UsageError(
            f"Change points need Apache Otava, which is not installed here ({error}): {extra('history')}, best in an "
            "environment of its own, since Otava wants an older numpy."
        ) from None
