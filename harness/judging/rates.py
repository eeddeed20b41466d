"""Says what a variant's phase came to at one rate: whether all budgets hold there, and what breaks if they do not.

A rate holds when every budget passes on the requests that were sent at it, and these do not pile up: a queue that grows
as long as it is asked has no latency, only one until now.

What disturbs a measurement makes it slower: a late generator, a machine that others use. So a rate that holds in spite
of it holds. One that breaks is believed where it was not disturbed, or breaks without what the generator was late with;
else it is measured again. What could not be sent at all says nothing.
"""

import math
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from statistics import fmean
from typing import Final, Literal

from harness.judging.analysis.quantiles import CONFIDENCE, quantile, samples_min
from harness.judging.analysis.sequential import risk_spent
from harness.judging.budget_metrics import METRICS
from harness.judging.budget_metrics.memory_growth import MemoryGrowth
from harness.judging.budget_metrics.protocol import Evaluation, Outcome
from harness.judging.budgets import CAPACITY, SUBJECTS, Budget, parse
from harness.judging.declaration import Declaration
from harness.judging.evaluation import evaluate
from harness.judging.validity_checks import VALIDITY_CHECKS
from harness.quantities import count, number_of, quantity, rate, share
from harness.record import AskedFor, AskedRate, PhaseRecord, RunRecord, VariantRecord
from harness.samples import Sample

RateWord = Literal["holds", "breaks", "undecided", "invalid"]

SPOILING: Final = ("swallowed_errors", "exhausted_generator", "lost_samples")
"""The validity checks whose objection leaves nothing to say of a round."""

LATE: Final = "late_generator"
SLOWING: Final = ("saturated_client", "stopped_generator", "throttled_generator", "stolen_time")
"""Those whose objection leaves open whether the system would have been as slow by itself."""

BY_RATE: Final = frozenset({"exhausted_generator", LATE, "saturated_client", "missed_rate"})
"""Those that a lower rate might not have met: the load generator is at its end."""

SPOILED_MAX: Final = 3
"""So many rounds of a rate may be spoiled, each of which is measured again, before that is taken for what it is."""

LOOKS_MAX: Final = 4
"""Rounds of a rate that is to be confirmed, while it is undecided."""

PARTS: Final = 5
PILED_UP_SHARE: Final = 0.02
PILED_UP_MIN: Final = 5
PILED_UP: Final = "requests pile up"
ALL_FAILED: Final = "all requests fail"
"""What breaks where no budget does."""


@dataclass(frozen=True, slots=True)
class TriedRate:
    """A rate as it was judged, by all of its rounds that say something."""

    rate_per_s: float
    """How many requests were to start in each second."""
    purpose: AskedFor
    """Why it was asked for."""
    rounds: tuple[int, ...]
    """The rounds in which it was."""
    word: RateWord
    """Whether all budgets hold at it."""
    leans: bool
    """Whether what was measured is within all limits, sure or not."""
    settled: bool
    """Whether another round would change nothing."""
    by: str
    """What breaks or is undecided: a budget, or what else ends a rate; empty where it holds."""
    also: tuple[str, ...]
    """Budgets that fail besides."""
    sentence: str
    """How it stands, in a sentence without its full stop."""
    is_generators: bool
    """Whether it was the load generator that could not go on."""
    requests: int
    """How many requests were measured."""
    answered_per_s: float | None
    """How many were answered in each second; None without any."""
    errors: float
    """The share of them that failed."""
    p50_s: float | None
    """The median of the latencies; None where nothing was measured."""
    p95_s: float | None
    """What 95 % of the latencies do not exceed; None where nothing was measured."""
    p99_s: float | None
    """What 99 % of the latencies do not exceed; None where nothing was measured."""


@dataclass(frozen=True, slots=True)
class HeldBudgets:
    """The budgets that a phase is held to at each rate, and of the others why they are not."""

    held: tuple[Budget, ...]
    set_aside: Mapping[str, str]

    @property
    def samples_min(self) -> int:
        """With fewer requests none of them could pass."""
        return max((METRICS[each.metric].samples_min for each in self.held), default=1)


def held_budgets(declared: Declaration, variant: str, phase: str) -> HeldBudgets:
    """Those that are of this phase and say something of a rate."""
    held: list[Budget] = []
    aside: dict[str, str] = {}
    for budget in map(parse, declared.budgets):
        if budget.metric == CAPACITY or budget.variant not in (None, variant):
            continue
        if why := _no_use(declared, budget, phase):
            aside[str(budget)] = why
        else:
            held.append(budget)
    return HeldBudgets(tuple(held), aside)


def _no_use(declared: Declaration, budget: Budget, phase: str) -> str:
    """Why the budget is not one that a rate of this phase could break; empty where it is."""
    metric, operations = METRICS[budget.metric], declared.planned.get(phase, {})
    shared = metric.scope == "phase" and budget.subject != phase and len(operations) > 1
    reasons = {
        "it is of the whole run, not of a rate": budget.subject in SUBJECTS
        or metric.scope not in ("requests", "phase"),
        f"{budget.subject} is not asked in {phase}": budget.subject not in (phase, *operations),
        f"it is counted around a whole phase, and {budget.subject} shares {phase} with others": shared,
        "the server is asked for it only while nothing is timed": budget.metric == "statements_per_op",
        "it takes more requests than one rate has": isinstance(metric, MemoryGrowth),
        "a rate has no stages": budget.selection.stage is not None,
        "nothing is asked at a rate with a cold cache": budget.selection.cache == "cold",
        "it fails at every lower rate": budget.metric == "throughput" and budget.limit.comparator == ">=",
    }
    return next((reason for reason, applies in reasons.items() if applies), "")


class MeasuredRates:
    """The record of a search, by what was asked: which requests and phases belong to a variant's phase in a round."""

    def __init__(self, record: RunRecord) -> None:
        self.record = record
        self._variants = {each.name: each for each in record.variants}
        self._samples: dict[tuple[str, str, int], list[Sample]] = {}
        self._phases: dict[tuple[str, str, int], PhaseRecord] = {}
        for variant in record.variants:
            for sample in variant.samples:
                self._samples.setdefault((variant.name, sample.phase, sample.round), []).append(sample)
            for phase in variant.phases:
                self._phases[variant.name, phase.name, phase.round] = phase

    def was_measured(self, asked: AskedRate) -> bool:
        return (asked.variant, asked.phase, asked.round) in self._phases

    def phase_of(self, asked: AskedRate) -> PhaseRecord:
        return self._phases[asked.variant, asked.phase, asked.round]

    def part(self, asked: Sequence[AskedRate]) -> VariantRecord:
        """The variant with nothing but what was measured in these rounds of one phase."""
        keys = [(each.variant, each.phase, each.round) for each in asked]
        return self._variants[asked[0].variant].model_copy(
            update={
                "samples": tuple(sample for key in keys for sample in self._samples.get(key, ())),
                "phases": tuple(self._phases[key] for key in keys),
                "disruptions": (),
            }
        )

    def alone(self, part: VariantRecord) -> RunRecord:
        """As if it were a whole run, for the validity checks."""
        whole = {"variants": (part,), "state": "complete", "interruption": None}
        return self.record.model_copy(update=whole)

    def tries(self, variant: str, phase: str) -> Iterator[list[AskedRate]]:
        """The rates that were measured, in order; the rounds of one rate together."""
        asked = [
            each
            for each in self.record.rates
            if (each.variant, each.phase) == (variant, phase) and self.was_measured(each)
        ]
        for _, same in groupby(asked, key=lambda each: (each.purpose, each.rate_per_s)):
            yield list(same)


JudgedRates = dict[tuple[str, str, tuple[int, ...]], TriedRate]
"""What has been judged, by variant, phase and rounds: what was measured in a round does not change any more."""


def tried_rates(
    measured: MeasuredRates, budgets: HeldBudgets, variant: str, phase: str, judged: JudgedRates
) -> list[TriedRate]:
    """All that were tried to find the capacity, in order; what was only observed is none of them."""
    found: list[TriedRate] = []
    confirmations = 0
    for asked in measured.tries(variant, phase):
        if asked[0].purpose == "observe":
            continue
        confirmations += asked[0].purpose == "confirm"
        key = (variant, phase, tuple(each.round for each in asked))
        if key not in judged:
            judged[key] = _judged(measured, budgets, asked, _risk(asked[0].purpose, confirmations))
        found.append(judged[key])
    return found


def _risk(purpose: AskedFor, number: int) -> float:
    """Each rate that is to be confirmed is another look at the capacity, and all of them share the risk."""
    return (
        risk_spent(number) - (risk_spent(number - 1) if number > 1 else 0.0) if purpose == "confirm" else 1 - CONFIDENCE
    )


def _judged(measured: MeasuredRates, budgets: HeldBudgets, asked: Sequence[AskedRate], risk: float) -> TriedRate:
    found = _believed(measured, budgets, asked, risk)
    rounds_max = {"undecided": LOOKS_MAX if asked[0].purpose == "confirm" else 1, "invalid": SPOILED_MAX}
    part = measured.part(asked)
    latencies = sorted(math.inf if each.error else each.latency_s for each in part.samples)
    answered = sum(each.error is None for each in part.samples)
    elapsed_s = sum(each.ended_s - each.started_s for each in part.phases)
    return TriedRate(
        rate_per_s=asked[0].rate_per_s,
        purpose=asked[0].purpose,
        rounds=tuple(each.round for each in asked),
        word=found.word,
        leans=found.leans,
        settled=len(asked) >= rounds_max.get(found.word, 1),
        by=found.by,
        also=found.also,
        sentence=found.sentence,
        is_generators=found.is_generators,
        requests=len(latencies),
        answered_per_s=answered / elapsed_s if elapsed_s else None,
        errors=1 - answered / len(latencies) if latencies else 0.0,
        p50_s=quantile(latencies, 0.5) if latencies else None,
        p95_s=quantile(latencies, 0.95) if latencies else None,
        p99_s=quantile(latencies, 0.99) if latencies else None,
    )


@dataclass(frozen=True, slots=True)
class _Finding:
    word: RateWord
    leans: bool
    by: str = ""
    also: tuple[str, ...] = ()
    sentence: str = ""
    is_generators: bool = False


def _invalid(found: tuple[str, str] | None) -> _Finding:
    check, objection = found or ("", "")
    return _Finding("invalid", leans=False, by=check, sentence=objection, is_generators=check in BY_RATE)


def _believed(measured: MeasuredRates, budgets: HeldBudgets, asked: Sequence[AskedRate], risk: float) -> _Finding:
    """What the rounds come to, unless that is a break that something else may have caused."""
    objections = {each.round: _objection(measured, each, SPOILING) for each in asked}
    whole = [each for each in asked if not objections[each.round]]
    if not whole:
        return _invalid(objections[asked[-1].round])
    found = _finding(measured, measured.part(whole), budgets, whole, risk)
    if found.word != "breaks":
        return found
    slowed = {each.round: _objection(measured, each, SLOWING) for each in whole}
    late = {each.round: _objection(measured, each, (LATE,)) for each in whole}
    sound = [each for each in whole if not slowed[each.round]]
    if not sound:
        return _invalid(slowed[whole[-1].round])
    if sound == whole and not any(late.values()):
        return found
    again = _finding(
        measured, _punctual(measured.part(sound), [each for each in late if late[each]]), budgets, sound, risk
    )
    return again if again.word == "breaks" else _invalid(late[sound[-1].round] or slowed[whole[-1].round])


def _punctual(part: VariantRecord, late: Collection[int]) -> VariantRecord:
    """Without what the generator was late with in these rounds."""
    samples = (replace(each, intended_s=each.started_s) if each.round in late else each for each in part.samples)
    return part.model_copy(update={"samples": tuple(samples)})


def _objection(measured: MeasuredRates, asked: AskedRate, checks: Sequence[str]) -> tuple[str, str] | None:
    """The first of these validity checks that has one against the round, and its sentence."""
    run = measured.alone(measured.part([asked]))
    for name in checks:
        for objection in VALIDITY_CHECKS[name].objections(run):
            return name, objection
    return None


def _finding(
    measured: MeasuredRates, part: VariantRecord, budgets: HeldBudgets, asked: Sequence[AskedRate], risk: float
) -> _Finding:
    if not part.samples:
        return _invalid(("no_requests", "no request was measured: the rate is too low for its time"))
    if all(each.error is not None for each in part.samples):
        return _Finding(
            "breaks", leans=False, by=ALL_FAILED, sentence=f"all of {count(len(part.samples))} requests fail"
        )
    judged = {str(each): _evaluated(each, part, asked, risk, len(budgets.held)) for each in budgets.held}
    worst_first = sorted(judged, key=lambda text: -_over(judged[text]))
    failing = [text for text in worst_first if judged[text].outcome is Outcome.FAIL]
    if failing:
        sentence = _standing(failing[0], judged[failing[0]])
        return _Finding("breaks", leans=False, by=failing[0], also=tuple(failing[1:]), sentence=sentence)
    if piled := _piled_up(part):
        return _Finding("breaks", leans=False, by=PILED_UP, sentence=piled)
    leans = all(_over(each) <= 1 for each in judged.values())
    for objection in VALIDITY_CHECKS["missed_rate"].objections(measured.alone(part)):
        dropped = _Finding("breaks", leans=False, by="missed_rate", sentence=objection)
        return _invalid(("missed_rate", objection)) if leans else dropped
    return _unless_undecided(judged, worst_first, part, leans=leans)


def _unless_undecided(
    judged: Mapping[str, Evaluation], worst_first: Sequence[str], part: VariantRecord, *, leans: bool
) -> _Finding:
    """Where nothing breaks: that all hold, or which cannot be told."""
    for text, each in judged.items():
        if each.outcome is Outcome.INVALID and _has_requests(part, parse(text)):
            return _invalid((text, f"{text} cannot be judged: {each.reason}"))
    unsure = [text for text in worst_first if judged[text].outcome is not Outcome.PASS]
    if unsure:
        return _Finding("undecided", leans=leans, by=unsure[0], sentence=_standing(unsure[0], judged[unsure[0]]))
    return _Finding("holds", leans=True, sentence=_standing(worst_first[0], judged[worst_first[0]]))


def _has_requests(part: VariantRecord, budget: Budget) -> bool:
    """Whether the budget says something of any of them: of a rare operation there may be none at a low rate."""
    return any(map(budget.selects, part.samples))


def _evaluated(
    budget: Budget, part: VariantRecord, asked: Sequence[AskedRate], risk: float, budgets: int
) -> Evaluation:
    """One of many budgets fails by chance more often than one alone, so each FAIL has to be surer."""
    sizes: list[int] = []
    for each in asked:
        sizes.append(sum(sample.round == each.round for sample in part.samples) + (sizes[-1] if sizes else 0))
    looks = [{part.name: size} for size in sizes] if asked[0].purpose == "confirm" else []
    return evaluate(budget, part, looks, risk=risk, risk_share=1 / budgets)


def _over(evaluation: Evaluation) -> float:
    """How many times its limit the measured value is; of a limit from below the other way round."""
    measured, limit = evaluation.measured, evaluation.limit
    if measured is None or limit is None:
        return math.inf if evaluation.outcome is Outcome.FAIL else 0.0
    fails = evaluation.outcome is Outcome.FAIL
    # A value on the right side of a limit from below lies over it.
    low, high = sorted((measured, limit))
    if evaluation.outcome is Outcome.UNDECIDED:
        low, high, fails = min(measured, limit), max(measured, limit), measured > limit
    if low == high:
        return 1.0 if high else 0.0
    ratio = high / low if low else math.inf
    return ratio if fails else 1 / ratio


def _standing(text: str, evaluation: Evaluation) -> str:
    """`query.p95 <= 300ms: 412 ms in 1,960 requests`."""
    unit = parse(text).limit.unit
    return f"{text}: {quantity(evaluation.measured, unit)} in {number_of(evaluation.n, 'request')}"


def _piled_up(part: VariantRecord) -> str:
    """A sentence where more and more requests were under way, round by round; else empty."""
    grown: list[tuple[float, float, int]] = []
    for _, group in groupby(part.samples, key=lambda sample: sample.round):
        samples = list(group)
        parts = in_flight(samples)
        grew = all(earlier < later for earlier, later in pairwise(parts))
        more = parts[-1] - parts[0]
        if not grew or more < max(PILED_UP_MIN, PILED_UP_SHARE * len(samples)):
            return ""
        grown.append((parts[0], parts[-1], len(samples)))
    first, last, _ = grown[-1]
    return f"{PILED_UP}: {count(round(first))} were under way at first, and {count(round(last))} in the end"


def in_flight(samples: Sequence[Sample]) -> list[float]:
    """The requests that were due and not answered, on average, in each fifth of the time in which they were due."""
    due, over = sorted(each.intended_s for each in samples), sorted(each.ended_s for each in samples)
    span_s, moments = due[-1] - due[0], 20 * PARTS
    under_way = [
        bisect_right(due, moment) - bisect_right(over, moment)
        for moment in (due[0] + span_s * (number + 0.5) / moments for number in range(moments))
    ]
    return [
        fmean(under_way[len(under_way) * part // PARTS : len(under_way) * (part + 1) // PARTS]) for part in range(PARTS)
    ]


def described(tried: TriedRate) -> str:
    """`160/s holds (query.p95 <= 300ms: 120 ms in 1,600 requests)`."""
    because = f" ({tried.sentence})" if tried.sentence else ""
    failed = f", {share(tried.errors)} of the requests failed" if tried.errors else ""
    return f"{rate(tried.rate_per_s)} {tried.word}{because}{failed}"


def samples_wanted(budgets: HeldBudgets) -> int:
    """Twice as many as the quantiles need where nothing is slow, since something always is; also for other budgets."""
    return 2 * max(budgets.samples_min, samples_min(0.95))
