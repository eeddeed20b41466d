"""Weighted draws follow their weights, for all weights: the mix of operations and the Zipf law among them."""

import math
from collections import Counter
from itertools import accumulate, islice

from hypothesis import assume, given
from hypothesis import strategies as st

from harness.measuring.draws import Draws, Weights
from harness.measuring.targets.anima.workloads.mix import mix
from harness.measuring.targets.anima.workloads.protocol import OPERATIONS, MixSettings, WorkloadSettings

DRAWN = 2_000

# Dvoretzky, Kiefer, Wolfowitz and Massart: no empirical distribution of this many draws strays further from the true
# one, but with a probability of one in a billion.
STRAY_MAX = math.sqrt(math.log(2 / 1e-9) / (2 * DRAWN))

seeds = st.integers(min_value=0, max_value=2**64)


class CountingDraws(Draws):
    """Counts how many numbers it gave."""

    def __init__(self, seed: int, stream: str) -> None:
        super().__init__(seed, stream)
        self.count = 0
        fraction = self.fraction

        def counted() -> float:
            self.count += 1
            return fraction()

        self.fraction = counted


def stray(drawn: list[int], weights: list[float]) -> float:
    """The largest distance between the cumulative distributions."""
    counts = Counter(drawn)
    shares = accumulate(counts[index] / len(drawn) for index in range(len(weights)))
    truth = accumulate(weight / sum(weights) for weight in weights)
    return max(abs(share - true) for share, true in zip(shares, truth, strict=True))


@given(seed=seeds, weights=st.lists(st.floats(min_value=0, max_value=100), min_size=3, max_size=3))
def test_a_mix_has_the_stated_shares_and_takes_one_draw_for_each_request(seed: int, weights: list[float]) -> None:
    assume(sum(weights) > 1e-6)
    settings = WorkloadSettings(mix=MixSettings.model_validate(dict(zip(OPERATIONS, weights, strict=True))))
    draws = CountingDraws(seed, "mix")
    operations = list(islice(mix(settings, draws), DRAWN))
    assert draws.count == DRAWN
    assert stray([OPERATIONS.index(operation) for operation in operations], weights) <= STRAY_MAX


@given(
    seed=seeds,
    ranks=st.integers(min_value=1, max_value=300),
    exponent=st.floats(min_value=0, max_value=10),
)
def test_ranks_follow_the_zipf_law_and_take_one_draw_each(seed: int, ranks: int, exponent: float) -> None:
    draws = CountingDraws(seed, "zipf")
    law = Weights.zipf(ranks, exponent)
    drawn = [law.index(draws) for _ in range(DRAWN)]
    assert draws.count == DRAWN
    assert set(drawn) <= set(range(ranks))
    assert stray(drawn, [1 / (index + 1) ** exponent for index in range(ranks)]) <= STRAY_MAX
