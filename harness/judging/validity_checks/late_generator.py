"""A generator that starts requests late measures itself: what it was late with is part of each response time."""

from collections.abc import Iterator
from typing import Final

from harness.judging.analysis.quantiles import quantile_of
from harness.judging.columns import Columns
from harness.judging.workers import worker_named
from harness.quantities import duration
from harness.record import RunRecord, VariantRecord

LATENESS_MAX_S: Final = 0.001
LATENESS_MAX_SHARE: Final = 0.05
"""Of the p50 of the latencies. Both are the rule of docs/how-to/budgets.md; wrk2 and pyperf warn at similar ones."""


class LateGenerator:
    of_timings_only = True
    meaning = (
        "In an open loop, the p99 of the starts' lateness exceeds 1 ms and 5% of the latencies' p50; of several "
        "workers, that of any."
    )

    def objections(self, record: RunRecord) -> Iterator[str]:
        """Of all workers together the p99 could hide one of many, so each is looked at by itself."""
        for variant in record.variants:
            for phase, requests in _steady(variant).groups(lambda traits: traits.phase).items():
                limit_s = max(LATENESS_MAX_S, LATENESS_MAX_SHARE * quantile_of(requests.latency_s, 0.5))
                for worker, own in requests.groups(lambda traits: traits.worker).items():
                    late_s = quantile_of(own.lateness_s, 0.99)
                    if late_s > limit_s:
                        yield (
                            f"the load generator{worker_named(variant, worker)} was late in {phase} of {variant.name}: "
                            f"its p99 lateness of {duration(late_s)} exceeds {duration(limit_s)}. Lower the rate, or "
                            "give it more processors"
                        )


def _steady(variant: VariantRecord) -> Columns:
    """After a disruption all that had to wait is answered at once, and what starts then waits for that: not judged."""
    disrupted = {disruption.phase for disruption in variant.disruptions}
    return Columns.of(variant.samples).select(lambda traits: traits.scheduled and traits.phase not in disrupted)
