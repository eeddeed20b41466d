"""Says what was measured, in the figures that reports show: pure, and without a judgement.

Latencies are seconds: service times of a closed loop, response times of scheduled starts. A failed request counts as
slower than any other, so a quantile that falls among failures is infinite; counts of statements and the like are those
of answered requests.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

import numpy as np

from harness.judging.analysis.quantiles import quantile
from harness.judging.budget_metrics.latency_quantile import LatencyQuantile
from harness.judging.budget_metrics.protocol import Observed
from harness.judging.budgets import Selection, parse
from harness.judging.columns import Columns, in_columns
from harness.judging.declaration import Declaration, Reference, declaration_of
from harness.judging.evaluation import looks_at
from harness.record import DisruptionRecord, RunRecord, VariantRecord
from harness.samples import COLD, Sample, Traits

TextGroup = Literal["all", "known", "first"]
Position = Literal["within", "below", "above"]

_Belongs = Callable[[Sample | Traits], bool]

TEXT_GROUPS: Final[dict[TextGroup, _Belongs]] = {
    "all": lambda _: True,
    "known": lambda request: request.first_time_text is False,
    "first": lambda request: request.first_time_text is True,
}


@dataclass(frozen=True, slots=True)
class Quantile:
    """An estimate with its one-sided 95 % confidence bounds; None where the sample is too small for a bound.

    The bounds are those that a budget on it is judged by: requests that resemble their neighbours count as fewer, and
    several looks share the risk.
    """

    value_s: float
    lower_s: float | None
    upper_s: float | None


@dataclass(frozen=True, slots=True)
class Spread:
    """A count per request."""

    minimum: int
    median: float
    maximum: int


@dataclass(frozen=True, slots=True)
class OperationSummary:
    """One operation of one variant: all of its requests, or only those of one group of texts."""

    variant: str
    """The variant's name."""
    operation: str
    """The operation's name."""
    texts: TextGroup
    """Which requests are meant: all, those with known texts, or those with first-time ones."""
    requests: int
    """How many requests there were."""
    errors: int
    """How many of them failed."""
    users: int | None
    """How many users worked side by side; None of an open loop."""
    rate_per_s: float | None
    """How many starts per second were planned; None of a closed loop."""
    p50: Quantile
    """The median latency, with its bounds."""
    p95: Quantile
    """The latency that 95 of 100 requests stay below, with its bounds."""
    maximum_s: float
    """The greatest latency in seconds."""
    statements: Spread | None
    """SQL statements per request; None where the target counts none."""
    round_trips: Spread | None
    """Waits for the server per request; None where the target counts none."""
    results: Spread | None
    """Results per request; None where the target counts none."""
    promotions: int
    """How many memories were promoted in all."""
    hit_rate: float | None
    """The share of embeddings that the cache answered; None where no text was embedded."""


@dataclass(frozen=True, slots=True)
class ErrorSummary:
    variant: str
    operation: str
    kind: str
    count: int


@dataclass(frozen=True, slots=True)
class DisruptionSummary:
    """Says what a timeline did to the database, and the requests that were under way at some moment of it."""

    variant: str
    """The variant's name."""
    round: int
    """The round, counted from 1."""
    phase: str
    """The name of the phase."""
    action: str
    """What was done."""
    planned_s: float
    """When it was to be done, in seconds after the phase began."""
    began_s: float | None
    """When it was done, as an offset from the start of the timed pass; None where the phase was over before."""
    lasted_s: float | None
    """After how many seconds the database was as before; None where it did not become so."""
    requests: int
    """How many requests were under way."""
    errors: int
    """How many of them failed."""
    latency_max_s: float | None
    """The greatest latency of them, in seconds; None where there were none."""
    error_first_s: float | None = None
    """After how many seconds of it the first request failed, until the next disruption began; None where none did."""
    error_last_s: float | None = None
    """After how many the last one failed: later than it lasted, where errors outlasted it."""


@dataclass(frozen=True, slots=True)
class ServiceSummary:
    """One operation as its client saw it, and as its server did: how often, how many failed, and how long it took.

    Quantiles are of the answers that say how long the server took.
    """

    variant: str
    """The variant's name."""
    operation: str
    """The operation's name."""
    requests: int
    """How many requests the client sent."""
    served: int | None
    """How many the server says that it answered; None where it does not count."""
    errors: int
    """How many failed, as the client saw it."""
    failed: int | None
    """How many failed, as the server says; None where it does not count."""
    client_p50_s: float
    """The client's median, in seconds."""
    service_p50_s: float
    """The server's median, in seconds."""
    client_p95_s: float
    """The client's 95th percentile, in seconds."""
    service_p95_s: float
    """The server's 95th percentile, in seconds."""


@dataclass(frozen=True, slots=True)
class BackgroundSummary:
    """Work after responses; `statements_per_request` spreads its statements over the variant's answered requests."""

    variant: str
    kind: str
    count: int
    failures: int
    statements: int
    round_trips: int
    statements_per_request: float | None


@dataclass(frozen=True, slots=True)
class VariantSummary:
    name: str
    description: str
    schema_version: int
    complete: bool
    hit_rate: float | None
    drain_s: float | None
    operations: tuple[OperationSummary, ...]
    background: tuple[BackgroundSummary, ...]


@dataclass(frozen=True, slots=True)
class Saving:
    """Says what a step takes off a latency, in seconds and as a share of what the whole ladder takes off.

    Not `resolved`: the sample cannot tell the saving from noise. Without a resolved whole there are no shares.
    """

    saved_s: float
    share: float | None
    resolved: bool


@dataclass(frozen=True, slots=True)
class Step:
    """One rung: a variant, and what it saves against the rung before. The first rung saves nothing."""

    variant: str
    requests: int
    p50: Quantile
    p95: Quantile
    statements: Spread | None
    saved_p50: Saving | None
    saved_p95: Saving | None


@dataclass(frozen=True, slots=True)
class Reduction:
    """Says what all steps take off, as a share of the first rung's latency. Not `resolved`: it may be noise."""

    share: float
    resolved: bool


@dataclass(frozen=True, slots=True)
class Ladder:
    """The cumulative steps of one operation, and what the last rung takes off the first."""

    operation: str
    texts: TextGroup
    steps: tuple[Step, ...]
    reduction_p50: Reduction | None
    reduction_p95: Reduction | None


@dataclass(frozen=True, slots=True)
class ReferenceComparison:
    """A reference figure beside what was measured; None where the record lacks the variant or operation.

    `distance_s` is how far the quantile named by `statistic` lies outside the range: 0 within it, negative below it.
    """

    reference: Reference
    statistic: Literal["p50", "p95"]
    requests: int = 0
    p50: Quantile | None = None
    p95: Quantile | None = None
    position: Position | None = None
    distance_s: float | None = None

    @property
    def measured_s(self) -> float | None:
        measured = self.p50 if self.statistic == "p50" else self.p95
        return measured.value_s if measured else None


@dataclass(frozen=True, slots=True)
class Summary:
    declaration: Declaration
    variants: tuple[VariantSummary, ...]
    ladders: tuple[Ladder, ...]
    comparisons: tuple[ReferenceComparison, ...]
    errors: tuple[ErrorSummary, ...]
    disruptions: tuple[DisruptionSummary, ...]
    services: tuple[ServiceSummary, ...]

    def operation(self, variant: str, operation: str, texts: TextGroup = "all") -> OperationSummary | None:
        return next(
            (
                each
                for each in self.operations
                if (each.variant, each.operation, each.texts) == (variant, operation, texts)
            ),
            None,
        )

    @property
    def main_ladders(self) -> tuple[Ladder, ...]:
        """One per operation: of known texts where texts matter, since a first-time text pays the provider anyway."""
        found = {(ladder.operation, ladder.texts): ladder for ladder in self.ladders}
        return tuple(found.get((ladder.operation, "known"), ladder) for ladder in self.ladders if ladder.texts == "all")

    @property
    def operation_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(each.operation for each in self.operations))

    @property
    def operations(self) -> tuple[OperationSummary, ...]:
        return tuple(operation for variant in self.variants for operation in variant.operations)


_Operations = dict[tuple[str, str, TextGroup], OperationSummary]

_Limits = Mapping[tuple[str, str, TextGroup, str], Sequence[float]]
"""By variant, operation, texts and metric: what budgets hold all of its requests to, in seconds."""

_Looks = Sequence[Mapping[str, int]]

_QUANTILES: Final = {"p50": LatencyQuantile(0.5), "p95": LatencyQuantile(0.95)}


def summarise(record: RunRecord) -> Summary:
    record = in_columns(record)
    declared = declaration_of(record)
    limits = _limits(declared)
    variants = tuple(_variant(variant, limits, record.looks) for variant in record.variants)
    operations: _Operations = {
        (each.variant, each.operation, each.texts): each for variant in variants for each in variant.operations
    }
    return Summary(
        declaration=declared,
        variants=variants,
        ladders=tuple(_ladders(declared.strategies, operations)),
        comparisons=tuple(
            _comparison(reference, operations.get((reference.variant, reference.operation, reference.text or "all")))
            for reference in declared.references
        ),
        errors=tuple(error for variant in record.variants for error in _errors(variant)),
        disruptions=tuple(
            _disruption(variant, disruption) for variant in record.variants for disruption in variant.disruptions
        ),
        services=tuple(service for variant in record.variants for service in _services(variant)),
    )


def _limits(declared: Declaration) -> _Limits:
    limits: defaultdict[tuple[str, str, TextGroup, str], list[float]] = defaultdict(list)
    for budget in map(parse, declared.budgets):
        plain = Selection(text=budget.text, cache=budget.selection.cache)
        if budget.metric in _QUANTILES and budget.selection == plain:
            key = budget.variant or declared.candidate or "", budget.operation, budget.text or "all", budget.metric
            limits[key].append(budget.limit.value())
    return limits


def _variant(variant: VariantRecord, limits: _Limits, looks: _Looks) -> VariantSummary:
    answered = Columns.of(variant.samples).answered
    return VariantSummary(
        name=variant.name,
        description=variant.description,
        schema_version=variant.schema_version,
        complete=variant.complete,
        hit_rate=_hit_rate(answered),
        drain_s=variant.drain_s,
        operations=tuple(_operations(variant, limits, looks)),
        background=tuple(
            BackgroundSummary(
                variant=variant.name,
                kind=work.kind,
                count=work.count,
                failures=work.failures,
                statements=work.statements,
                round_trips=work.round_trips,
                statements_per_request=work.statements / len(answered) if len(answered) else None,
            )
            for work in variant.background
        ),
    )


def _disruption(variant: VariantRecord, disruption: DisruptionRecord) -> DisruptionSummary:
    began_s, ended_s = disruption.started_s, disruption.ended_s
    of_round = Columns.of(variant.samples).select(lambda traits: traits.round == disruption.round)
    begin_s, end_s = (math.inf if each is None else each for each in (began_s, ended_s))
    meanwhile = of_round.where((of_round.ended_s >= begin_s) & (of_round.started_s <= end_s))
    failed_s: Sequence[float] = () if began_s is None else _failed_after(variant, disruption.round, began_s)
    return DisruptionSummary(
        variant=variant.name,
        round=disruption.round,
        phase=disruption.phase,
        action=disruption.action,
        planned_s=disruption.planned_s,
        began_s=began_s,
        lasted_s=None if began_s is None or ended_s is None else ended_s - began_s,
        requests=len(meanwhile),
        errors=int(meanwhile.failed.sum()),
        latency_max_s=float(meanwhile.latency_s.max()) if len(meanwhile) else None,
        error_first_s=min(failed_s, default=None),
        error_last_s=max(failed_s, default=None),
    )


def _failed_after(variant: VariantRecord, round_number: int, began_s: float) -> Sequence[float]:
    """When requests failed, in seconds after a disruption began and before the next one did."""
    begins = [each.started_s for each in variant.disruptions if each.round == round_number]
    next_s = min((each for each in begins if each is not None and each > began_s), default=math.inf)
    failed = Columns.of(variant.samples).select(lambda each: each.round == round_number and each.error is not None)
    when_s = failed.ended_s
    found: list[float] = (when_s[(began_s <= when_s) & (when_s < next_s)] - began_s).tolist()
    return found


def _operations(variant: VariantRecord, limits: _Limits, looks: _Looks) -> Iterable[OperationSummary]:
    for operation, requests in Columns.of(variant.samples).groups(_operation_of).items():
        for texts, belongs in TEXT_GROUPS.items():

            def selects(traits: Traits, operation: str = operation, belongs: _Belongs = belongs) -> bool:
                return traits.operation == operation and belongs(traits)

            samples = requests.select(belongs)
            if len(samples):
                seen = Observed(variant, samples, tuple(n for _, n in looks_at(variant, selects, looks)))
                quantiles = {
                    name: _quantile(seen, metric, limits.get((variant.name, operation, texts, name), ()))
                    for name, metric in _QUANTILES.items()
                }
                yield _operation(variant, operation, texts, samples, quantiles)


def _operation_of(traits: Traits) -> str:
    return traits.operation


def _operation(
    variant: VariantRecord,
    operation: str,
    texts: TextGroup,
    samples: Columns,
    quantiles: Mapping[str, Quantile],
) -> OperationSummary:
    answered = samples.answered
    sent_in = samples.tally_by(lambda traits: traits.phase)
    phases = [phase for phase in variant.phases if phase.name in sent_in]
    return OperationSummary(
        variant=variant.name,
        operation=operation,
        texts=texts,
        requests=len(samples),
        errors=len(samples) - len(answered),
        users=max((phase.users for phase in phases if phase.users), default=None),
        rate_per_s=max((phase.rate_per_s_target for phase in phases if phase.rate_per_s_target), default=None),
        p50=quantiles["p50"],
        p95=quantiles["p95"],
        maximum_s=float(samples.judged_s.max()),
        statements=_spread(answered.tally_by(lambda traits: traits.statements)),
        round_trips=_spread(answered.tally_by(lambda traits: traits.round_trips)),
        results=_spread(answered.tally_by(lambda traits: traits.results)),
        promotions=sum((traits.promotions or 0) * requests for traits, requests in answered.tally().items()),
        hit_rate=_hit_rate(answered),
    )


def _services(variant: VariantRecord) -> Iterable[ServiceSummary]:
    for operation, requests in Columns.of(variant.samples).groups(_operation_of).items():
        if np.isfinite(requests.server_s).any():
            yield _service(variant, operation, requests)


def _service(variant: VariantRecord, operation: str, samples: Columns) -> ServiceSummary:
    timed = np.isfinite(samples.server_s)
    client_s, service_s = np.sort(samples.service_time_s[timed]), np.sort(samples.server_s[timed])
    is_cold_too = f"{operation}{COLD}" in Columns.of(variant.samples).tally_by(_operation_of)
    served = {} if is_cold_too else variant.served  # A server does not know which requests were cold.
    counted = [(name.split()[1], count) for name, count in served.items() if name.split()[0] == operation]
    return ServiceSummary(
        variant=variant.name,
        operation=operation,
        requests=len(samples),
        served=sum(count for _, count in counted) if counted else None,
        errors=int(samples.failed.sum()),
        failed=sum(count for status, count in counted if not status.startswith("2")) if counted else None,
        client_p50_s=quantile(client_s, 0.5),
        service_p50_s=quantile(service_s, 0.5),
        client_p95_s=quantile(client_s, 0.95),
        service_p95_s=quantile(service_s, 0.95),
    )


def _quantile(observed: Observed, metric: LatencyQuantile, limits_s: Sequence[float]) -> Quantile:
    """Held to no limit, the requests that resemble each other are those near the quantile itself."""
    ordered = np.sort(observed.requests.judged_s)
    value_s = quantile(ordered, metric.probability)
    below = ordered[(ordered <= value_s) & np.isfinite(ordered)]
    near_s = limits_s or [float(below[-1]) if below.size else 0.0]
    effect = max(metric.effect(observed, each) for each in near_s)
    bounds = metric.bounds(ordered, observed, effect)
    return Quantile(
        value_s=value_s,
        lower_s=bounds.lower if math.isfinite(bounds.lower) else None,
        upper_s=bounds.upper if math.isfinite(bounds.upper) else None,
    )


def _spread(counts: Mapping[int | None, int]) -> Spread | None:
    """Of how many requests had which count; None when not a single one was counted."""
    known = sorted(number for number in counts if number is not None)
    if not known:
        return None
    median = float(np.median(np.repeat(known, [counts[number] for number in known])))
    return Spread(known[0], median if median % 1 else int(median), known[-1])


def _hit_rate(answered: Columns) -> float | None:
    sources = answered.tally_by(lambda traits: traits.embedding)
    embedded = sum(requests for source, requests in sources.items() if source is not None)
    return sources.get("cache", 0) / embedded if embedded else None


def _errors(variant: VariantRecord) -> Iterable[ErrorSummary]:
    kinds = Counter(Columns.of(variant.samples).tally_by(lambda traits: (traits.operation, traits.error)))
    for (operation, kind), times in kinds.most_common():
        if kind is not None:
            yield ErrorSummary(variant.name, operation, kind, times)


def _ladders(strategies: Sequence[str], operations: _Operations) -> Iterable[Ladder]:
    """One per operation and group of texts that has at least two rungs."""
    for operation in dict.fromkeys(each.operation for each in operations.values()):
        for texts in TEXT_GROUPS:
            found = (operations.get((name, operation, texts)) for name in strategies)
            rungs = [rung for rung in found if rung is not None]
            if len(rungs) > 1:
                yield _ladder(operation, texts, rungs)


def _ladder(operation: str, texts: TextGroup, rungs: Sequence[OperationSummary]) -> Ladder:
    p50s, p95s = [rung.p50 for rung in rungs], [rung.p95 for rung in rungs]
    savings = zip(rungs, [None, *_savings(p50s)], [None, *_savings(p95s)], strict=True)
    return Ladder(
        operation=operation,
        texts=texts,
        steps=tuple(
            Step(rung.variant, rung.requests, rung.p50, rung.p95, rung.statements, saved_p50, saved_p95)
            for rung, saved_p50, saved_p95 in savings
        ),
        reduction_p50=_reduction(p50s[0], p50s[-1]),
        reduction_p95=_reduction(p95s[0], p95s[-1]),
    )


def _savings(rungs: Sequence[Quantile]) -> list[Saving | None]:
    """One per step; None where a rung is infinite and nothing can be subtracted."""
    whole_s = rungs[0].value_s - rungs[-1].value_s
    has_shares = 0 < whole_s < math.inf and lie_apart(rungs[0], rungs[-1])
    return [
        Saving(
            saved_s=(saved_s := before.value_s - after.value_s),
            share=saved_s / whole_s if has_shares else None,
            resolved=lie_apart(before, after),
        )
        if before.value_s < math.inf and after.value_s < math.inf
        else None
        for before, after in pairwise(rungs)
    ]


def lie_apart(one: Quantile, other: Quantile) -> bool:
    """Says whether the bounds of the two lie apart; where they overlap, the difference may be noise."""
    low, high = sorted((one, other), key=lambda each: each.value_s)
    return high.lower_s is not None and low.upper_s is not None and low.upper_s < high.lower_s


def _reduction(first: Quantile, last: Quantile) -> Reduction | None:
    if not (0 < first.value_s < math.inf and last.value_s < math.inf):
        return None
    return Reduction((first.value_s - last.value_s) / first.value_s, lie_apart(first, last))


def _comparison(reference: Reference, measured: OperationSummary | None) -> ReferenceComparison:
    statistic = reference.statistic or ("p50" if reference.low_s else "p95")
    if measured is None:
        return ReferenceComparison(reference, statistic)
    measured_s = (measured.p50 if statistic == "p50" else measured.p95).value_s
    low_s, high_s = reference.low_s or 0.0, math.inf if reference.high_s is None else reference.high_s
    distance_s = min(measured_s - low_s, 0.0) or max(measured_s - high_s, 0.0)
    return ReferenceComparison(
        reference, statistic, measured.requests, measured.p50, measured.p95, _position(distance_s), distance_s
    )


def _position(distance_s: float) -> Position:
    if distance_s < 0:
        return "below"
    return "above" if distance_s > 0 else "within"
