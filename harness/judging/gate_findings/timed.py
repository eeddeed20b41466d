"""Times and memory, screened by a test of ranks over small phases: each further round has to show them again."""

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

import scipy

from harness.judging.budget_metrics.memory_growth import levels_of
from harness.judging.gate_findings.protocol import COPIES_MIN, GateFinding, PairView, is_of_one_user
from harness.record import PhaseRecord, VariantRecord
from harness.samples import Sample

RISK: Final = 0.005
"""Of one screening by ranks; a finding has come through three."""

LONGER_S: Final = 0.0004
LONGER_SHARE: Final = 0.15
OVERLAP_SHARE: Final = 0.35
"""By which several at once have to take longer, beside one alone, than at the base."""

OVERLAP_S: Final = 0.003
KEPT_BYTES: Final = 500
KEPT_SHARE: Final = 0.15
"""By which more has to be kept of each request than at the base, where that keeps something too."""
KEPT_MIN: Final = 4
"""Phases of a side that have to be read."""
STEADY: Final = 0.5
"""How little a phase may keep, beside the others: a cache that becomes full keeps less and less."""

PARTS: Final = frozenset({"pool", "embedding", "coalesced", "retries"})
"""Of a sample's times: what is no statement."""


MEMORIES: Final[Mapping[str, str]] = {"memory": "client_kept_bytes", "service memory": "service_memory_bytes"}
PROCESSOR_TIMES: Final[Mapping[str, str]] = {"client CPU": "client_cpu_s", "service CPU": "service_cpu_s"}
OF_THE_CLIENT: Final = frozenset({"client CPU", "memory"})


def timed(view: PairView) -> Iterable[GateFinding]:
    operations = view.by_operation()
    for operation, phases in operations.items():
        alone = [pair for pair in phases if is_of_one_user(pair[0])]
        yield from _longer(view, operation, "time", _latencies(view, alone))
        for statement, values in _statement_times(view, alone).items():
            yield from _longer(view, statement, "time of the statement", values)
        for name, counter in PROCESSOR_TIMES.items():
            if view.runs_client or name not in OF_THE_CLIENT:
                yield from _longer(view, operation, name, _per_request(alone, counter))
        for name, level in MEMORIES.items():
            if view.runs_client or name not in OF_THE_CLIENT:
                yield from _kept(view, operation, name, alone, level)
        yield from _overlap(view, operation)


SideValues = tuple[list[float], list[float]]
"""Of the base and of the candidate, phase by phase."""


def _latencies(view: PairView, phases: Sequence[tuple[PhaseRecord, PhaseRecord]]) -> SideValues:
    return _medians(view, phases, lambda sample: sample.service_time_s)


def _medians(
    view: PairView, phases: Sequence[tuple[PhaseRecord, PhaseRecord]], value: Callable[[Sample], float | None]
) -> SideValues:
    """Of the answered requests of each phase."""
    found: SideValues = ([], [])
    names = [pair[0].name for pair in phases]
    for side, variant in enumerate((view.base, view.candidate)):
        by_phase: defaultdict[str, list[float]] = defaultdict(list)
        for sample in variant.samples:
            measured = value(sample) if sample.error is None else None
            if measured is not None:
                by_phase[sample.phase].append(measured)
        found[side].extend(statistics.median(by_phase[name]) for name in names if by_phase[name])
    return found


def _statement_times(view: PairView, phases: Sequence[tuple[PhaseRecord, PhaseRecord]]) -> Mapping[str, SideValues]:
    names = {phase.name for phase, _ in phases}
    statements = sorted(
        {
            name
            for sample in view.base.samples
            if sample.phase in names
            for name in sample.elapsed_s or {}
            if name not in PARTS
        }
    )
    return {name: _medians(view, phases, partial(_time_of, name)) for name in statements}


def _time_of(statement: str, sample: Sample) -> float | None:
    """Of one execution."""
    elapsed_s = (sample.elapsed_s or {}).get(statement)
    return None if elapsed_s is None else elapsed_s / (sample.calls or {}).get(statement, 1)


def _per_request(phases: Sequence[tuple[PhaseRecord, PhaseRecord]], counter: str) -> SideValues:
    counted = [pair for pair in phases if all(counter in side.counters for side in pair)]
    one, other = ([pair[side].counters[counter] / pair[side].started for pair in counted] for side in (0, 1))
    return one, other


def _longer(view: PairView, subject: str, name: str, values: SideValues) -> Iterable[GateFinding]:
    base, candidate = values
    if min(len(base), len(candidate)) < COPIES_MIN:
        return
    medians = statistics.median(base), statistics.median(candidate)
    if medians[1] - medians[0] < max(LONGER_S, LONGER_SHARE * medians[0]):
        return
    if _above(base, candidate) <= RISK:
        before, after = (median * 1000 for median in medians)
        yield GateFinding(view.pair.place, subject, f"{name}, ms", "timed", before, after)


def _above(base: Sequence[float], candidate: Sequence[float]) -> float:
    """How often chance ranks the candidate as high."""
    return float(scipy.stats.mannwhitneyu(candidate, base, alternative="greater").pvalue)


def _kept(
    view: PairView, operation: str, name: str, phases: Sequence[tuple[PhaseRecord, PhaseRecord]], level: str
) -> Iterable[GateFinding]:
    """What each request leaves in memory, where every phase but the first leaves more than any of the base's."""
    base, candidate = (_kept_bytes([pair[side] for pair in phases], level) for side in (0, 1))
    if min(len(base), len(candidate)) < KEPT_MIN:
        return
    before, after = (max(statistics.median(side), 0) for side in (base, candidate))
    is_steady = min(candidate) > max(*base, STEADY * after)
    if is_steady and after - before > max(KEPT_BYTES, KEPT_SHARE * before):
        yield GateFinding(view.pair.place, operation, f"{name}, bytes kept", "timed", before, after)


def _kept_bytes(phases: Sequence[PhaseRecord], level: str) -> Sequence[float]:
    """Of each request, phase by phase; what is done between them keeps nothing, and the first loads what stays."""
    read = [(phase.started, each.values[level]) for phase in phases if (each := levels_of(phase, level)) is not None]
    return [(values[-1] - values[0]) / started for started, values in read[1:]]


def _overlap(view: PairView, operation: str) -> Iterable[GateFinding]:
    """How much longer several take at once than one alone: what lets nobody else by shows in it."""
    alone, together = (
        [
            [each.service_time_s for each in side.samples if each.operation == operation and _users(side, each) == many]
            for side in (view.base, view.candidate)
        ]
        for many in (False, True)
    )
    if not all(alone) or not all(together):
        return
    pairs = zip(alone, together, strict=True)
    ratios = [statistics.median(many) / statistics.median(one) for one, many in pairs]
    medians = [statistics.median(each) for each in together]
    if ratios[1] < ratios[0] * (1 + OVERLAP_SHARE) or medians[1] - medians[0] < OVERLAP_S:
        return
    if _above(together[0], together[1]) <= RISK:
        yield GateFinding(
            view.pair.place, operation, "several at once, beside one alone", "timed", ratios[0], ratios[1]
        )


def _users(side: VariantRecord, sample: Sample) -> bool:
    """Whether several asked side by side when it was sent."""
    return any(phase.name == sample.phase and (phase.users or 0) > 1 for phase in side.phases)
