"""A budget and what was measured of its variant → an evaluation: which requests are meant, and the worst of windows."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from harness.judging.analysis.quantiles import CONFIDENCE
from harness.judging.budget_metrics import METRICS
from harness.judging.budget_metrics.protocol import Evaluation, Observed, Outcome
from harness.judging.budgets import Budget
from harness.judging.columns import Columns, variant_in_columns
from harness.judging.searches import found_sentence, without_recall
from harness.quantities import count, duration, number_of
from harness.record import PhaseRecord, VariantRecord
from harness.samples import Traits

# What was shown to fail comes before what could not be shown.
SEVERITY: Final = (Outcome.FAIL, Outcome.INVALID, Outcome.UNDECIDED, Outcome.WAIVED, Outcome.PASS)

JudgedPass = tuple[str, int]
"""A phase of a round, by its name and number."""

TimeSpan = tuple[float, float]


def evaluate(
    budget: Budget,
    variant: VariantRecord,
    looks: Sequence[Mapping[str, int]] = (),
    *,
    risk: float = 1 - CONFIDENCE,
    risk_share: float = 1.0,
) -> Evaluation:
    """Judges the variant by the budget.

    `looks` are those of the run's record. The first that decides is the one that ended the run, as far as this budget
    is concerned. `risk` is that of a wrong PASS, and with its share of a wrong FAIL, over all looks.
    """
    variant = variant_in_columns(variant)
    samples = Columns.of(variant.samples)
    n_later = len(samples.select(budget.selects))
    evaluation: Evaluation | None = None
    selected: list[int] = []
    for size, n in looks_at(variant, budget.selects, looks if METRICS[budget.metric].kind == "sampled" else ()):
        selected.append(n)
        seen = variant.model_copy(update={"samples": samples.first(size)})
        evaluation = replace(
            _evaluate_seen(budget, seen, tuple(selected), risk=risk, risk_share=risk_share), n_later=n_later
        )
        if evaluation.outcome in (Outcome.PASS, Outcome.FAIL):
            break
    return evaluation or _evaluate_seen(budget, variant, risk=risk, risk_share=risk_share)


def looks_at(
    variant: VariantRecord, selects: Callable[[Traits], bool], looks: Sequence[Mapping[str, int]]
) -> Iterator[tuple[int, int]]:
    """Says how many samples the variant had at each look, and how many of the selected; where these had grown."""
    before = 0
    samples = Columns.of(variant.samples) if looks else Columns.of(())
    for look in looks:
        size = look.get(variant.name, 0)
        n = len(samples.first(size).select(selects))
        if n > before:
            yield size, n
        before = n


def fails_already(budget: Budget, variant: VariantRecord, risk_share: float) -> Evaluation | None:
    """The evaluation of a run that goes on, if it is sure with this part of the risk that the budget fails."""
    evaluation = _evaluate_seen(budget, variant, risk_share=risk_share, run_is_over=False)
    return evaluation if evaluation.outcome is Outcome.FAIL else None


def _evaluate_seen(
    budget: Budget,
    variant: VariantRecord,
    looks: tuple[int, ...] = (),
    *,
    risk: float = 1 - CONFIDENCE,
    risk_share: float = 1.0,
    run_is_over: bool = True,
) -> Evaluation:
    metric = METRICS[budget.metric]
    everything = Columns.of(variant.samples)
    observed = Observed(
        variant,
        everything.select(budget.selects),
        looks,
        risk_share=risk_share,
        risk=risk,
        run_is_over=run_is_over,
        phases=tuple(_alone(variant, everything, budget.subject)),
        subject=budget.subject,
    )
    if metric.scope == "statement":
        return metric.evaluate(observed, budget.limit)
    reason = _unjudgeable(observed.requests)
    # That all failed is more than may, and no reason not to say so.
    if reason and not (len(observed.requests) and budget.metric == "errors" and budget.limit.excess(1.0) > 0):
        return Evaluation(Outcome.INVALID, n=0, reason=reason)
    passes = _passes(everything, observed.requests, budget.selection.stage)
    if budget.selection.window_s is not None:
        return _with_recall(budget, observed, _worst_window(budget, observed, passes, budget.selection.window_s))
    elapsed_s = sum(end_s - start_s for start_s, end_s in passes.values())
    return _with_recall(budget, observed, metric.evaluate(replace(observed, elapsed_s=elapsed_s), budget.limit))


def _with_recall(budget: Budget, observed: Observed, found: Evaluation) -> Evaluation:
    """No time passes for a search that may miss anything: it cannot be judged unless somebody knows what it found."""
    if METRICS[budget.metric].timed != "always" or METRICS[budget.metric].scope != "requests":
        return found
    operations = observed.requests.tally_by(lambda traits: traits.operation)
    reason = without_recall(observed.variant, operations) if found.outcome is Outcome.PASS else None
    if reason:
        return replace(found, outcome=Outcome.INVALID, reason=reason)
    said = " ".join(filter(None, (found.warning, found_sentence(observed.variant, operations))))
    return replace(found, warning=said)


def _alone(variant: VariantRecord, everything: Columns, subject: str) -> Iterator[PhaseRecord]:
    """The phases of this name, and those that performed only this operation, whether or not they timed it."""
    performed: defaultdict[JudgedPass, set[str]] = defaultdict(set)
    for traits in everything.tally():
        performed[traits.phase, traits.round].add(traits.operation)
    for phase in variant.phases:
        if subject in (phase.name, phase.workload) or performed[phase.name, phase.round] == {subject}:
            yield phase


def _unjudgeable(requests: Columns) -> str | None:
    """Why these requests allow no verdict at all, if they do not."""
    if not len(requests):
        return "no such request was measured: plan more (`requests`, `time_s`), or leave the budget out"
    errors = requests.tally_by(lambda traits: traits.error)
    if None not in errors:
        kind, times = Counter(errors).most_common(1)[0]
        return f"all of {number_of(len(requests), 'request')} failed, {count(times)} of them with {kind}"
    return None


def _passes(everything: Columns, selected: Columns, stage: int | None) -> dict[JudgedPass, TimeSpan]:
    """First start and last end of each pass that selected samples belong to, whoever else was in it."""
    wanted = selected.tally_by(_pass_of)
    theirs = everything.select(
        lambda traits: _pass_of(traits) in wanted and (stage is None or traits.stage == stage - 1)
    )
    return {
        key: (float(each.intended_s.min()), float(each.ended_s.max())) for key, each in theirs.groups(_pass_of).items()
    }


def _pass_of(traits: Traits) -> JudgedPass:
    return traits.phase, traits.round


def _worst_window(
    budget: Budget, observed: Observed, passes: dict[JudgedPass, TimeSpan], window_s: float
) -> Evaluation:
    """Every window has to hold. One of many fails by chance more often than one alone, so each FAIL has to be surer."""
    metric = METRICS[budget.metric]
    if reason := _misplaced(observed.variant, passes, window_s):
        return Evaluation(Outcome.INVALID, n=0, reason=reason)
    windows = [each for each in _windows(observed, passes, window_s) if len(each[1].answered) or metric.unit == "rate"]
    if not windows:
        return Evaluation(Outcome.INVALID, n=0, reason=f"no pass was as long as {duration(window_s)}")
    risk_share = observed.risk_share / len(windows)
    evaluations = [
        replace(metric.evaluate(replace(window, risk_share=risk_share), budget.limit), where=where)
        for where, window in windows
    ]
    return min(evaluations, key=lambda each: (SEVERITY.index(each.outcome), -_excess(budget, each)))


MISPLACED_MAX: Final = 0.01
"""Of a window: more of its requests may be another's."""


def _misplaced(variant: VariantRecord, passes: Collection[JudgedPass], window_s: float) -> str:
    """Says which host's clock is known too badly to say in which window its requests were; nothing where none is."""
    for phase in variant.phases:
        for worker in phase.workers if (phase.name, phase.round) in passes else ():
            if worker.clock_error_s > MISPLACED_MAX * window_s:
                return (
                    f"the clock of {worker.host} is known to {duration(worker.clock_error_s)} in {phase.name}, and "
                    f"windows of {duration(window_s)} need {duration(MISPLACED_MAX * window_s)}: judge longer windows, "
                    "or bring the hosts nearer"
                )
    return ""


def _excess(budget: Budget, evaluation: Evaluation) -> float:
    if evaluation.measured is None or evaluation.limit is None:
        return 0.0
    over = evaluation.measured - evaluation.limit
    return over if budget.limit.comparator == "<=" else -over


def _windows(observed: Observed, passes: dict[JudgedPass, TimeSpan], window_s: float) -> Iterator[tuple[str, Observed]]:
    """Whole windows of each pass, with the requests that were to start in them."""
    grouped = observed.requests.groups(_pass_of)
    for (phase, round_number), (start_s, end_s) in passes.items():
        theirs = grouped[phase, round_number]
        numbers = (theirs.intended_s - start_s) // window_s
        order = np.argsort(numbers, kind="stable")
        windows = range(int((end_s - start_s) // window_s))
        begins = np.searchsorted(numbers[order], np.arange(len(windows) + 1))
        for number in windows:
            where = f"from {duration(number * window_s)} on, in round {round_number} of {phase}"
            samples = theirs.at(order[begins[number] : begins[number + 1]])
            yield where, replace(observed, samples=samples, elapsed_s=window_s)
