"""Says whether a drift of latencies spoils a comparison, or is one that both sides share.

Sides that take turns at the slices of each phase meet the same minute of the machine within seconds. What makes both
slower by the same factor leaves the ratio of any of their means and quantiles as it was, so a drift of either side says
nothing against the comparison. What would is a drift of the ratio itself: then the result depends on how long the sides
were measured. It is looked for where it would be, in the ratios of the requests that stand at the same place of both.
"""

from collections.abc import Iterator, Sequence

from harness.judging.analysis.drift import Drift, find_drift
from harness.judging.common_requests import by_phase
from harness.judging.validity_checks.drifting_latencies import is_steady
from harness.quantities import share
from harness.record import VariantRecord


def drift_between(baseline: VariantRecord, others: Sequence[VariantRecord]) -> Iterator[str]:
    """Objections to timings of sides that took turns: one for each operation whose ratio went one way."""
    for other in others:
        for operation, passes in _ratios(baseline, other).items():
            drift = find_drift(passes)
            if drift is not None:
                yield f"{operation} of {other.name} drifted apart from that of {baseline.name}: {_described(drift)}"


def _ratios(baseline: VariantRecord, other: VariantRecord) -> dict[str, list[list[float]]]:
    """By operation, pass by pass: the latency of each request over that of the baseline's at the same place."""
    ours, theirs = by_phase(other), by_phase(baseline)
    found: dict[str, list[list[float]]] = {}
    for (phase, operation), rounds in ours.items():
        known = theirs.get((phase, operation), {})
        for number in sorted(rounds.keys() & known.keys()):
            pairs = zip(known[number], rounds[number], strict=False)
            ratios = [after.latency_s / before.latency_s for before, after in pairs if is_steady(before, after)]
            found.setdefault(operation, []).append(ratios)
    return found


def _described(drift: Drift) -> str:
    change = f"the ratio {'rose' if drift.factor > 1 else 'fell'} by {share(abs(drift.factor - 1))}"
    span = "from the beginning of a pass to the end" if drift.within else "from the first round to the last"
    return f"{change} {span}, so it depends on how long both are measured. Raise `warm_up`, or measure longer"
