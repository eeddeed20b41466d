"""Says whether a run holds its budgets, how far it is from each limit, and the exit code that says so."""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, assert_never

from harness.errors import ExitCode
from harness.judging.budget_metrics import METRICS
from harness.judging.budget_metrics.protocol import Evaluation, Outcome, WhenTimed
from harness.judging.budgets import Budget, parse
from harness.judging.columns import in_columns
from harness.judging.declaration import declaration_of
from harness.judging.evaluation import SEVERITY, evaluate
from harness.judging.searches import best_recall, first_with_recall
from harness.judging.validity_checks import VALIDITY_CHECKS
from harness.judging.waivers import NO_WAIVERS, Waiver, Waivers, day_of, standing
from harness.quantities import Unit, count, number_of, percent, quantity, share, significant
from harness.record import INTERRUPTED, RunRecord


@dataclass(frozen=True, slots=True)
class BudgetVerdict:
    """One budget's outcome; values are in seconds, as ratios or as counts, as `unit` says."""

    budget: str
    """The budget in its canonical text."""
    subject: str
    """The operation or phase that it names."""
    texts: Literal["all", "known", "first"]
    """Which requests it means: those with known texts, with first-time ones, or all."""
    metric: str
    """The metric that it names."""
    variant: str
    """The variant that was held to it."""
    outcome: Outcome
    """Whether it holds."""
    unit: Unit
    """In what its values are."""
    timed: bool
    """Whether the outcome may be owed to how fast the machine was."""
    sentence: str
    """How it stands, in a sentence."""
    n: int = 0
    """How many requests the value was computed from."""
    n_effective: int | None = None
    """As how many these count where they resemble their neighbours; None where it is as many."""
    measured: float | None = None
    """The measured value; None where there is none."""
    limit: float | None = None
    """What it is held to; None where the limit depends on each request."""
    excess: float | None = None
    """How far the measured value lies on the wrong side of the limit, negative when it holds; None without a value."""
    lower: float | None = None
    """The lower confidence bound of a sampled value; None of an exact one."""
    upper: float | None = None
    """The upper confidence bound of a sampled value; None of an exact one."""
    further_samples: int | None = None
    """How many more requests might decide it; None where that is not known."""
    waiver: Waiver | None = None
    """What accepts that it fails; None where nothing does."""

    @property
    def margin(self) -> str:
        """Says how far it is from its limit, such as `60% to spare`; empty where there is no distance."""
        if self.excess is None or self.limit is None or math.isinf(self.excess):
            return ""
        return _distance(self.excess, self.limit, parse(self.budget))


@dataclass(frozen=True, slots=True)
class Verdict:
    """`objections` say why the run as a whole cannot be judged; with any of them it is INVALID.

    `timing_objections` say why its timings cannot be: with any of them it is INVALID too, unless a budget on what was
    counted has failed, or all budgets are on what was counted.
    """

    outcome: Outcome
    exit_code: ExitCode
    sentence: str
    objections: tuple[str, ...]
    timing_objections: tuple[str, ...]
    budgets: tuple[BudgetVerdict, ...]

    @property
    def against_timings(self) -> tuple[str, ...]:
        """Every reason not to believe a latency of this run."""
        return (*self.objections, *self.timing_objections)

    @property
    def worst_first(self) -> tuple[BudgetVerdict, ...]:
        """The budgets as a reader wants them: what failed, what could not be judged, and then the rest."""
        return tuple(sorted(self.budgets, key=lambda budget: SEVERITY.index(budget.outcome)))


def judge(record: RunRecord, budgets: Sequence[Budget] | None = None, waivers: Waivers = NO_WAIVERS) -> Verdict:
    """Judges a run by these budgets, or by those of its scenario. Raises `UsageError` for one that cannot be read.

    What `waivers` accept of them is no failure, on the day of the run.
    """
    record = in_columns(record)
    declared = declaration_of(record)
    if budgets is None:
        budgets = [parse(text) for text in declared.budgets]
    judged = _with_too_many_errors(
        [_judge_waived(record, each, each.variant or declared.candidate or "", waivers) for each in budgets]
    )
    objections = _objections(record, of_timings_only=False)
    timing_objections = _objections(record, of_timings_only=True)
    outcome = _overall(objections, timing_objections, judged)
    return Verdict(
        outcome=outcome,
        exit_code=ExitCode.INTERRUPTED if record.interruption == INTERRUPTED else outcome.exit_code,
        sentence=" ".join((_overall_sentence(outcome, objections, timing_objections, judged), *_resumed(record))),
        objections=objections,
        timing_objections=timing_objections,
        budgets=judged,
    )


def wanting(record: RunRecord, waivers: Waivers = NO_WAIVERS) -> dict[str, str]:
    """Of a run that is going on: the variants whose further samples can settle its verdict, and which budgets they are.

    None where the verdict does not depend on them: something has failed already, or the run cannot be judged.
    """
    verdict = judge(record.model_copy(update={"state": "complete", "interruption": None}), waivers=waivers)
    if verdict.outcome is not Outcome.UNDECIDED:
        return {}
    reasons: defaultdict[str, list[str]] = defaultdict(list)
    for each in verdict.budgets:
        if each.outcome is Outcome.UNDECIDED:
            more = "more" if each.further_samples is None else f"about {count(each.further_samples)} more"
            reasons[each.variant].append(f"{each.budget} needs {more} samples")
    return {variant: "; ".join(sentences) for variant, sentences in reasons.items()}


def against_timings(record: RunRecord, *, besides: Collection[str] = ()) -> tuple[str, ...]:
    """Every reason not to believe a latency of this run, but what the checks of these names would say."""
    record = in_columns(record)
    checks = (check for name, check in VALIDITY_CHECKS.items() if name not in besides)
    return tuple(objection for check in checks for objection in check.objections(record))


def _with_too_many_errors(judged: Sequence[BudgetVerdict]) -> tuple[BudgetVerdict, ...]:
    """Where more failed than may, the latency of what did not is not that of the system as it should be."""
    over = {
        (each.variant, each.subject)
        for each in judged
        if each.metric == "errors" and each.outcome is Outcome.FAIL and (each.excess or 0) > 0
    }
    sentence = "Cannot be judged: more requests failed than their budget of errors allows. Correct what fails first."
    return tuple(
        replace(each, outcome=Outcome.INVALID, sentence=sentence)
        if each.unit == "time" and each.outcome is not Outcome.FAIL and (each.variant, each.subject) in over
        else each
        for each in judged
    )


def _objections(record: RunRecord, *, of_timings_only: bool) -> tuple[str, ...]:
    checks = (check for check in VALIDITY_CHECKS.values() if check.of_timings_only == of_timings_only)
    return tuple(objection for check in checks for objection in check.objections(record))


def _overall(objections: Sequence[str], timing_objections: Sequence[str], judged: Sequence[BudgetVerdict]) -> Outcome:
    """What is wrong with the whole run comes first, then what no clock decides, then the worst of the budgets."""
    if objections:
        return Outcome.INVALID
    outcomes = {budget.outcome for budget in judged}
    if timing_objections:
        if any(budget.outcome is Outcome.FAIL and not budget.timed for budget in judged):
            return Outcome.FAIL
        if not judged or any(budget.timed for budget in judged):
            return Outcome.INVALID
    worst = next((outcome for outcome in SEVERITY if outcome in outcomes), Outcome.PASS)
    return Outcome.PASS_WITH_WAIVERS if worst is Outcome.WAIVED else worst


def _judge_waived(record: RunRecord, budget: Budget, variant_name: str, waivers: Waivers) -> BudgetVerdict:
    found = _judge_budget(record, budget, variant_name)
    waiver = waivers.get(str(budget))
    if waiver is None:
        return found
    accepted = _judge_budget(record, waiver.accepted, variant_name).outcome if waiver.accepted else Outcome.PASS
    stands = standing(
        waiver, found.outcome, day_of(record.started_at), accepted=accepted, for_sure=_holds_for_sure(budget, found)
    )
    return replace(found, outcome=stands.outcome, sentence=f"{found.sentence} {stands.sentence}", waiver=waiver)


def _holds_for_sure(budget: Budget, found: BudgetVerdict) -> bool:
    """Whether the next run of the same code holds it too: it passed with confidence, by a count, or with room."""
    metric = METRICS[budget.metric]
    if metric.kind == "sampled" or metric.unit == "index" or (metric.scope == "requests" and metric.unit == "count"):
        return True
    if found.excess is None or found.limit is None:
        return False
    of = 1 - found.limit if found.unit == "share" and budget.limit.comparator == ">=" else found.limit
    return found.excess <= -WAIVED_ROOM * of


WAIVED_ROOM: Final = 0.2
"""By what share of its limit a value that differs from run to run has to hold before its waiver is not needed."""


def _judge_budget(record: RunRecord, budget: Budget, variant_name: str) -> BudgetVerdict:
    wanted = budget.selection.recall
    if wanted is not None:
        chosen = first_with_recall(record, budget.subject, wanted)
        if chosen is None:
            return _unreached(record, budget, wanted)
        plain = replace(budget, selection=replace(budget.selection, recall=None))
        return replace(_judge_one(record, plain, chosen.name), budget=str(budget))
    return _judge_one(record, budget, variant_name)


def _unreached(record: RunRecord, budget: Budget, wanted: float) -> BudgetVerdict:
    """No time is within the limit where no variant finds as much; where nobody knows, nothing is shown."""
    best = best_recall(record, budget.subject)
    said = (
        f"No variant reaches it: {best[0]} finds most, {share(best[1])} < {share(wanted)}."
        if best
        else f"Cannot be judged: the recall of {budget.subject} was measured of no variant."
    )
    return BudgetVerdict(
        budget=str(budget),
        subject=budget.operation,
        texts=budget.text or "all",
        metric=budget.metric,
        variant=best[0] if best else "",
        outcome=Outcome.FAIL if best else Outcome.INVALID,
        unit=budget.limit.unit,
        timed=False,
        sentence=said,
    )


def _judge_one(record: RunRecord, budget: Budget, variant_name: str) -> BudgetVerdict:
    variant = next((variant for variant in record.variants if variant.name == variant_name), None)
    evaluation = (
        evaluate(budget, variant, () if record.aborted_by == str(budget) else record.looks)
        if variant
        else Evaluation(Outcome.INVALID, n=0, reason=f"the variant {variant_name!r} was not run")
    )
    excess = None
    if evaluation.measured is not None and evaluation.limit is not None:
        over = evaluation.measured - evaluation.limit
        excess = over if budget.limit.comparator == "<=" else -over
    return BudgetVerdict(
        budget=str(budget),
        subject=budget.operation,
        texts=budget.text or "all",
        metric=budget.metric,
        variant=variant_name,
        outcome=evaluation.outcome,
        unit=budget.limit.unit,
        timed=_is_timed(METRICS[budget.metric].timed, evaluation.outcome),
        sentence=_sentence(budget, evaluation, excess),
        n=evaluation.n,
        n_effective=evaluation.n_effective,
        measured=evaluation.measured,
        limit=evaluation.limit,
        excess=excess,
        lower=evaluation.lower,
        upper=evaluation.upper,
        further_samples=evaluation.further_samples,
    )


def _is_timed(timed: WhenTimed, outcome: Outcome) -> bool:
    match timed:
        case "always":
            return True
        case "if failed":
            return outcome is Outcome.FAIL
        case "never":
            return False
        case _:
            assert_never(timed)


def _sentence(budget: Budget, evaluation: Evaluation, excess: float | None) -> str:
    if evaluation.outcome is Outcome.INVALID:
        return f"Cannot be judged: {evaluation.reason}."
    standing = evaluation.finding or _standing(budget, evaluation, excess or 0.0)
    return " ".join(filter(None, (standing, _resemblance(evaluation), evaluation.warning)))


def _standing(budget: Budget, evaluation: Evaluation, excess: float) -> str:
    place = _place(excess, evaluation, budget)
    requests = _requests(evaluation)
    if evaluation.outcome is not Outcome.UNDECIDED:
        return f"{place}, in {requests}."
    if evaluation.further_samples is None:
        return f"{place}, in {requests}: too near to the limit for any number of samples to tell."
    return f"{place}, but {requests} cannot show it: it needs about {count(evaluation.further_samples)} more."


def _requests(evaluation: Evaluation) -> str:
    """`80 requests`, or `the first 80 of 160 requests` where these decided, and which window they were in."""
    n = max(evaluation.n, evaluation.n_later)
    of = f"the first {count(evaluation.n)} of " if evaluation.n_later > evaluation.n else ""
    where = f" {evaluation.where}" if evaluation.where else ""
    return f"{of}{number_of(n, 'request')}{where}"


def _resemblance(evaluation: Evaluation) -> str:
    if evaluation.n_effective is None:
        return ""
    return f"Requests resemble their neighbours: {count(evaluation.n)} count as {count(evaluation.n_effective)}."


def _place(excess: float, evaluation: Evaluation, budget: Budget) -> str:
    """`400 ms > 300 ms (33% over)`: the measured value beside its limit, and how far apart the two are."""
    limit, unit = evaluation.limit or 0.0, budget.limit.unit
    if math.isinf(excess):
        return "Over any limit, since too many requests failed"
    sign = _SIGNS[budget.limit.comparator == "<=", excess <= 0]
    held_to = quantity(limit, unit) + (f" for {evaluation.reason}" if evaluation.reason else "")
    return f"{quantity(evaluation.measured, unit)} {sign} {held_to} ({_distance(excess, limit, budget)})"


_SIGNS: Final = {(True, True): "≤", (True, False): ">", (False, True): "≥", (False, False): "<"}
"""By whether the limit is one from above, and whether it is held."""


def _distance(excess: float, limit: float, budget: Budget) -> str:
    """In the unit itself where that is counted, in percentage points of a share, and else as a part of the limit."""
    if excess == 0:
        return "nothing to spare"
    beyond = "over" if budget.limit.comparator == "<=" else "short"
    word, size, unit = beyond if excess > 0 else "to spare", abs(excess), budget.limit.unit
    if unit == "share":
        points = share(size).removesuffix("%")
        return f"{points} percentage point{'' if points == '1' else 's'} {word}"
    if unit == "count" or not limit:
        return f"{quantity(size, unit)} {word}"
    if word == "over" and size > limit:
        return f"{significant((limit + size) / limit)} times the limit"
    return f"{percent(size / limit)} {word}"


def _overall_sentence(
    outcome: Outcome, objections: Sequence[str], timing_objections: Sequence[str], judged: Sequence[BudgetVerdict]
) -> str:
    if objections or (outcome is Outcome.INVALID and timing_objections):
        return f"This run cannot be judged: {'; '.join((*objections, *timing_objections))}."
    if timing_objections:
        decided = _overall_sentence(outcome, (), (), judged)
        return f"{decided} Timings of this run cannot be judged: {'; '.join(timing_objections)}."
    if not judged:
        return "Measured, and held to nothing: the scenario has no budgets."
    of_all = number_of(len(judged), "budget")
    if outcome is Outcome.PASS:
        return "The budget holds." if len(judged) == 1 else f"All {of_all} hold."
    tally = Counter(budget.outcome for budget in judged)
    counted = f"Of {of_all}, {', '.join(f'{tally[each]} {word}' for each, word in _WORDS.items() if tally[each])}."
    waived = [
        f"{each.budget} by {each.waiver.owner} until {each.waiver.expires}"
        for each in judged
        if each.outcome is Outcome.WAIVED and each.waiver
    ]
    return f"{counted} Waived: {'; '.join(waived)}." if waived else counted


def _resumed(record: RunRecord) -> Iterable[str]:
    """What a reader has to know of a run that did not come to its end at once."""
    if record.aborted_by:
        yield f"It was ended early by {record.aborted_by}: what would have come then was not measured."
    if record.resumptions:
        times = len(record.resumptions)
        discarded = sum(sum(each.discarded.values()) for each in record.resumptions)
        again = f"; {count(discarded)} requests of a round that was cut off were measured again" if discarded else ""
        yield f"The run was resumed {'once' if times == 1 else f'{times} times'}{again}."


_WORDS: Final = {
    Outcome.FAIL: "failed",
    Outcome.INVALID: "could not be judged",
    Outcome.UNDECIDED: "undecided for want of samples",
    Outcome.WAIVED: "waived",
}
