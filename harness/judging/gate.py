"""Says what a gate found: which counts grew from the base to the candidate, which plans lost an index.

Pure: reads a record whose variants are pairs. What is counted is compared as it is, or with room for what a server does
by itself. What is timed is screened by a test of ranks over small phases, and counts only where each further round,
in which both sides took turns, shows it again.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final, cast

from harness.errors import ExitCode
from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.comparison import COUNTERS, MetricComparison, compared_figures
from harness.judging.gate_findings import DECIDED_AT_ONCE, SHOWN_AGAIN
from harness.judging.gate_findings.counted import HIT_FIGURE, PHASE_COUNTERS
from harness.judging.gate_findings.protocol import WHOLE_SCENARIO, Finder, FindingKind, GateFinding, GatePair, PairView
from harness.judging.gate_findings.recalls import RECALL, GateRecall, recalls
from harness.judging.plan_differences import plan_side
from harness.judging.waivers import NO_WAIVERS, Waiver, Waivers, day_of, standing, unknown
from harness.quantities import number_of
from harness.record import INTERRUPTED, RunRecord, VariantRecord

ROUNDS: Final = 3


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


def gate_recalls(record: RunRecord, pairs: Sequence[GatePair]) -> Sequence[GateRecall]:
    """Of each operation that may miss something on either side, at each size of the data."""
    first = [view for pair in pairs for view in list(_views(record, pair))[:1]]
    return [each for view in first for each in recalls(view)]


def judge_gate(
    record: RunRecord,
    pairs: Sequence[GatePair],
    waivers: Waivers = NO_WAIVERS,
    latencies: Sequence[GateFinding] = (),
) -> GateVerdict:
    """Counts of the first round that a pair has, what each of its rounds shows, and what is accepted of them.

    Each round has to show times, and counts around a single phase. `latencies` are what a comparison found besides.
    """
    findings: list[GateFinding] = [*latencies]
    measured = 0
    for pair in pairs:
        views = list(_views(record, pair))
        if not views:
            continue
        measured += 1
        for find in DECIDED_AT_ONCE.values():
            findings += find(views[0])
        for find in SHOWN_AGAIN.values():
            findings += _confirmed(find, views)
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
    """Where every round until now shows what may be chance, and another round may say more.

    Not where the same figure is decided anyway, at another size of the data.
    """
    by_pair = {pair.place: list(_views(record, pair)) for pair in pairs}
    decided = {
        each.figure
        for views in by_pair.values()
        for find in DECIDED_AT_ONCE.values()
        for each in (find(views[0]) if views else ())
        if each.is_worse
    }
    return frozenset(
        place
        for place, views in by_pair.items()
        if 0 < len(views) < ROUNDS
        and any(
            each.is_worse and each.figure not in decided
            for find in SHOWN_AGAIN.values()
            for each in _confirmed(find, views)
        )
    )


def _views(record: RunRecord, pair: GatePair) -> Iterable[PairView]:
    by_name = {each.name: each for each in record.variants}
    base, candidate = by_name.get(pair.base), by_name.get(pair.candidate)
    if base is None or candidate is None:
        return
    polled = frozenset(cast("list[str]", record.scenario.get("polled_tables", [])))
    runs_client = record.scenario.get("target") != "sql" and candidate.in_process
    plans = plan_side(record, pair.base), plan_side(record, pair.candidate)
    for number in range(1, ROUNDS + 1):
        one, other = _of_round(base, number), _of_round(candidate, number)
        if one.phases and other.phases:
            yield PairView(pair, one, other, runs_client, polled, plans)


def _of_round(variant: VariantRecord, number: int) -> VariantRecord:
    return variant.model_copy(
        update={
            "samples": tuple(each for each in variant.samples if each.round == number),
            "phases": tuple(each for each in variant.phases if each.round == number),
        }
    )


def _confirmed(find: Finder, views: Sequence[PairView]) -> Sequence[GateFinding]:
    """What every round found of the same."""
    by_round = [{(each.subject, each.counter, each.is_worse): each for each in find(view)} for view in views]
    return [each for key, each in by_round[-1].items() if all(key in found for found in by_round)]


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
