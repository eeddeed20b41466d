"""Tiers are assigned in the stated shares, in every beginning of the corpus as in the whole."""

from hypothesis import given
from hypothesis import strategies as st

from harness.measuring.targets.anima.corpora.protocol import TIERS, TierShares

weights = st.lists(st.integers(min_value=0, max_value=100), min_size=4, max_size=4).filter(any)
counts = st.integers(min_value=0, max_value=300)


@given(weights=weights, count=counts, beginning=counts)
def test_every_beginning_has_about_the_stated_shares(weights: list[int], count: int, beginning: int) -> None:
    shares = {tier: weight / sum(weights) for tier, weight in zip(TIERS, weights, strict=True)}
    tiers = TierShares.model_validate(shares).assign(count)[:beginning]
    assert len(tiers) == min(count, beginning)
    for tier, share in shares.items():
        assert abs(tiers.count(tier) - share * len(tiers)) < 2
        assert share or tier not in tiers
