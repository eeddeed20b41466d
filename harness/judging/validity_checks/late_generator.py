"""A generator that starts requests late measures itself: what it was late with is part of each response time."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from harness.judging.analysis.quantiles import quantile
from harness.judging.workers import worker_named
from harness.quantities import duration
from harness.record import RunRecord, Sample, VariantRecord

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
            for phase in _steady_phases(variant):
                samples = [sample for sample in variant.samples if sample.phase == phase and sample.scheduled]
                limit_s = _limit_s(samples)
                for worker, own in _by_worker(samples).items():
                    late_s = _lateness_s(own)
                    if late_s > limit_s:
                        yield (
                            f"the load generator{worker_named(variant, worker)} was late in {phase} of {variant.name}: "
                            f"its p99 lateness of {duration(late_s)} exceeds {duration(limit_s)}. Lower the rate, or "
                            "give it more processors"
                        )


def _by_worker(samples: Sequence[Sample]) -> Mapping[int | None, list[Sample]]:
    parts: dict[int | None, list[Sample]] = {}
    for sample in samples:
        parts.setdefault(sample.worker, []).append(sample)
    return parts


def _steady_phases(variant: VariantRecord) -> list[str]:
    """After a disruption all that had to wait is answered at once, and what starts then waits for that: not judged."""
    disrupted = {disruption.phase for disruption in variant.disruptions}
    scheduled = dict.fromkeys(sample.phase for sample in variant.samples if sample.scheduled)
    return [phase for phase in scheduled if phase not in disrupted]


def _lateness_s(samples: list[Sample]) -> float:
    return quantile(sorted(sample.lateness_s for sample in samples), 0.99)


def _limit_s(samples: list[Sample]) -> float:
    p50_s = quantile(sorted(sample.latency_s for sample in samples), 0.5)
    return max(LATENESS_MAX_S, LATENESS_MAX_SHARE * p50_s)
