"""Says what a gate found: which counts grew from the base to the candidate, which plans lost an index.

Pure: reads a record whose variants are pairs. What is counted is compared as it is, or with room for what a server does
by itself. What is timed is screened by a test of ranks over small phases, and counts only where each further round,
in which both sides took turns, shows it again.
"""

import math
import re
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from typing import Final, Literal, cast

import scipy

from harness.errors import ExitCode
from harness.judging.budget_metrics.memory_growth import levels_of
from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.comparison import COUNTERS, MetricComparison, compared_figures
from harness.judging.plan_differences import PlanDifference, compare_plans, plan_side
from harness.judging.searches import is_approximate, recall_of, recalls_of, tells_complete
from harness.judging.waivers import NO_WAIVERS, Standing, Waiver, Waivers, day_of, standing, unknown
from harness.quantities import number_of, share
from harness.record import INTERRUPTED, PhaseRecord, PlanRecord, RunRecord, VariantRecord
from harness.samples import Sample

FindingKind = Literal["counted", "planned", "timed"]

RISK: Final = 0.005
"""Of one screening by ranks; a finding has come through three."""

ROUNDS: Final = 3
COPIES_MIN: Final = 5
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


@dataclass(frozen=True, slots=True)
class GatePair:
    """The variants of one place."""

    place: str
    base: str
    candidate: str


WHOLE_SCENARIO: Final = "whole scenario"
"""The place of what is no phase of the gate's own."""


@dataclass(frozen=True, slots=True)
class GateFinding:
    """Says what is otherwise at the candidate.

    Times are milliseconds, sizes bytes; `detail` says where it comes from.
    """

    place: str
    """Where it was found: at a size of the data, or apart."""
    subject: str
    """The operation or statement."""
    counter: str
    """What is counted, in words."""
    kind: FindingKind
    """Whether it was counted, planned or timed."""
    before: float | None = None
    """What the base came to, for each request."""
    after: float | None = None
    """What the candidate came to."""
    detail: str = ""
    """The statements or the plan that it comes from; empty where nobody can tell."""
    is_worse: bool = True
    """Whether it fails the gate."""
    standing: Standing | None = None
    """What it is with its waiver; None without one."""

    @property
    def figure(self) -> str:
        """Names what is otherwise, wherever it was found: a latency of the whole scenario as comparisons do."""
        return f"{self.subject}{'.' if self.place == WHOLE_SCENARIO else ' '}{self.counter}"


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """The outcome, and everything that differs, what fails the gate first."""

    outcome: Outcome
    sentence: str
    findings: tuple[GateFinding, ...]
    exit_code: ExitCode

    @property
    def worse(self) -> tuple[GateFinding, ...]:
        return tuple(each for each in self.findings if each.is_worse)


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

MEMORIES: Final[Mapping[str, str]] = {"memory": "client_kept_bytes", "service memory": "service_memory_bytes"}
PROCESSOR_TIMES: Final[Mapping[str, str]] = {"client CPU": "client_cpu_s", "service CPU": "service_cpu_s"}
OF_THE_CLIENT: Final = frozenset({"client CPU", "memory"})


@dataclass(frozen=True, slots=True)
class PairView:
    """Both sides of a place in one round."""

    pair: GatePair
    base: VariantRecord
    candidate: VariantRecord
    runs_client: bool
    """Whether the client's own process is what is measured."""
    polled_tables: frozenset[str]
    """What the target reads again and again by itself."""

    @property
    def phases(self) -> Iterable[tuple[PhaseRecord, PhaseRecord]]:
        """Of which both sides sent as many requests."""
        others = {each.name: each for each in self.candidate.phases}
        for phase in self.base.phases:
            other = others.get(phase.name)
            if other is not None and other.started == phase.started > 0:
                yield phase, other

    def by_operation(self) -> Mapping[str, list[tuple[PhaseRecord, PhaseRecord]]]:
        found: defaultdict[str, list[tuple[PhaseRecord, PhaseRecord]]] = defaultdict(list)
        for base, other in self.phases:
            found[base.workload].append((base, other))
        return found


RECALL_LOSS: Final = 0.03
"""By which share less may be found than at the base, since chance builds such an index."""
RECALL: Final = "recall, as a share"


@dataclass(frozen=True, slots=True)
class GateRecall:
    """Says what both sides find at a place of what an exact search does; None where nobody knows."""

    place: str
    """The size of the data."""
    operation: str
    """The operation that searches."""
    base: float | None
    """The base's share."""
    candidate: float | None
    """The candidate's share."""

    @property
    def sentence(self) -> str:
        return f"Recall of {self.operation}, {self.place}: {share(self.candidate)} ({share(self.base)} at the base)."


def gate_recalls(record: RunRecord, pairs: Sequence[GatePair]) -> Sequence[GateRecall]:
    """Of each operation that may miss something on either side, at each size of the data."""
    first = [view for pair in pairs for view in list(_views(record, pair))[:1]]
    return [each for view in first for each in _recalls(view)]


def _recalls(view: PairView) -> Iterable[GateRecall]:
    """Where both ask far away, they find what they find at the same size nearby."""
    for operation, phases in view.by_operation().items():
        sides = view.base, view.candidate
        counted = any(_is_of_one_user(pair[0]) for pair in phases) and len(phases) >= COPIES_MIN
        missing = any(is_approximate(side, operation) and not tells_complete(side, operation) for side in sides)
        known = any(recalls_of(side, operation) for side in sides) and not any(side.plans for side in sides)
        if counted and (missing or known):
            yield GateRecall(view.pair.place, operation, *(_recall(side, operation) for side in sides))


def _recall(side: VariantRecord, operation: str) -> float | None:
    """All where no plan of the side may miss anything, and it was held against nothing."""
    found = recall_of(side, operation)
    return 1.0 if found is None and side.plans and not is_approximate(side, operation) else found


def _recalls_lost(view: PairView) -> Iterable[GateFinding]:
    for each in _recalls(view):
        if each.base is not None and each.candidate is not None and abs(each.base - each.candidate) > RECALL_LOSS:
            is_worse = each.candidate < each.base
            sides = each.base, each.candidate
            yield GateFinding(each.place, each.operation, RECALL, "counted", *sides, is_worse=is_worse)


def judge_gate(
    record: RunRecord,
    pairs: Sequence[GatePair],
    waivers: Waivers = NO_WAIVERS,
    latencies: Sequence[GateFinding] = (),
) -> GateVerdict:
    """Counts of the first round that a pair has; times that each of its rounds shows; and what is accepted of them.

    `latencies` are what a comparison found besides.
    """
    findings: list[GateFinding] = [*latencies]
    measured = 0
    for pair in pairs:
        views = list(_views(record, pair))
        if not views:
            continue
        measured += 1
        findings += _counted(views[0])
        findings += _planned(record, pair)
        findings += _confirmed(views)
    findings = list(_with_waivers(findings, waivers, day_of(record.started_at), is_whole=measured == len(pairs)))
    ordered = sorted(findings, key=lambda each: (not each.is_worse, FINDING_KINDS.index(each.kind)))
    unknown_recalls = [each for each in gate_recalls(record, pairs) if None in {each.base, each.candidate}]
    outcome, code = _outcome(record, ordered, measured, len(pairs), unknown_recalls)
    sentence = _sentence(record, ordered, measured, len(pairs), unknown_recalls)
    return GateVerdict(outcome, sentence, tuple(ordered), code)


def latency_findings(compared: Sequence[MetricComparison]) -> tuple[GateFinding, ...]:
    """Says what a comparison of the whole scenario, both sides in turn, shows to be slower or faster."""
    return tuple(
        GateFinding(
            WHOLE_SCENARIO,
            each.operation,
            each.metric,
            "timed",
            None if each.baseline_s is None else each.baseline_s * 1_000,
            None if each.candidate_s is None else each.candidate_s * 1_000,
            f"{each.difference.ratio:.2f} times ({each.difference.lower:.2f} to {each.difference.upper:.2f})",
            is_worse=each.difference.word == "slower",
        )
        for each in compared
        if each.difference is not None and each.difference.word in {"slower", "faster"}
    )


def _with_waivers(
    findings: Sequence[GateFinding], waivers: Waivers, on: date, *, is_whole: bool
) -> Iterable[GateFinding]:
    """What differs, and waivers of what does not; a time may differ in the next gate, so its waiver may stay."""
    for each in findings:
        waiver = waivers.get(each.figure) if each.is_worse else None
        if waiver is None:
            yield each
            continue
        stands = standing(waiver, Outcome.FAIL, on, accepted=_within(each, waiver))
        yield replace(each, standing=stands, is_worse=stands.outcome is Outcome.FAIL)
    worse = {each.figure for each in findings if each.is_worse}
    for name, waiver in waivers.items():
        # A figure of a comparison alone has a dot where those of gates have a blank.
        if name not in worse and not name.endswith(TIMED_FIGURES) and is_whole and " " in name:
            subject, _, counter = name.partition(" ")
            stands = standing(waiver, Outcome.PASS, on)
            yield GateFinding("everywhere", subject, counter, "counted", standing=stands)


def _within(finding: GateFinding, waiver: Waiver) -> Outcome:
    """By what share it is worse, beside what is accepted; of what has no size, anything is."""
    accepted = waiver.accepted_share
    if accepted is None or finding.before is None or finding.after is None:
        return Outcome.PASS
    beyond = abs(finding.after - finding.before) > accepted * abs(finding.before)
    return Outcome.FAIL if beyond else Outcome.PASS


TIMED_FIGURES: Final = (", ms", ", bytes kept", "beside one alone")


def figure_names(operations: Iterable[str]) -> Sequence[str]:
    """Names what a gate may find of these operations, but for tables and statements."""
    counters = (
        *COUNTERS,
        "errors",
        *(each.name for each in PHASE_COUNTERS),
        RECALL,
        "time, ms",
        "sessions with the database",
    )
    return [f"{operation} {counter}" for operation in operations for counter in counters] + [HIT_FIGURE]


HIT_FIGURE: Final = "all cache hits, as a share"
OF_STATEMENTS_AND_TABLES: Final = re.compile(
    r"\S+ (?:plan|time of the statement, ms|(?:client|service) CPU, ms|(?:service )?memory, bytes kept"
    r"|several at once, beside one alone|rows of \S+ read or written|blocks of \S+)"
)


def refuse_unknown_figures(waivers: Waivers, subjects: Sequence[str]) -> None:
    """Raises `UsageError` for a waiver of what no gate or comparison of these operations and phases finds."""
    known = [*figure_names(subjects), *compared_figures(subjects)]
    for name, waiver in waivers.items():
        if name not in known and not OF_STATEMENTS_AND_TABLES.fullmatch(name):
            raise unknown(waiver, known, "figure")


FINDING_KINDS: Final[tuple[FindingKind, ...]] = ("counted", "planned", "timed")


def doubted_places(record: RunRecord, pairs: Sequence[GatePair]) -> frozenset[str]:
    """Where a time is longer in every round until now, and another round may say more."""
    found: set[str] = set()
    for pair in pairs:
        views = list(_views(record, pair))
        if views and len(views) < ROUNDS and _confirmed(views):
            found.add(pair.place)
    return frozenset(found)


def _views(record: RunRecord, pair: GatePair) -> Iterable[PairView]:
    by_name = {each.name: each for each in record.variants}
    base, candidate = by_name.get(pair.base), by_name.get(pair.candidate)
    if base is None or candidate is None:
        return
    polled = frozenset(cast("list[str]", record.scenario.get("polled_tables", [])))
    runs_client = record.scenario.get("target") != "sql" and candidate.in_process
    for number in range(1, ROUNDS + 1):
        one, other = _of_round(base, number), _of_round(candidate, number)
        if one.phases and other.phases:
            yield PairView(pair, one, other, runs_client, polled)


def _of_round(variant: VariantRecord, number: int) -> VariantRecord:
    return variant.model_copy(
        update={
            "samples": tuple(each for each in variant.samples if each.round == number),
            "phases": tuple(each for each in variant.phases if each.round == number),
        }
    )


def _counted(view: PairView) -> Iterable[GateFinding]:
    yield from _requests(view)
    for operation, phases in view.by_operation().items():
        tells = any(each.round_trips is not None for each in view.base.samples if each.operation == operation)
        own = [each for each in PHASE_COUNTERS if not (tells and each.name == ROUND_TRIPS)]
        for counter in (*own, *_table_counters(view, phases)):
            yield from _per_phase(view, operation, phases, counter)
    yield from _hit_rate(view)
    yield from _pool(view)
    yield from _recalls_lost(view)


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


def _per_phase(
    view: PairView, operation: str, phases: Sequence[tuple[PhaseRecord, PhaseRecord]], counter: GateCounter
) -> Iterable[GateFinding]:
    """The median phase decides, since the server may do something of its own in any of them."""
    values = [
        [math.fsum(side.counters.get(name, 0.0) for name in counter.counters) / side.started for side in pair]
        for pair in phases
        if any(name in side.counters for side in pair for name in counter.counters)
        and not any(name in side.uncounted for side in pair for name in counter.counters)
        and _is_of_one_user(pair[0])
    ]
    if not values:
        return
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


def _is_of_one_user(phase: PhaseRecord) -> bool:
    """Requests that run side by side take turns as they come."""
    return phase.users == 1


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
        several = [pair for pair in phases if not _is_of_one_user(pair[0])]
        before, after = (
            max((pair[side].counters.get("database_sessions", 0.0) for pair in several), default=0.0) for side in (0, 1)
        )
        if 0 < after <= before / 2:
            yield GateFinding(view.pair.place, operation, "sessions with the database", "counted", before, after)


def _planned(record: RunRecord, pair: GatePair) -> Iterable[GateFinding]:
    polled = frozenset(cast("list[str]", record.scenario.get("polled_tables", [])))
    compared = compare_plans(plan_side(record, pair.base), plan_side(record, pair.candidate))
    for each in compared.differing:
        if each.before is not None and each.after is not None and not _is_polled(each.after, polled):
            is_worse = _loses_index(each)
            yield GateFinding(pair.place, each.statement, "plan", "planned", detail=each.sentence, is_worse=is_worse)


def _is_polled(plan: PlanRecord, polled: frozenset[str]) -> bool:
    """Its tables grow and shrink all the time, and their statistics with them."""
    return plan.root is not None and any(step.relation in polled for step in plan.root.walk())


def _loses_index(difference: PlanDifference) -> bool:
    """Whether a table is read as a whole now, or an index is used no more."""
    assert difference.before is not None
    assert difference.after is not None
    scanned = set(difference.after.scans) - set(difference.before.scans)
    return bool(scanned) or any(each.kind == "index lost" for each in difference.changes)


def _confirmed(views: Sequence[PairView]) -> Sequence[GateFinding]:
    """What every round found of the same."""
    by_round = [{(each.subject, each.counter): each for each in _timed(view)} for view in views]
    return [each for key, each in by_round[-1].items() if all(key in found for found in by_round)]


def _timed(view: PairView) -> Iterable[GateFinding]:
    operations = view.by_operation()
    for operation, phases in operations.items():
        alone = [pair for pair in phases if _is_of_one_user(pair[0])]
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


def _outcome(
    record: RunRecord,
    findings: Sequence[GateFinding],
    measured: int,
    wanted: int,
    unknown_recalls: Sequence[GateRecall],
) -> tuple[Outcome, ExitCode]:
    if record.interruption == INTERRUPTED:
        return Outcome.INVALID, ExitCode.INTERRUPTED
    if any(each.is_worse for each in findings):
        return Outcome.FAIL, ExitCode.FAIL
    if record.interruption or measured < wanted or unknown_recalls:
        return Outcome.INVALID, ExitCode.INVALID
    waived = any(each.standing for each in findings)
    return (Outcome.PASS_WITH_WAIVERS if waived else Outcome.PASS), ExitCode.PASS


def _sentence(
    record: RunRecord,
    findings: Sequence[GateFinding],
    measured: int,
    wanted: int,
    unknown_recalls: Sequence[GateRecall],
) -> str:
    worse = [each for each in findings if each.is_worse]
    if worse:
        named = dict.fromkeys(f"{each.subject} {each.counter.partition(',')[0]}" for each in worse)
        shown = list(named)[:SHOWN]
        more = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
        return f"Worse than the base: {', '.join(shown)}{more}."
    if record.interruption:
        return f"The gate came to no end: {record.interruption}."
    if measured < wanted:
        return f"Both sides were measured in {measured} of {number_of(wanted, 'place')}, so nothing is shown."
    if unknown_recalls:
        return (
            f"{unknown_recalls[0].operation} searches by an index that may miss what there is, and the target does not "
            "search exactly as well, so nothing shows that it finds as much as the base. SQL does by one statement "
            "that reads, a Python class by a method `exact`: gate that."
        )
    waived = list(dict.fromkeys(f"{each.figure}: {each.standing.sentence}" for each in findings if each.standing))
    if waived:
        return f"Nothing else is worse than the base. {' '.join(waived)}"
    better = len(findings)
    return "Nothing is worse than the base" + (f"; otherwise: {number_of(better, 'figure')}." if better else ".")


SHOWN: Final = 5
