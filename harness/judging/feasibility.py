"""Says whether a scenario's budgets can be answered at all, which is said before anything is measured."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Final

from harness.errors import UsageError, nearest
from harness.judging.budget_metrics import METRICS
from harness.judging.budgets import EVERYTHING, Budget, Vocabulary, parse
from harness.judging.declaration import Declaration, DeclaredPhase, declare
from harness.judging.limits import Limit
from harness.quantities import count, duration

RESULTS_MAX: Final = 200
PROMOTIONS_MAX: Final = 20
"""Up to which a pair of laws is looked through for a request that could hold both."""

TYPICAL_SHARE: Final = 0.5
"""What part of its limit a quantile's average request is taken for: latencies lean to the right."""


def check(scenario: Mapping[str, object]) -> tuple[str, ...]:
    """Refuses budgets and references that a run could never answer; returns what may go wrong with others.

    Raises `UsageError` with the way out.
    """
    declared = declare(scenario)
    vocabulary = Vocabulary(declared.strategies, declared.operations, declared.planned)
    budgets = [parse(text, vocabulary) for text in declared.budgets]
    _refuse_contradictions(declared, budgets)
    for budget in budgets:
        _refuse_undecidable(declared, budget)
        _refuse_unmeasured(declared, budget)
    for number, reference in enumerate(declared.references, 1):
        if reference.operation not in declared.operations:
            raise UsageError(
                f"references, entry {number}: the scenario runs no operation {reference.operation!r}. "
                f"{nearest(reference.operation, declared.operations)}"
            )
    return tuple(_doubts(declared, budgets))


def _refuse_contradictions(declared: Declaration, budgets: Iterable[Budget]) -> None:
    by_name: dict[tuple[str | None, str], list[Budget]] = {}
    for budget in budgets:
        by_name.setdefault((budget.variant or declared.candidate, budget.name), []).append(budget)
    for same in by_name.values():
        upper = [budget for budget in same if budget.limit.comparator == "<="]
        lower = [budget for budget in same if budget.limit.comparator == ">="]
        for high, low in product(upper, lower):
            if not _both_can_hold(high.limit, low.limit):
                raise UsageError(
                    f"budgets: no run can hold both of these. Correct one of them, or leave it out:\n  {high}\n  {low}"
                )


def _both_can_hold(upper: Limit, lower: Limit) -> bool:
    names = sorted(upper.variables | lower.variables)
    ranges = {"n": range(RESULTS_MAX + 1), "promotions": range(PROMOTIONS_MAX + 1)}
    requests = (dict(zip(names, values, strict=True)) for values in product(*(ranges[name] for name in names)))
    return any(lower.value(request) <= upper.value(request) for request in requests)


def _refuse_undecidable(declared: Declaration, budget: Budget) -> None:
    needed, planned = METRICS[budget.metric].samples_min, _planned(declared, budget)
    if planned is not None and planned < needed and not declared.sampling.time_s_max:
        raise UsageError(
            f"budget: {budget}\n  {budget.metric} holds with {count(needed)} requests or more, and the scenario plans "
            f"{count(planned)} of {budget.subject}. Raise `requests` of its phase, or `rounds`; set "
            "`sampling.time_s_max`, to sample on; or state a lower quantile, which needs fewer."
        )


def _refuse_unmeasured(declared: Declaration, budget: Budget) -> None:
    metric = METRICS[budget.metric]
    is_of_requests = metric.scope == "requests" and metric.subject is None
    if is_of_requests and declared.planned and not any(_phases(declared, budget)):
        raise UsageError(
            f"budget: {budget}\n  no phase performs {budget.subject}, so there would be nothing to judge. Add it to "
            "the `mix` of a phase, or leave the budget out."
        )
    if (budget.metric == "recall" or budget.selection.recall is not None) and not declared.recall_queries:
        raise UsageError(
            f"budget: {budget}\n  recall is measured only where the scenario says on how many queries: set "
            "`recall_queries = 50`."
        )


def _planned(declared: Declaration, budget: Budget) -> int | None:
    """How many requests the budget is judged by, at best; None where the scenario does not say."""
    phases = list(_phases(declared, budget))
    counted = replace(EVERYTHING, text=budget.text, cache=budget.selection.cache)
    if not phases or budget.selection != counted:
        return None
    return declared.rounds * sum(requests for _, requests in phases)


def _phases(declared: Declaration, budget: Budget) -> Iterator[tuple[str, int]]:
    """The phases with requests of its operation, or of this name, and how many of them."""
    for name, operations in declared.planned.items():
        requests = sum(operations.values()) if name == budget.subject else operations.get(budget.operation, 0)
        if requests:
            yield name, requests


def _doubts(declared: Declaration, budgets: Sequence[Budget]) -> Iterator[str]:
    """Quantiles whose phases may be over before they have enough samples, where the run does not sample on."""
    if declared.sampling.time_s_max:
        return
    phases = {phase.name: phase for phase in declared.phases}
    for budget in budgets:
        metric = METRICS[budget.metric]
        if metric.samples_min > 1 and _planned(declared, budget) is not None:
            average_s = budget.limit.value() * TYPICAL_SHARE
            expected = declared.rounds * sum(
                _in_time(phases.get(name), requests, sum(declared.planned[name].values()), average_s)
                for name, requests in _phases(declared, budget)
            )
            if expected < metric.samples_min:
                yield (
                    f"{budget}: at {duration(average_s)} a request, its phase's `time_s` allows {count(int(expected))} "
                    f"requests, and {budget.metric} needs {count(metric.samples_min)}: it may stay undecided. Raise "
                    "`time_s`, the users or `rounds`."
                )


def _in_time(phase: DeclaredPhase | None, requests: int, of: int, average_s: float) -> float:
    """How many of the phase's requests start before its time is over, if each takes this long."""
    if phase is None or phase.users is None or phase.time_s is None or not average_s:
        return requests
    return min(requests, phase.users * phase.time_s / average_s * requests / of)
