"""Says what the slow requests waited for: the time of those around p95, part by part, which sum to the whole."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

import numpy as np

from harness.judging.analysis.quantiles import quantile_rank
from harness.judging.columns import Columns
from harness.samples import Sample

AROUND_SHARE: Final = 0.02
AROUND_MIN: Final = 3
"""Requests on each side of the quantile's: this share of all, and never fewer than these, where there are so many."""

LATENESS: Final = "lateness"
POOL: Final = "pool"
EMBEDDING: Final = "embedding"
COALESCED: Final = "coalesced"
RETRIES: Final = "retries"
NETWORK: Final = "network"
REST: Final = "code and the rest"


@dataclass(frozen=True, slots=True)
class Waterfall:
    """The mean of `requests` requests around a quantile. Parts sum up to `whole_s`.

    `network` is the round-trip time that the harness injected, taken out of the statements that waited for it. The rest
    is negative where parts went on side by side. `calls` says how often a request sent each statement.
    """

    requests: int
    whole_s: float
    parts_s: Mapping[str, float]
    calls: Mapping[str, float]


def waterfall(samples: Sequence[Sample], probability: float, injected_rtt_s: float) -> Waterfall | None:
    """None where no request says where its time went."""
    broken_down = Columns.of(samples).answered.broken_down
    if not len(broken_down):
        return None
    chosen = around(broken_down.at(np.argsort(broken_down.latency_s, kind="stable")), probability)
    parts: defaultdict[str, list[float]] = defaultdict(list)
    for sample in chosen:
        for name, elapsed_s in parts_of(sample, injected_rtt_s).items():
            parts[name].append(elapsed_s)
    means = {name: sum(values) / len(chosen) for name, values in parts.items()}
    whole_s = fmean(sample.latency_s for sample in chosen)
    means[REST] = whole_s - sum(means.values())
    sent = sum((Counter(sample.calls or {}) for sample in chosen), Counter[str]())
    return Waterfall(len(chosen), whole_s, means, {name: times / len(chosen) for name, times in sent.items()})


def around(ordered: Sequence[Sample], probability: float) -> Sequence[Sample]:
    """The requests whose latencies lie around the quantile."""
    rank = quantile_rank(len(ordered), probability)
    reach = max(round(AROUND_SHARE * len(ordered)), AROUND_MIN)
    return ordered[max(rank - 1 - reach, 0) : rank + reach]


def parts_of(sample: Sample, injected_rtt_s: float) -> dict[str, float]:
    """One request's parts without the rest. An embedding says who answered it, and how else it was waited for."""
    elapsed_s, calls = sample.elapsed_s or {}, sample.calls or {}
    network = Counter({name: min(times * injected_rtt_s, elapsed_s.get(name, 0.0)) for name, times in calls.items()})
    statements = {name: elapsed_s[name] - network[name] for name in calls if name in elapsed_s}
    others = {
        LATENESS: sample.lateness_s if sample.scheduled else 0.0,
        POOL: elapsed_s.get(POOL, 0.0),
        **_embedding_parts(sample.embedding, elapsed_s),
        NETWORK: network.total(),
    }
    return {name: elapsed_s for name, elapsed_s in (others | statements).items() if elapsed_s}


def _embedding_parts(answered_by: str | None, elapsed_s: Mapping[str, float]) -> dict[str, float]:
    """The whole, less what another request's call and failed attempts took of it, which are measured inside of it."""
    left_s, parts = elapsed_s.get(EMBEDDING, 0.0), dict[str, float]()
    for name in (COALESCED, RETRIES):
        parts[f"{EMBEDDING} ({name})"] = min(elapsed_s.get(name, 0.0), left_s)
        left_s -= parts[f"{EMBEDDING} ({name})"]
    return {f"{EMBEDDING} ({answered_by})": left_s, **parts}
