"""cache.hit_rate: how many of the texts that needed an embedding were answered by the cache.

Read from the samples and not from the cache's own counters, which also count the warm-up and background work.
"""

from typing import Literal

from harness.judging.budget_metrics.protocol import Evaluation, Observed, Outcome, Scope, WhenTimed
from harness.judging.limits import Limit
from harness.quantities import Unit


class HitRate:
    unit: Unit = "share"
    kind: Literal["exact", "sampled"] = "exact"
    subject: str | None = "cache"
    scope: Scope = "requests"
    timed: WhenTimed = "never"
    ends_a_run: bool = False
    samples_min: int = 1
    meaning = "The share of this run's answered requests with a text to embed whose embedding came from the cache."

    def evaluate(self, observed: Observed, limit: Limit) -> Evaluation:
        sources = observed.answered.tally_by(lambda traits: traits.embedding)
        n = sum(requests for source, requests in sources.items() if source is not None)
        if not n:
            return Evaluation(Outcome.INVALID, n=0, reason="no request says who answered its embedding")
        hit_rate = sources.get("cache", 0) / n
        return Evaluation(
            outcome=Outcome.PASS if limit.excess(hit_rate) <= 0 else Outcome.FAIL,
            n=n,
            measured=hit_rate,
            limit=limit.value(),
        )
