"""Latencies that go one way while they are measured are not those of one state: when one asks decides the quantile."""

from collections.abc import Iterator, Sequence
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from harness.judging.analysis.drift import Drift, find_drift
from harness.judging.budget_metrics import METRICS
from harness.judging.budgets import parse
from harness.judging.columns import Columns
from harness.judging.declaration import declaration_of
from harness.quantities import share
from harness.record import RunRecord, VariantRecord
from harness.samples import Sample, Traits


class DriftingLatencies:
    of_timings_only = True
    meaning = (
        "Latencies of an operation rose or fell by a quarter or more within its passes, or from round to round, and a "
        "trend test finds it with a risk of 0.1% at most. Passes of fewer than 50 requests are not tested, nor are "
        "variants without a budget or a comparison of their times, where others have one."
    )

    def objections(self, record: RunRecord) -> Iterator[str]:
        judged = _timed_variants(record)
        for variant in record.variants:
            if judged and variant.name not in judged:
                continue
            for operation, requests in _steady(variant).groups(lambda traits: traits.operation).items():
                drift = find_drift(_in_order(requests))
                if drift is not None:
                    yield f"{operation} of {variant.name} drifted: {_described(drift)}"


def is_steady(*samples: Sample) -> bool:
    """Says whether all were answered, and none waited for the embedding of a new text: new ones come early."""
    return all(each.error is None and each.first_time_text is not True and each.latency_s > 0 for each in samples)


def _timed_variants(record: RunRecord) -> set[str]:
    """Those whose times the run's verdict depends on; empty where no budget and no comparison says which."""
    declared = declaration_of(record)
    if record.comparison is not None:
        return {record.comparison.baseline, record.comparison.candidate}
    timed = [budget for budget in map(parse, declared.budgets) if METRICS[budget.metric].timed == "always"]
    return {budget.variant or declared.candidate or "" for budget in timed}


def _steady(variant: VariantRecord) -> Columns:
    """What `is_steady` says of each. A phase with stages or disruptions is meant to change, so it is left out."""
    changing = {phase.name for phase in variant.phases if phase.stages}
    changing |= {disruption.phase for disruption in variant.disruptions}
    steady = Columns.of(variant.samples).select(
        lambda each: each.error is None and each.first_time_text is not True and each.phase not in changing
    )
    return steady.where(steady.latency_s > 0)


def _pass_of(traits: Traits) -> tuple[int, str]:
    return traits.round, traits.phase


def _in_order(requests: Columns) -> Sequence[NDArray[np.float64]]:
    """Latencies pass by pass, in the order of their starts."""
    order = np.argsort(requests.intended_s, kind="stable")
    latencies_s = requests.latency_s
    return [latencies_s[places] for _, places in sorted(requests.places(_pass_of, order).items(), key=itemgetter(0))]


def _described(drift: Drift) -> str:
    change = f"its latencies {'rose' if drift.factor > 1 else 'fell'} by {share(abs(drift.factor - 1))}"
    if drift.within:
        return f"{change} from the beginning of its pass to the end. Raise `warm_up`, or end what else the machine does"
    return f"{change} from the first round to the last. End what else the machine does, or what heats it"
