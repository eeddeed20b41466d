"""Counts, as they are or with room for what a server does by itself."""

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from harness.judging.comparison import COUNTERS
from harness.judging.gate_findings.protocol import (
    COPIES_MIN,
    GateFinding,
    PairView,
    is_of_one_user,
)
from harness.record import WHOLE_PASS, PhaseRecord, VariantRecord
from harness.samples import Sample

HIT_FIGURE: Final = "all cache hits, as a share"


@dataclass(frozen=True, slots=True)
class GateCounter:
    """Says what probes count around a phase, for each request: `share`, `least` are the room for what is nobody's."""

    name: str
    counters: tuple[str, ...]
    share: float
    least: float


ROUND_TRIPS: Final = "database round trips"
"""With those of work in the background; for targets that do not tell their own."""

PHASE_COUNTERS: Final = (
    GateCounter("WAL bytes", ("wal_bytes",), 0.15, 200),
    GateCounter("temporary bytes", ("temporary_file_bytes",), 0.10, 4_096),
    GateCounter("statements sent", ("sent_statements",), 0.0, 0.01),
    GateCounter("bytes received", ("database_received_bytes",), 0.08, 200),
    GateCounter(ROUND_TRIPS, ("database_round_trips",), 0.0, 0.4),
)

TABLE_COUNTERS: Final[Mapping[str, GateCounter]] = {
    "table_rows": GateCounter("rows of {table} read or written", (), 0.25, 30),
    "table_blocks": GateCounter("blocks of {table}", (), 0.25, 30),
}
"""Of each table, by how its counters are named."""


def counted(view: PairView) -> Iterable[GateFinding]:
    yield from _requests(view)
    yield from _around_phases(view, decided_at_once=True)
    yield from _hit_rate(view)
    yield from _pool(view)


def counted_once(view: PairView) -> Iterable[GateFinding]:
    """Around too few phases for a median, in any of which a server or a target may do something of its own."""
    yield from _around_phases(view, decided_at_once=False)


def _around_phases(view: PairView, *, decided_at_once: bool) -> Iterable[GateFinding]:
    for operation, phases in view.by_operation().items():
        tells = any(each.round_trips is not None for each in view.base.samples if each.operation == operation)
        own = [each for each in PHASE_COUNTERS if not (tells and each.name == ROUND_TRIPS)]
        for counter in (*own, *_table_counters(view, phases)):
            values = _per_request(phases, counter)
            is_decided = operation == WHOLE_PASS or len(values) >= COPIES_MIN
            if values and is_decided is decided_at_once:
                yield from _beyond_room(view, operation, counter, values)


def _requests(view: PairView) -> Iterable[GateFinding]:
    """What was counted of each request, and how many failed."""
    sides = _answered(view.base), _answered(view.candidate)
    for operation in sides[0].keys() & sides[1].keys():
        one, other = sides[0][operation], sides[1][operation]
        failed = [sum(each.error is not None for each in side) / len(side) for side in (one, other)]
        if failed[0] != failed[1]:
            yield _counter(view, operation, "errors", failed, detail=_kinds_of_error(other))
        for name, number in COUNTERS.items():
            means = [_mean(number, side) for side in (one, other)]
            if means[0] is not None and means[1] is not None and not math.isclose(means[0], means[1]):
                detail = _calls_changed(one, other) if name != "rows" else ""
                yield _counter(view, operation, name, [means[0], means[1]], detail=detail)


def _answered(variant: VariantRecord) -> Mapping[str, list[Sample]]:
    found: defaultdict[str, list[Sample]] = defaultdict(list)
    for sample in variant.samples:
        found[sample.operation].append(sample)
    return found


def _mean(number: Callable[[Sample], int | None], samples: Sequence[Sample]) -> float | None:
    counts = [count for each in samples if each.error is None and (count := number(each)) is not None]
    return math.fsum(counts) / len(counts) if counts else None


def _kinds_of_error(samples: Sequence[Sample]) -> str:
    return ", ".join(sorted({each.error for each in samples if each.error is not None}))


def _calls_changed(one: Sequence[Sample], other: Sequence[Sample]) -> str:
    """`access.record 0 → 20, search 1 → 2`, for each request."""
    calls = [_calls(one), _calls(other)]
    changed = [
        f"{name} {_number(calls[0].get(name, 0.0))} → {_number(calls[1].get(name, 0.0))}"
        for name in sorted({*calls[0], *calls[1]})
        if not math.isclose(calls[0].get(name, 0.0), calls[1].get(name, 0.0))
    ]
    return ", ".join(changed)


def _calls(samples: Sequence[Sample]) -> Mapping[str, float]:
    total: defaultdict[str, float] = defaultdict(float)
    for each in samples:
        for name, times in (each.calls or {}).items():
            total[name] += times / len(samples)
    return total


def _number(value: float) -> str:
    return f"{value:.4g}"


def _counter(view: PairView, subject: str, name: str, sides: Sequence[float], *, detail: str = "") -> GateFinding:
    return GateFinding(
        view.pair.place, subject, name, "counted", sides[0], sides[1], detail, is_worse=sides[1] > sides[0]
    )


def _per_request(
    phases: Sequence[tuple[PhaseRecord, PhaseRecord]], counter: GateCounter
) -> Sequence[tuple[float, float]]:
    """Of the base and of the candidate, around each phase of one user in which both were counted."""
    return [
        (_of_phase(pair[0], counter), _of_phase(pair[1], counter))
        for pair in phases
        if any(name in side.counters for side in pair for name in counter.counters)
        and not any(name in side.uncounted for side in pair for name in counter.counters)
        and is_of_one_user(pair[0])
    ]


def _of_phase(phase: PhaseRecord, counter: GateCounter) -> float:
    return math.fsum(phase.counters.get(name, 0.0) for name in counter.counters) / phase.started


def _beyond_room(
    view: PairView, operation: str, counter: GateCounter, values: Sequence[tuple[float, float]]
) -> Iterable[GateFinding]:
    """The median phase decides, since the server may do something of its own in any of them."""
    base, candidate = (statistics.median(each[side] for each in values) for side in (0, 1))
    room = max(counter.least, counter.share * base)
    if abs(candidate - base) > room:
        detail = _calls_changed(
            [each for each in view.base.samples if each.operation == operation],
            [each for each in view.candidate.samples if each.operation == operation],
        )
        yield _counter(view, operation, counter.name, (base, candidate), detail=detail)


def _table_counters(view: PairView, phases: Sequence[tuple[PhaseRecord, PhaseRecord]]) -> Iterable[GateCounter]:
    """Of those that somebody asked for something: not of what the target polls."""
    names = {name for pair in phases if _tells_tables(pair) for side in pair for name in side.counters}
    for name in sorted(names):
        what, _, table = name.partition(" ")
        if what in TABLE_COUNTERS and table not in view.polled_tables:
            kind = TABLE_COUNTERS[what]
            yield replace(kind, name=kind.name.format(table=table), counters=(name,))


def _tells_tables(pair: tuple[PhaseRecord, PhaseRecord]) -> bool:
    """Whether the sessions of both sides told what they did when it was read, and not some seconds later."""
    return not any("rows_read" in side.uncounted for side in pair)


def _hit_rate(view: PairView) -> Iterable[GateFinding]:
    rates = [side.cache.get("hit_rate", 0.0) for side in (view.base, view.candidate)]
    if abs(rates[0] - rates[1]) > 0.02:  # noqa: PLR2004 -- of look-ups that run side by side, as few may be shared
        yield GateFinding(
            view.pair.place,
            "all",
            "cache hits, as a share",
            "counted",
            rates[0],
            rates[1],
            is_worse=rates[1] < rates[0],
        )


def _pool(view: PairView) -> Iterable[GateFinding]:
    """Of half as many sessions or fewer: a pool that grows as it is asked may have one more or less."""
    for operation, phases in view.by_operation().items():
        several = [pair for pair in phases if not is_of_one_user(pair[0])]
        before, after = (
            max((pair[side].counters.get("database_sessions", 0.0) for pair in several), default=0.0) for side in (0, 1)
        )
        if 0 < after <= before / 2:
            yield GateFinding(view.pair.place, operation, "sessions with the database", "counted", before, after)
